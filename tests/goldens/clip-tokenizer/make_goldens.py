"""Makes the token ids that `transformers` gives for 2,000 captions and for odd texts with CLIP's own vocabulary.

    python tests/goldens/clip-tokenizer/make_goldens.py [DATA]
    (Python 3.11, transformers==5.23.0, tokenizers==0.23.3, numpy==2.4.6)

DATA holds `clip/tokenizer.json`, `photos/manifest.json` and `sts`: default $PILOTLIGHT_DATA, else ../shared/data beside the
repository. Every text is cut at 77 tokens, the end token stays last.

ids.bin: little-endian u16; for each caption the count of its ids, then these. First all captions of the photos in the
manifest's order, then `sentence1` of stsb-en-test.csv and then of stsb-en-dev.csv, till there are 2,000. No texts.
odd.json: texts with their ids, one per line.

transformers 5 has one tokenizer for CLIP (`CLIPTokenizerFast` is another name of it), and it runs on the `tokenizers` package.
Loaded from a folder with tokenizer.json it agrees with `Tokenizer.from_file` of that package on every text here, which is
asserted. Made from vocab.json and merges.txt it takes `<|startoftext|>` only as written, where tokenizer.json looks for it
after lowercasing (`normalized`): `from_vocabulary` has the ids where these differ, on no caption.
"""

import argparse
import csv
import json
import os
import shutil
import tempfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import tokenizers
import transformers
from tokenizers import Tokenizer
from transformers import CLIPTokenizer

HERE = Path(__file__).resolve().parent
COUNT, LIMIT = 2000, 77

