"""Writes expected.safetensors beside itself: what PyTorch makes of the packed networks in weights/.

    python tests/goldens/digits/make_goldens.py        (packages as in training/digits/requirements.txt)
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
sys.path.insert(0, str(ROOT / "training/digits"))

from models import NO_CLASS, Generator, Judge  # noqa: E402
from packed import load_packed  # noqa: E402
from sampler import draw  # noqa: E402


@torch.no_grad()
def main() -> None:
    generator = load_packed(Generator(), ROOT / "weights/generator.safetensors")
    judge = load_packed(Judge(), ROOT / "weights/judge.safetensors")
    torch.manual_seed(5)
    noise = torch.randn(4, 1, 28, 28)
    classes = torch.tensor([3, 8, 0, NO_CLASS])
    expected = {"noise": noise}
    for time in (0.0, 0.25, 0.875):
        expected[f"clean_{time}"] = generator(noise, torch.full((4,), time), classes)
    for steps, guidance in ((7, 1.75), (12, 3.0), (3, 1.0), (1, 4.0)):
        expected[f"drawn_{steps}_{guidance}"] = draw(generator, noise[:3], classes[:3], steps=steps, guidance=guidance)
    # As bytes, because that is what the judge reads.
    bytes_of = ((expected["drawn_7_1.75"] + 1) * 127.5).round().clamp(0, 255)
    expected["grey"] = bytes_of.byte()
    expected["probabilities"] = judge(bytes_of / 127.5 - 1).softmax(dim=1)
    save_file({name: value.contiguous() for name, value in expected.items()}, HERE / "expected.safetensors")


if __name__ == "__main__":
    main()
