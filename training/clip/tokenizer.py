"""A tokenizer of CLIP's kind for the captions: byte pairs, `</w>` at the end of a word, any text accepted.

    python training/clip/tokenizer.py tokenizer.json
"""

import json
import random
import sys

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

import scenes

START, END = "<|startoftext|>", "<|endoftext|>"
SPLIT = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
BYTES = [*range(33, 127), *range(161, 173), *range(174, 256)]
# CLIP's order of the byte alphabet: printable bytes first, then stand-ins for the others.
ALPHABET = [chr(byte) for byte in BYTES] + [chr(256 + index) for index in range(256 - len(BYTES))]


def structure(vocabulary: dict[str, int], merges: list) -> dict:
    start, end = len(vocabulary) - 2, len(vocabulary) - 1
    def special(index: int, content: str, normalized: bool) -> dict:
        return {"id": index, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": normalized, "special": True}

    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [special(start, START, True), special(end, END, False)],
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "}, {"type": "Lowercase"}]},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": SPLIT}, "behavior": "Removed", "invert": True},
            {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True},
        ]},
        "post_processor": {"type": "RobertaProcessing", "sep": [END, end], "cls": [START, start], "trim_offsets": False, "add_prefix_space": False},
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True},
        "model": {
            "type": "BPE", "dropout": None, "unk_token": END, "continuing_subword_prefix": "", "end_of_word_suffix": "</w>", "fuse_unk": False,
            "vocab": vocabulary, "merges": merges,
        },
    }


def train() -> str:
    """tokenizer.json, from captions of all sorts of scenes; the same at each call."""
    rng = random.Random(20261121)
    corpus = [scenes.caption(scenes.sample(rng), rng).text for _ in range(40_000)]
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    learner.pre_tokenizer = pre_tokenizers.Split(" ", "removed")
    learner.train_from_iterator(corpus, trainers.BpeTrainer(vocab_size=1000, end_of_word_suffix="</w>", show_progress=False))
    merges = json.loads(learner.to_str())["model"]["merges"]
    words = [*ALPHABET, *(letter + "</w>" for letter in ALPHABET)]
    known = dict.fromkeys([*words, *("".join(pair) for pair in merges), START, END])
    return json.dumps(structure({word: index for index, word in enumerate(known)}, merges), ensure_ascii=False, indent=1)


if __name__ == "__main__":
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        file.write(train())
