"""Writes the trained CLIP: its f32 weights next to the checkpoint, its small files where the package takes them from.

    python training/clip/export.py target/clip
"""

import json
import shutil
import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer

import tokenizer
from model import MEAN, STD, create
from scenes import SIDE

WEIGHTS = Path(__file__).parents[2] / "weights/tiny-clip"


def preprocessing() -> dict:
    return {
        "image_processor_type": "CLIPImageProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"shortest_edge": SIDE},
        "resample": 3,
        "do_center_crop": True,
        "crop_size": {"height": SIDE, "width": SIDE},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": MEAN,
        "image_std": STD,
    }


def main() -> None:
    folder = Path(sys.argv[1])
    words = Tokenizer.from_file(str(folder / "tokenizer.json"))
    model = create(words)
    model.load_state_dict(torch.load(folder / "clip.checkpoint", weights_only=True)["model"])
    model.save_pretrained(folder)
    small = {
        "preprocessor_config.json": preprocessing(),
        "tokenizer_config.json": {
            "tokenizer_class": "CLIPTokenizer", "model_max_length": model.config.text_config.max_position_embeddings,
            "bos_token": tokenizer.START, "eos_token": tokenizer.END, "unk_token": tokenizer.END, "pad_token": tokenizer.END,
        },
    }
    for name, content in small.items():
        (folder / name).write_text(json.dumps(content, indent=2) + "\n")
    WEIGHTS.mkdir(parents=True, exist_ok=True)
    for name in ("config.json", "tokenizer.json", *small):
        shutil.copy(folder / name, WEIGHTS / name)
    print(f"{folder / 'model.safetensors'}: {sum(tensor.numel() for tensor in model.parameters())} parameters")


if __name__ == "__main__":
    main()