ODD = [
    # Nothing, or next to it.
    "",
    " ",
    " \t\r\n\v\f ",
    "\u00a0\u2003\u3000",
    "\u200b\ufeff",
    "a",
    "!",
    # Emoji.
    "\U0001f600",
    "\U0001f600\U0001f600\U0001f525",
    "fire\U0001f525fire",
    "\U0001f469\u200d\U0001f680 \U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466",
    "\U0001f44d\U0001f3fd \u2764\ufe0f \u2600 \u2600\ufe0f 1\ufe0f\u20e3",
    "\U0001f1eb\U0001f1ee\U0001f1ef\U0001f1f5",
    # Accents, composed and not.
    "caf\u00e9 na\u00efve \u00fcber",
    "cafe\u0301 nai\u0308ve u\u0308ber",
    "CAF\u00c9 CAFE\u0301 \u00c5ngstr\u00f6m A\u030angstro\u0308m \u212bngstrom",
    "Vi\u1ec7t Nam, Vie\u0323\u0302t Nam, Vi\u00ea\u0323t Nam",
    "\u0301a",
    "a\u0301\u0302\u0303\u0304 \u0301 x\u0336y\u0336",
    "z\u0351\u036b\u0343\u036a\u0302\u036b\u033d\u034f\u0334\u0319\u0324\u031e\u0349\u035a\u032f\u031e\u0320\u034da\u036b",
    "\ufb01re \ufb02ame \u210c \u2460 \u00bd x\u00b2 \uff46\uff49\uff52\uff45 \u0132",
    # Letters whose lower case is special.
    "\u0130stanbul I\u0307stanbul \u0131\u015f\u0131k I\u015eIK",
    "Stra\u00dfe STRASSE STRA\u1e9eE",
    "\u039f\u0394\u039f\u03a3 \u03a3\u03a3 \u03a3 \u1f88 \u1ff3 \u1fbc",
    "\u01c4 \u01c5 \u01c6 \u2167 \u24b6",
    # Other scripts.
    "\u65e5\u672c\u8a9e\u306e\u30c6\u30ad\u30b9\u30c8",
    "\u4e2d\u6587\uff0c\u6ca1\u6709\u7a7a\u683c\u3002",
    "\ud55c\uad6d\uc5b4 \u1112\u1161\u11ab\u1100\u116e\u11a8",
    "\u0634\u0639\u0644\u0629 \u0635\u063a\u064a\u0631\u0629 \u0661\u0662\u0663 \u0643\u0650\u062a\u064e\u0627\u0628",
    "\u0928\u092e\u0938\u094d\u0924\u0947 \u0926\u0941\u0928\u093f\u092f\u093e \u0967\u0968\u0969 \u0915\u093c \u0958",
    "\u05e9\u05b8\u05c1\u05dc\u05d5\u05b9\u05dd \u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35 "
    "\u10d2\u10d0\u10db\u10d0\u10e0\u10ef\u10dd\u10d1\u10d0 \u1c92",
    "\u041f\u0438\u043b\u043e\u0442\u043d\u043e\u0435 \u041f\u041b\u0410\u041c\u042f \u0419 \u0418\u0306",
    "\U0001d4d5\U0001d4d8\U0001d4e1\U0001d4d4 \U00010400\U00010428 \U00020000\U0002a6d6 \U0001f10d",
    # White space and what only looks like it.
    "tab\tnew\nline\r\nreturn\rform\fvertical\vend",
    "no\u00a0break thin\u2009space ideographic\u3000space next\u0085line",
    "line\u2028paragraph\u2029mongolian\u180evowel ogham\u1680mark",
    "zero\u200bwidth soft\u00adhyphen joi\u200dner non\u200cjoiner word\u2060joiner bom\ufeffhere",
    "  many    blanks   ",
    # Control characters.
    "nul\0in bell\x07in escape\x1bin delete\x7fin \x80\x9f",
    "\ufffd \ufffe \uffff \ue000 \U000e0001 \U0010ffff",
    "file\x1cgroup\x1drecord\x1eunit\x1fend",
    # Numbers.
    "3.14159 1,234,567 2nd 10x10 B2B h2o 007",
    "\u0663\u0664 \u2155 \u2163 \u3007 \u00b9\u2070",
    "0123456789" * 9,
    # Apostrophes.
    "it's I'm you're we've he'll she'd don't o'clock 'tis dogs'",
    "IT'S I'M YOU'RE WE'VE HE'LL SHE'D DON'T",
    "it\u2019s I\u2019m you\u2019re don\u2019t \u2018quoted\u2019",
    "'s's 'S ''s 'sa 'llama 'd'd'd a's'b !'s .'re \"'ve\"",
    "l'\u00e9t\u00e9 qu'il 'M 'RE 'K\u212a '\u017f it'\u017f",
    # Punctuation.
    "?!?!... --- ... \u2026 !!!!!!!!!! (((()))) <<>> ;;;",
    "a-b_c/d\\e|f~g`h^i*j+k=l@m#n$o%p&q",
    "\u201cquoted\u201d \u00abquoted\u00bb \u2013 \u2014 \u2022 \u00b6 \u00a7 \u2122 \u00a9 \u20ac5 \u00a35 \u221e \u2211",
    "wow!!!so...much,punctuation;here:and(there)",
    # Markup and addresses.
    "&amp; &lt;b&gt; &#39; &eacute; &nbsp;",
    "<b>bold</b><br/> <!-- comment -->",
    "https://example.org/a_b?c=d&e=%20#f user@example.org www.example.co.uk",
    "let x = {\"a\": [1, 2.5e-3]}; // fn main() -> i32",
    "#hashtag @someone RT: lol :-) :( <3 ^_^",
    # Special tokens in the text.
    "<|endoftext|>",
    "a <|startoftext|> b <|endoftext|> c",
    "a<|startoftext|>b<|endoftext|>c<|endoftext|><|endoftext|>",
    "<|STARTOFTEXT|> <|StartOfText|> <|ENDOFTEXT|> <|EndOfText|>",
    "<|startoftext |> <|endoftext <|end|> |>|endoftext|> <\\|endoftext\\|>",
    "</w> a</w> <w/>",
    # Cut, and nearly.
    " ".join(["flame"] * 75),
    " ".join(["flame"] * 76),
    "\U0001f525 " * 60,
    "pneumonoultramicroscopicsilicovolcanoconiosis" * 6,
    "q" * 1000,
    "zxqj" * 19 + " end",
    "One cold night three people sing by the fire while a small red train runs to the sea and the old dog sleeps. " * 14,
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = os.environ.get("PILOTLIGHT_DATA", HERE.parents[3] / "shared/data")
    parser.add_argument("data", nargs="?", type=Path, default=data, help="the folder with clip, photos and sts")
    data = Path(parser.parse_args().data)

    manifest = json.loads((data / "photos/manifest.json").read_text())
    captions = [caption for photo in manifest for caption in photo["captions"]]
    photos = len(captions)
    for part in ("test", "dev"):
        with open(data / f"sts/stsb-en-{part}.csv", newline="", encoding="utf-8") as rows:
            captions += [row[0] for row in csv.reader(rows)]
    captions = captions[:COUNT]
    assert photos == 380 and len(captions) == COUNT

    file = data / "clip/tokenizer.json"
    model = json.loads(file.read_text())["model"]
    whole = Tokenizer.from_file(str(file))
    plain = Tokenizer.from_file(str(file))
    plain.enable_truncation(LIMIT)
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(file, folder)
        tokenizer = CLIPTokenizer.from_pretrained(folder)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "vocab.json").write_text(json.dumps(model["vocab"]))
        (Path(folder) / "merges.txt").write_text("#version: 0.2\n" + "\n".join(model["merges"]) + "\n", encoding="utf-8")
        vocabulary = CLIPTokenizer.from_pretrained(folder)

    def encode(made, text: str) -> list[int]:
        return made(text, truncation=True, max_length=LIMIT)["input_ids"]

    packed = []
    for caption in captions:
        ids = encode(tokenizer, caption)
        assert ids == plain.encode(caption).ids == encode(vocabulary, caption), caption
        packed += [len(ids), *ids]
    (HERE / "ids.bin").write_bytes(np.array(packed, dtype="<u2").tobytes())

    lines = []
    for text in ODD:
        ids = encode(tokenizer, text)
        assert ids == plain.encode(text).ids, text
        case = {"text": text, "ids": ids, "truncated": len(whole.encode(text).ids) > LIMIT}
        other = encode(vocabulary, text)
        if other != ids:
            case["from_vocabulary"] = other
        lines.append(json.dumps(case, separators=(",", ":")))
    generator = f"transformers {transformers.__version__}, tokenizers {tokenizers.__version__}"
    (HERE / "odd.json").write_text(f'{{"generator":{json.dumps(generator)},\n"limit":{LIMIT},\n"cases":[\n'
                                   + ",\n".join(lines) + "\n]}\n")
    print(f"{len(captions)} captions, {len(packed) - len(captions)} ids; {len(ODD)} odd texts, "
          f"{sum('from_vocabulary' in line for line in lines)} otherwise from vocab.json")


if __name__ == "__main__":
    main()
