"""Makes small tokenizers of each kind that sentence encoders have, and the ids that `transformers` gives with them.

    python tests/goldens/tokenizers/make_goldens.py
    (Python 3.11, the pins of ../requirements.txt)

texts.json: the sentences of `sentences.py`, then its odd texts, one per line; `sentences` says how many are not odd.
Each folder: a tokenizer in the files of a repository, as `save_pretrained` of its own class writes them, learned from the
sentences; `tokenizer.json` is without its white space. `odd.json` has the ids of the odd texts. `hashes.bin` has for each
text two hashes (FNV-1a of the ids as little-endian u32, 32 bits): one of its ids, and one of what truncation makes of it,
first of the text alone and then of the text with the next one in the list, whose first follows the last.
index.json: the folders, and under `settings` other files `tokenizer_config.json` with the hash of all ids of all texts:
the classes of transformers follow that file, or defaults of theirs, where `tokenizer.json` says something else.

The rules `nmt_nfkc` take 320 kB, so that only `xlm-roberta/tokenizer.json` has them: in other folders `precompiled_charsmap`
is empty, and a test puts them there.
"""

import io
import json
import os
import shutil
import sys
import tempfile
import unicodedata
from collections import Counter
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import sentencepiece
import tokenizers
import transformers
from sentencepiece import sentencepiece_model_pb2
from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors,
                        trainers)
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from sentences import ODD, sentences

HERE = Path(__file__).resolve().parent
SENTENCES = sentences()
TEXTS = SENTENCES + ODD
# The longest text and the longest pair in tokens.
LONGEST, LONGEST_PAIR = 12, 20
CHARSMAP = "precompiled_charsmap"


def fnv(ids, start=0x811C9DC5):
    for number in ids:
        for byte in number.to_bytes(4, "little"):
            start = (start ^ byte) * 0x01000193 & 0xFFFFFFFF
    return start


def write(file, value):
    file.write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")


def learned_merges(count):
    """The vocabulary and the merges of a byte-level BPE, learned from the sentences."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(vocab_size=256 + count, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                                  show_progress=False)
    tokenizer.train_from_iterator(SENTENCES, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return sorted(model["vocab"], key=model["vocab"].get), model["merges"]


def roberta(folder, **settings):
    """From `vocab.json` and `merges.txt`, as Fairseq's models were."""
    tokens, merges = learned_merges(500)
    tokens = ["<s>", "<pad>", "</s>", "<unk>", *tokens, "<mask>"]
    write(folder / "vocab.json", {token: index for index, token in enumerate(tokens)})
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    write(folder / "tokenizer_config.json", {"tokenizer_class": "RobertaTokenizer", **settings})
    # As the hub's tokenizer.json: the mask takes the blanks before it.
    mask = AddedToken("<mask>", lstrip=True, special=True, normalized=False)
    return AutoTokenizer.from_pretrained(folder, mask_token=mask)


def modernbert(_folder):
    """As GPT-NeoX's: runs of blanks are tokens, and so are two that are no special ones."""
    tokens, merges = learned_merges(400)
    tokenizer = Tokenizer(models.BPE({token: index for index, token in enumerate(tokens)},
                                     [tuple(pair) for pair in merges]))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_tokens([AddedToken("|||IP_ADDRESS|||", normalized=True)])
    tokenizer.add_special_tokens([AddedToken("<|padding|>"), AddedToken("<|endoftext|>")])
    tokenizer.add_tokens([AddedToken(" " * width, normalized=True) for width in range(24, 1, -1)])
    names = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
    tokenizer.add_special_tokens([AddedToken(name, lstrip=name == "[MASK]") for name in names])
    tokenizer.add_tokens([AddedToken(f"[unused{index}]", normalized=True) for index in range(3)])
    template(tokenizer, "[CLS]", "[SEP]", "[CLS]:0 $A:0 [SEP]:0", "[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1")
    special = {f"{name[1:-1].lower()}_token": name for name in names}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)


def template(tokenizer, first, last, single, pair):
    special = [(token, tokenizer.token_to_id(token)) for token in (first, last)]
    tokenizer.post_processor = processors.TemplateProcessing(single=single, pair=pair, special_tokens=special)


def words():
    """A vocabulary of WordPiece, with words in both cases, with and without accents. Some characters are not in it."""
    rules, split = normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer()
    characters, whole, ends = Counter(), Counter(), Counter()
    for sentence in SENTENCES:
        for text in (sentence, unicodedata.normalize("NFC", sentence), rules.normalize_str(sentence)):
            for word, _ in split.pre_tokenize_str(text):
                characters.update(word)
                whole[word] += 1
                ends.update(f"##{word[-length:]}" for length in (2, 3) if length < len(word))

    def frequent(counts, most):
        return [text for text, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most]]

    common = frequent(characters, 550)
    tokens = [*common, *(f"##{character}" for character in common), *frequent(whole, 450), *frequent(ends, 250)]
    return list(dict.fromkeys(tokens))


