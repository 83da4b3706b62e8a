"""Writes pictures and what Pillow's bicubic resize and a crop of the middle make of them.

    python tests/goldens/resize/make_goldens.py        (pillow==13.0.0, numpy==2.4.6, safetensors==0.8.0)
"""

from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import save_file

HERE = Path(__file__).parent
EDGE = 24
# Width and height: larger, smaller, as large as asked for, a strip, one pixel, odd differences for the crop.
SIZES = [(37, 53), (301, 200), (24, 24), (5, 7), (3, 400), (1, 1), (100, 25), (24, 51)]


def main() -> None:
    random = np.random.default_rng(3)
    expected = {}
    for width, height in SIZES:
        name = f"{width}x{height}"
        # Blocks of noise over a slope: edges, flat parts and single pixels.
        y, x = np.mgrid[:height, :width]
        slope = np.stack([x * 255 / width, y * 255 / height, (x + y) % 256], axis=-1)
        blocks = random.integers(0, 256, (height // 5 + 1, width // 5 + 1, 3)).repeat(5, 0).repeat(5, 1)[:height, :width]
        noise = random.integers(0, 256, (height, width, 3))
        part = random.integers(0, 3, (height // 9 + 1, width // 9 + 1)).repeat(9, 0).repeat(9, 1)[:height, :width, None]
        picture = Image.fromarray(np.choose(part, [slope, blocks, noise]).astype(np.uint8))
        picture.save(HERE / f"{name}.png", optimize=True)
        short = min(width, height)
        size = (EDGE, int(EDGE * height / width)) if width <= height else (int(EDGE * width / height), EDGE)
        assert min(size) == EDGE and short > 0
        resized = picture.resize(size, Image.Resampling.BICUBIC)
        left, top = (size[0] - EDGE) // 2, (size[1] - EDGE) // 2
        expected[name] = np.asarray(resized.crop((left, top, left + EDGE, top + EDGE)))
    save_file(expected, HERE / "expected.safetensors")


if __name__ == "__main__":
    main()
