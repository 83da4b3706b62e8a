"""Makes the ids that `transformers` and `tokenizers` give for 500 texts, 47 cases of llama.cpp and the odd texts of CLIP's goldens, with
the vocabularies of Qwen2.5 and SmolLM2.

The texts, in order; all but the last are read from the folder of data:
    1. `sentence1` of the first 248 lines of sts/stsb-en-test.csv
    2. `text` of the first 150 records of banking77/banking77-test.csv, each of which is one line
    3. for each of aitext/*.json in the order of names the first four of `original`, then the first four of `sampled`
    4. for each of bias/*.json in the order of names the first two
    5. the 47 cases of qwen2/ggml-vocab-qwen2.gguf.inp, which a line `__ggml_vocab_test__` parts
    6. `text` of the cases in ../clip-tokenizer/odd.json
Nothing is trimmed or cut. ids.bin: for each text the count of its ids, then these; little-endian u32 for Qwen2.5, u16 for SmolLM2.

Qwen2.5's tokenizer is transformers' `Qwen2Tokenizer`, made from vocab.json, merges.txt and tokenizer_config.json. On all texts the
tokenizer.json that `qwen2_blueprint` builds of the same files gives the same ids, which is asserted, and so are the ids in
ggml-vocab-qwen2.gguf.out. SmolLM2's is built of the tokens and merges in its GGUF file by `smollm2_blueprint`: the vocabulary has
no token for 21 bytes (control characters and bytes that UTF-8 rarely or never has), which are left out of the ids.
"""

import json
from pathlib import Path

import gguf
import numpy as np
from tokenizers import Tokenizer
from transformers import Qwen2Tokenizer

GOLDENS = Path(__file__).resolve().parents[1]
QWEN2_PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
                 r"|\s+(?!\S)|\s+")


def first_field(line: str) -> str:
    """The first of the comma-separated values of a line."""
    if not line.startswith('"'):
        return line.split(",")[0]
    return line[1:].replace('""', "\0").split('"')[0].replace("\0", '"')


def lines(file: Path) -> list[str]:
    return [line.removesuffix("\r") for line in file.read_text(encoding="utf-8").split("\n")]


def ggml_cases(data: Path) -> list[tuple[str, list[int]]]:
    """The texts and ids of llama.cpp's test of Qwen2's vocabulary."""
    with open(data / "qwen2/ggml-vocab-qwen2.gguf.inp", encoding="utf-8", newline="") as file:
        texts = file.read().split("\n__ggml_vocab_test__\n")
    # One line of ids for each; a text without ids has an empty one.
    ids = [[int(part) for part in line.split()] for line in lines(data / "qwen2/ggml-vocab-qwen2.gguf.out")]
    assert len(texts) == len(ids) == 47
    return list(zip(texts, ids))


def texts(data: Path) -> list[str]:
    found = [first_field(line) for line in lines(data / "sts/stsb-en-test.csv")[:248]]
    found += [first_field(line) for line in lines(data / "banking77/banking77-test.csv")[1:151]]
    for file in sorted((data / "aitext").glob("*.json")):
        pairs = json.loads(file.read_text(encoding="utf-8"))
        found += pairs["original"][:4] + pairs["sampled"][:4]
    for file in sorted((data / "bias").glob("*.json")):
        found += json.loads(file.read_text(encoding="utf-8"))[:2]
    assert len(found) == 500, len(found)
    found += [text for text, _ in ggml_cases(data)]
    return found + [case["text"] for case in json.loads((GOLDENS / "clip-tokenizer/odd.json").read_text())["cases"]]


def byte_level(use_regex: bool, trim_offsets: bool) -> dict:
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": trim_offsets, "use_regex": use_regex}


def blueprint(normalizer, pre_tokenizers: list, post_processor, added_tokens: list, vocab: dict, merges: list) -> dict:
    """A tokenizer.json of a byte-level BPE; `merges` as in merges.txt."""
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added_tokens, "normalizer": normalizer,
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": pre_tokenizers}, "post_processor": post_processor,
            "decoder": byte_level(False, False),
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": "",
                      "end_of_word_suffix": "", "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                      "vocab": vocab, "merges": merges}}


def qwen2_blueprint(folder: Path) -> dict:
    """The tokenizer.json of Qwen2.5, as vocab.json, merges.txt and tokenizer_config.json say it."""
    merges = [line for line in lines(folder / "merges.txt") if line and not line.startswith("#version")]
    added = json.loads((folder / "tokenizer_config.json").read_text())["added_tokens_decoder"]
    split = {"type": "Split", "pattern": {"Regex": QWEN2_PATTERN}, "behavior": "Isolated", "invert": False}
    return blueprint({"type": "NFC"}, [split, byte_level(False, False)], byte_level(False, False),
                     [{"id": int(key), **token} for key, token in added.items()],
                     json.loads((folder / "vocab.json").read_text(encoding="utf-8")), merges)


def smollm2_blueprint(path: Path) -> dict:
    """The tokenizer.json of SmolLM2, as its GGUF file says it (`tokenizer.ggml.pre` is `smollm`)."""
    reader = gguf.GGUFReader(path)
    tokens, kinds, merges = (reader.fields[f"tokenizer.ggml.{name}"].contents() for name in ("tokens", "token_type", "merges"))
    added = [{"id": index, "content": token, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
              "special": True} for index, (token, kind) in enumerate(zip(tokens, kinds)) if kind == gguf.TokenType.CONTROL]
    assert len(added) == 17 and reader.fields["tokenizer.ggml.pre"].contents() == "smollm"
    return blueprint(None, [{"type": "Digits", "individual_digits": True}, byte_level(True, True)], None, added,
                     {token: index for index, token in enumerate(tokens)}, merges)


def smollm2_tokenizer(path: Path) -> Tokenizer:
    return Tokenizer.from_str(json.dumps(smollm2_blueprint(path)))


def pack(name: str, all_ids: list[list[int]], dtype: str) -> None:
    packed = [number for ids in all_ids for number in (len(ids), *ids)]
    folder = GOLDENS / name
    folder.mkdir(exist_ok=True)
    (folder / "ids.bin").write_bytes(np.array(packed, dtype=dtype).tobytes())
    print(f"{name}: {len(all_ids)} texts, {len(packed) - len(all_ids)} ids, the longest text has {max(map(len, all_ids))}")


def make_goldens(data: Path, path: Path) -> None:
    found = texts(data)
    qwen2 = Qwen2Tokenizer.from_pretrained(data / "qwen2")
    built = Tokenizer.from_str(json.dumps(qwen2_blueprint(data / "qwen2")))
    all_ids = [qwen2(text)["input_ids"] for text in found]
    for text, ids in zip(found, all_ids):
        assert built.encode(text).ids == ids, text
    for (text, ids), made in zip(ggml_cases(data), all_ids[500:]):
        assert made == ids, text
    pack("qwen2-tokenizer", all_ids, "<u4")
    smollm2 = smollm2_tokenizer(path)
    pack("smollm2-tokenizer", [smollm2.encode(text).ids for text in found], "<u2")