def word_piece(folder, kind, special, **settings):
    """From `vocab.txt`."""
    lines = [f"{token}\n" for token in [*special, *words()]]
    (folder / "vocab.txt").write_text("".join(lines), encoding="utf-8")
    write(folder / "tokenizer_config.json", {"tokenizer_class": kind, **settings})
    return AutoTokenizer.from_pretrained(folder)


BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def bert(folder, **settings):
    return word_piece(folder, "BertTokenizer", BERT, **settings)


def mpnet(folder):
    return word_piece(folder, "MPNetTokenizer", ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "[UNK]"])


def pieces():
    """A Unigram of SentencePiece with the rules `nmt_nfkc`; some characters are not in it."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(text.replace("\0", "") for text in SENTENCES), model_writer=model, vocab_size=1400,
        model_type="unigram", character_coverage=0.99, normalization_rule_name="nmt_nfkc", num_threads=1, minloglevel=2)
    return model.getvalue()


def unigram(folder, kind):
    """From `sentencepiece.bpe.model`."""
    (folder / "sentencepiece.bpe.model").write_bytes(pieces())
    write(folder / "tokenizer_config.json", {"tokenizer_class": kind})
    # As the hub's tokenizer.json: the mask takes the blanks before it.
    mask = AddedToken("<mask>", lstrip=True, special=True, normalized=False)
    return AutoTokenizer.from_pretrained(folder, mask_token=mask)


def multilingual(folder):
    """As transformers 4 converted SentencePiece's models: several blanks are one, and words are not split before."""
    made = unigram(folder, "XLMRobertaTokenizer")
    model = sentencepiece_model_pb2.ModelProto()
    model.ParseFromString((folder / "sentencepiece.bpe.model").read_bytes())
    rules = model.normalizer_spec.precompiled_charsmap
    tokenizer = Tokenizer.from_str(made.backend_tokenizer.to_str())
    tokenizer.normalizer = normalizers.Sequence([normalizers.Precompiled(rules),
                                                 normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme="always")
    special = {name: str(value) for name, value in made.special_tokens_map.items() if isinstance(value, str)}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)


# By folder: the `model_type` of its config, and what makes the tokenizer.
TOKENIZERS = {
    "roberta": ("roberta", roberta),
    "roberta-prefix-space": ("roberta", lambda folder: roberta(folder, add_prefix_space=True)),
    "modernbert": ("modernbert", modernbert),
    "bert": ("bert", bert),
    "bert-cased": ("bert", lambda folder: bert(folder, do_lower_case=False)),
    "bert-accents": ("bert", lambda folder: bert(folder, strip_accents=False)),
    "bert-no-chinese": ("bert", lambda folder: bert(folder, tokenize_chinese_chars=False, do_lower_case=False,
                                                    strip_accents=True)),
    "mpnet": ("mpnet", mpnet),
    "xlm-roberta": ("xlm-roberta", lambda folder: unigram(folder, "XLMRobertaTokenizer")),
    "camembert": ("camembert", lambda folder: unigram(folder, "CamembertTokenizer")),
    "multilingual": ("bert", multilingual),
}

# Repositories whose two files disagree: the folder, the `model_type`, and another `tokenizer_config.json` (`None` for none).
SETTINGS = [
    ("bert-cased", "bert", None),
    ("bert-cased", "bert", {"tokenizer_class": "BertTokenizer"}),
    ("bert-cased", "bert", {"tokenizer_class": "BertTokenizerFast", "do_lower_case": True}),
    ("bert-cased", "bert", {"tokenizer_class": "PreTrainedTokenizerFast", "do_lower_case": True}),
    ("bert-cased", "distilbert", {"model_max_length": 512}),
    ("bert-accents", "bert", {"model_max_length": 512}),
    ("bert-no-chinese", "bert", {"do_lower_case": False}),
    ("bert", "bert", {"do_lower_case": False, "strip_accents": True, "tokenize_chinese_chars": False}),
    ("mpnet", "mpnet", {"tokenizer_class": "MPNetTokenizer", "do_lower_case": False}),
    ("roberta", "roberta", {"tokenizer_class": "RobertaTokenizer", "add_prefix_space": True}),
    ("roberta-prefix-space", "roberta", {"tokenizer_class": "RobertaTokenizer", "add_prefix_space": False}),
    ("roberta-prefix-space", "roberta", None),
    ("roberta-prefix-space", "roberta", {"tokenizer_class": "PreTrainedTokenizerFast"}),
    ("xlm-roberta", "xlm-roberta", {"tokenizer_class": "PreTrainedTokenizerFast"}),
    ("xlm-roberta", "xlm-roberta", None),
    ("multilingual", "xlm-roberta", {"tokenizer_class": "XLMRobertaTokenizer"}),
    # Without its own `extra_special_tokens`, that class takes `<s>NOTUSED` in a text for a token of its own. Nothing else differs.
    ("camembert", "camembert", {"extra_special_tokens": ["<s>", "</s>"]}),
]


