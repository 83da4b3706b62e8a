"""Tiny tokenizers, built as those of the families' real repositories are."""

import io
import json
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import sentencepiece
from make_goldens import ODD_TEXTS, PIECES, WORDS
from sentencepiece import sentencepiece_model_pb2
from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors,
                        trainers)

# The sentences from which merges and pieces are learned.
SENTENCES = """The pilot light is a small flame that is always on, and it lights the light of the house at night.
Two people are reading by the fire while one cold bird sings in the street; the old train is late, and they are warm.
One cold night three people sing by the fire and a small red train runs to the sea, and the light, the light is on.
A dog and a cat walk by the river: the man writes, the woman reads, and the child eats bread in the sun.
No light, no fire: the light is warm, the night is cold, and a horse runs to the sea by the light of the fire.
Un café naïve, über großen Ärger; crème brûlée.""".split("\n")

# Characters that the Unigram tokenizers rewrite, from and to, by code points: a small part of the rules of
# `nmt_nfkc`, whose compiled form of 240 kB is too large for a fixture.
RULES = [("\uff21", "A"), ("\uff22", "B"), ("\uff01", "!"), ("\uff0c", ","), ("\ufb01", "fi"), ("\u00bd", "1\u20442"),
         ("\u3000", " "), ("\u00a0", " "), ("\t", " "), ("\n", " "), ("\r", " "), ("\u200b", " "), ("\ufeff", " "),
         ("\x07", ""), ("\x1b", ""), ("e\u0301", "\u00e9"), ("\u2026", "..."), ("I\u0307", "\u0130")]


def special_tokens(make):
    """Returns the special tokens as `tokenizer_config.json` lists them."""
    if make in (modernbert, bert):
        return {f"{name}_token": f"[{name.upper()}]" for name in ("unk", "cls", "sep", "pad", "mask")}
    return dict(bos_token="<s>", eos_token="</s>", cls_token="<s>", sep_token="</s>", pad_token="<pad>",
                mask_token="<mask>", unk_token="[UNK]" if make is mpnet else "<unk>")


def byte_level(first, last, normalizer=None):
    """A byte-level BPE of 256 bytes and 60 merges between the special tokens `first` and `last`."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(vocab_size=316, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                                  show_progress=False)
    tokenizer.train_from_iterator(SENTENCES, trainer)
    learned = json.loads(tokenizer.to_str())["model"]
    tokens = [*first, *sorted(learned["vocab"], key=learned["vocab"].get), *last]
    tokenizer.model = models.BPE(vocab={token: index for index, token in enumerate(tokens)},
                                 merges=[tuple(pair) for pair in learned["merges"]], fuse_unk=False,
                                 continuing_subword_prefix="", end_of_word_suffix="")
    tokenizer.decoder = decoders.ByteLevel()
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False, lstrip="mask" in token.lower())
                                  for token in [*first, *last]])
    return tokenizer


def roberta():
    """As `RobertaConverter` of transformers builds it."""
    tokenizer = byte_level(["<s>", "<pad>", "</s>", "<unk>"], ["<mask>"])
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=True,
                                                            add_prefix_space=False)
    return tokenizer


def modernbert():
    """As ModernBERT's: the special tokens come last, and the text is composed (NFC) first."""
    tokenizer = byte_level([], ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"], normalizers.NFC())
    tokenizer.post_processor = template(tokenizer, "[CLS]", "[SEP]", "[CLS] $A [SEP]", "[CLS] $A [SEP] $B [SEP]")
    return tokenizer


def template(tokenizer, first, last, single, pair):
    special = [(token, tokenizer.token_to_id(token)) for token in (first, last)]
    return processors.TemplateProcessing(single=single, pair=pair, special_tokens=special)


def word_piece(specials, unknown="[UNK]"):
    """An uncased WordPiece over the words of `make_goldens.py`; `specials` come first."""
    characters = "abcdefghijklmnopqrstuvwxyz0123456789"
    tokens = [*specials, *"!\"'(),-.:;?", *characters, *"日本火α", *("##" + character for character in characters)]
    tokens += PIECES + [word for word in WORDS if len(word) > 1]
    vocab = {token: index for index, token in enumerate(dict.fromkeys(tokens))}
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token=unknown, max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False, lstrip=token == "<mask>")
                                  for token in specials])
    return tokenizer


