"""The parts that the CLIP goldens share: pixels as CLIPImageProcessor makes them, token ids, and features by transformers."""

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps

PICTURES = Path(__file__).resolve().parents[1] / "resize"
# Fixed, so that pictures added there later change nothing here. All are RGB and lossless.
PICTURE_NAMES = [f"{size}.png" for size in ("100x25", "1x1", "24x24", "24x51", "301x200", "37x53", "3x400", "5x7")]


def preprocess(path: Path, config: dict) -> np.ndarray:
    """`[3, s, s]` f32 by the classic preprocessor_config.json: shorter edge to s (bicubic), middle crop, normalize."""
    size, crop = config["size"], config["crop_size"]
    edge = size["shortest_edge"] if isinstance(size, dict) else size
    crop = crop["height"] if isinstance(crop, dict) else crop
    assert config["resample"] == 3 and edge == crop, config
    with Image.open(path) as opened:
        picture = ImageOps.exif_transpose(opened).convert("RGB")
    width, height = picture.size
    new = (edge, int(edge * height / width)) if width <= height else (int(edge * width / height), edge)
    left, top = (new[0] - edge) // 2, (new[1] - edge) // 2
    picture = picture.resize(new, Image.Resampling.BICUBIC).crop((left, top, left + edge, top + edge))
    pixels = np.asarray(picture).astype(np.float64) * config.get("rescale_factor", 1 / 255)
    pixels = (pixels - np.array(config["image_mean"])) / np.array(config["image_std"])
    return pixels.astype(np.float32).transpose(2, 0, 1)


def token_ids(tokenizer, text: str, max_tokens: int) -> tuple[list[int], bool]:
    """Ids with both special tokens, and whether the text between them was cut: the end token stays last."""
    tokenizer.no_padding()
    tokenizer.no_truncation()
    whole = tokenizer.encode(text).ids
    tokenizer.enable_truncation(max_tokens)
    ids = tokenizer.encode(text).ids
    return ids, len(whole) > len(ids)


@torch.inference_mode()
def image_features(model, pixels: np.ndarray) -> torch.Tensor:
    """Projected, not normalized. One picture at a time."""
    dtype = model.logit_scale.dtype
    return model.get_image_features(pixel_values=torch.from_numpy(pixels)[None].to(dtype)).pooler_output[0]


@torch.inference_mode()
def text_features(model, ids: list[int]) -> torch.Tensor:
    """Projected, not normalized. One text at a time, so without padding."""
    return model.get_text_features(input_ids=torch.tensor([ids])).pooler_output[0]


def write_cases(path: Path, head: dict, cases: dict[str, list]) -> None:
    """JSON with one case per line."""
    fields = [f"{json.dumps(name)}:{json.dumps(value)}" for name, value in head.items()]
    for name, rows in cases.items():
        lines = ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows)
        fields.append(f"{json.dumps(name)}:[\n{lines}\n]")
    path.write_text("{" + ",\n".join(fields) + "}\n")


def cosines(features: torch.Tensor) -> str:
    """Mean, lowest and highest cosine between different rows."""
    unit = torch.nn.functional.normalize(features.double(), dim=1)
    rows, columns = torch.triu_indices(len(unit), len(unit), 1)
    values = (unit @ unit.T)[rows, columns]
    return f"cosines of {len(values)} pairs: mean {values.mean():.3f}, {values.min():.3f} to {values.max():.3f}"
