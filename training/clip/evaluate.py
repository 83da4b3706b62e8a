"""Measures the exported model on the fixed test set: zero-shot choice among labels, and search by caption.

    python training/clip/evaluate.py target/clip
"""

import io
import json
import sys
from collections import defaultdict
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from tokenizers import Tokenizer
from torch import Tensor
from transformers import CLIPModel

from model import picture_vectors, pixels, text_vectors, tokens

TESTS = Path(__file__).parents[2] / "tests/goldens/clip-scenes"


def load(folder: Path) -> tuple[list[dict], list[Image.Image]]:
    """The test set's entries, labels spelled out, and its pictures."""
    stored, pictures = json.loads((folder / "scenes.json").read_text()), []
    entries, packed = stored["scenes"], io.BytesIO((folder / "pictures.bin").read_bytes())
    for entry in entries:
        pictures.append(Image.open(io.BytesIO(packed.read(entry["length"]))))
        entry["labels"] = stored["labels"][entry["labels"]]
        entry["label"] = entry["labels"][entry["label"]]
    return entries, pictures


@torch.no_grad()
def measure(model: CLIPModel, words: Tokenizer, entries: list[dict], pictures: Tensor) -> dict:
    seen = F.normalize(torch.cat([picture_vectors(model, part) for part in pictures.split(100)]), dim=1)
    read = lambda texts: F.normalize(torch.cat([text_vectors(model, tokens(words, texts[i : i + 200])) for i in range(0, len(texts), 200)]), dim=1)
    every = sorted({label for entry in entries for label in entry["labels"]})
    labels = dict(zip(every, read(every)))
    right, wrong = defaultdict(list), []
    for entry, picture in zip(entries, seen):
        choice = entry["labels"][int((torch.stack([labels[label] for label in entry["labels"]]) @ picture).argmax())]
        right[entry["category"]].append(choice == entry["label"])
        if choice != entry["label"]:
            wrong.append(f"{entry['label']} taken for {choice}")
    own = torch.arange(len(entries))
    found = read([entry["caption"] for entry in entries]) @ seen.T
    ranks = (found > found.diagonal()[:, None]).sum(1)
    return {
        "pictures": len(entries),
        "zero_shot": sum(map(sum, right.values())) / len(entries),
        "categories": {name: {"pictures": len(all_), "zero_shot": sum(all_) / len(all_)} for name, all_ in sorted(right.items())},
        "recall_at_1": (found.argmax(1) == own).float().mean().item(),
        "recall_at_5": (ranks < 5).float().mean().item(),
        "wrong": wrong,
    }


def main() -> None:
    folder = Path(sys.argv[1])
    torch.set_num_threads(1)
    model = CLIPModel.from_pretrained(folder, attn_implementation="eager").eval()
    entries, pictures = load(TESTS)
    result = measure(model, Tokenizer.from_file(str(folder / "tokenizer.json")), entries, pixels(pictures))
    for name, category in result["categories"].items():
        print(f"{name:18} {category['pictures']:5} pictures  {category['zero_shot']:.1%}")
    print(f"{'zero-shot overall':18} {result['pictures']:5} pictures  {result['zero_shot']:.1%}")
    print(f"search: the right picture first {result['recall_at_1']:.1%}, among the first five {result['recall_at_5']:.1%}")
    (folder / "evaluation.json").write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