def mpnet():
    """As `MPNetConverter` of transformers builds it: two separators between the texts of a pair."""
    tokenizer = word_piece(["<s>", "<pad>", "</s>", "<unk>", "[UNK]", "<mask>"])
    tokenizer.post_processor = template(tokenizer, "<s>", "</s>", "<s>:0 $A:0 </s>:0",
                                        "<s>:0 $A:0 </s>:0 </s>:0 $B:1 </s>:1")
    return tokenizer


def bert():
    tokenizer = word_piece(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    tokenizer.post_processor = template(tokenizer, "[CLS]", "[SEP]", "[CLS]:0 $A:0 [SEP]:0",
                                        "[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1")
    return tokenizer


def sentence_piece():
    """A trained SentencePiece Unigram: its pieces with scores, and its compiled normalization rules."""
    def codes(text):
        return " ".join(f"{ord(character):x}" for character in text)

    # Each word in other company makes words frequent enough to be pieces.
    more = [" ".join(WORDS[start::step]) for start in range(9) for step in (5, 7, 11)]
    with tempfile.TemporaryDirectory() as folder:
        rules = Path(folder) / "rules.tsv"
        rules.write_text("".join(f"{codes(before)}\t{codes(after)}\n" for before, after in RULES))
        model = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(SENTENCES + more), model_writer=model, vocab_size=120, model_type="unigram",
            character_coverage=1.0, normalization_rule_tsv=str(rules), num_threads=1, minloglevel=2)
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(model.getvalue())
    return [(piece.piece, piece.score) for piece in proto.pieces], proto.normalizer_spec.precompiled_charsmap


def unigram(vocab, charsmap, first, last):
    tokenizer = Tokenizer(models.Unigram(vocab, unk_id=3, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Precompiled(charsmap),
                                                 normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(replacement="\u2581", prepend_scheme="always")
    tokenizer.add_special_tokens([first, "<pad>", last, "<unk>", AddedToken("<mask>", lstrip=True, special=True)])
    tokenizer.post_processor = template(tokenizer, first, last, f"{first} $A {last}",
                                        f"{first} $A {last} {last} $B {last}")
    return tokenizer


def xlm_roberta():
    """As the hub's XLM-RoBERTa: the rules, then words split at blanks; specials at 0 to 3, the mask last."""
    pieces, charsmap = sentence_piece()
    vocab = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *pieces[3:], ("<mask>", 0.0)]
    tokenizer = unigram(vocab, charsmap, "<s>", "</s>")
    tokenizer.normalizer = normalizers.Precompiled(charsmap)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme="always")])
    return tokenizer


def camembert():
    """As `CamembertConverter` of transformers builds it: the first and last token stand at 5 and 6."""
    pieces, charsmap = sentence_piece()
    vocab = [("<s>NOTUSED", 0.0), ("<pad>", 0.0), ("</s>NOTUSED", 0.0), ("<unk>", 0.0), ("<unk>NOTUSED", -100.0),
             *pieces[1:], ("<mask>", 0.0)]
    return unigram(vocab, charsmap, "<s>", "</s>")


if __name__ == "__main__":
    for make in (roberta, modernbert, mpnet, bert, xlm_roberta, camembert):
        tokenizer = make()
        print(make.__name__, tokenizer.get_vocab_size(), len(tokenizer.to_str()))
        for text in ODD_TEXTS[:8]:
            print("  ", len(tokenizer.encode(text).ids), tokenizer.encode(text).tokens[:24])