def config(folder, model_type):
    write(folder / "config.json", {"model_type": model_type})


def ids_of(tokenizer):
    return [tokenizer(text)["input_ids"] for text in TEXTS]


def hashes(tokenizer, ids):
    packed = b""
    for text, following, own in zip(TEXTS, TEXTS[1:] + TEXTS[:1], ids):
        cut = tokenizer(text, truncation=True, max_length=LONGEST)["input_ids"]
        # As a list, for an empty second text alone would be none.
        [pair] = tokenizer([[text, following]], truncation=True, max_length=LONGEST_PAIR)["input_ids"]
        packed += fnv(own).to_bytes(4, "little") + fnv(pair, fnv(cut)).to_bytes(4, "little")
    return packed


def make(name, model_type, maker, scratch):
    source, saved = scratch / "source", scratch / name
    source.mkdir()
    config(source, model_type)
    maker(source).save_pretrained(saved)
    config(saved, model_type)
    tokenizer = AutoTokenizer.from_pretrained(saved)
    ids = ids_of(tokenizer)
    # The same from the vocabulary alone.
    if (source / "vocab.txt").exists():
        assert ids_of(AutoTokenizer.from_pretrained(source)) == ids, name
    plain = Tokenizer.from_file(str(saved / "tokenizer.json"))
    differing = sum(plain.encode(text).ids != own for text, own in zip(TEXTS, ids))
    unknown = sum(own.count(tokenizer.unk_token_id) for own in ids) if tokenizer.unk_token_id is not None else 0
    print(f"{name}: {type(tokenizer).__name__}, {len(tokenizer)} tokens, {sum(map(len, ids))} ids, {unknown} unknown, "
          f"{differing} texts otherwise by tokenizer.json alone")
    target = HERE / name
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    file = (saved / "tokenizer.json").read_text(encoding="utf-8")
    settings = json.loads((saved / "tokenizer_config.json").read_text())
    write(target / "tokenizer_config.json", {key: settings[key] for key in sorted(settings)})
    value = json.loads(file)
    if name != "xlm-roberta":
        emptied(value["normalizer"])
    write(target / "tokenizer.json", value)
    (target / "hashes.bin").write_bytes(hashes(tokenizer, ids))
    odd = [json.dumps(own, separators=(",", ":")) for own in ids[len(SENTENCES):]]
    (target / "odd.json").write_text("[\n" + ",\n".join(odd) + "\n]\n")
    shutil.rmtree(source)
    return {"name": name, "model_type": model_type}


def emptied(normalizer):
    for part in [normalizer, *((normalizer or {}).get("normalizers", []))]:
        if part and CHARSMAP in part:
            part[CHARSMAP] = ""


def setting(name, model_type, other, scratch):
    folder = scratch / "setting"
    shutil.copytree(scratch / name, folder)
    config(folder, model_type)
    (folder / "tokenizer_config.json").unlink()
    if other is not None:
        write(folder / "tokenizer_config.json", other)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    total = fnv(number for own in ids_of(tokenizer) for number in own)
    plain = Tokenizer.from_file(str(folder / "tokenizer.json"))
    total_plain = fnv(number for text in TEXTS for number in plain.encode(text).ids)
    print(f"{name}, {model_type}, {other}: {type(tokenizer).__name__}, as tokenizer.json alone: {total == total_plain}")
    shutil.rmtree(folder)
    return {"name": name, "model_type": model_type, "tokenizer_config": other, "hash": total}


def lines(values):
    return "[\n" + ",\n".join(json.dumps(value, ensure_ascii=False, separators=(",", ":")) for value in values) + "\n]"


def main():
    texts = f'{{"sentences":{len(SENTENCES)},\n"texts":{lines(TEXTS)}}}\n'
    (HERE / "texts.json").write_text(texts, encoding="utf-8")
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        folders = [make(name, *how, scratch) for name, how in TOKENIZERS.items()]
        settings = [setting(*how, scratch) for how in SETTINGS]
    generator = f"transformers {transformers.__version__}, tokenizers {tokenizers.__version__}"
    (HERE / "index.json").write_text(
        f'{{"generator":{json.dumps(generator)},\n"longest":{LONGEST},\n"longest_pair":{LONGEST_PAIR},\n'
        f'"tokenizers":{lines(folders)},\n"settings":{lines(settings)}}}\n', encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
