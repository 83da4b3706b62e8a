"""Writes the trained networks as safetensors, in the layout of the Rust networks: channels last.

    python training/digits/export.py target/digits
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

NETWORKS = ("generator", "judge")


def rows(tensor: torch.Tensor) -> torch.Tensor:
    """A convolution's [n, c, rows, columns] as [n, rows · columns · c]; anything else as it is."""
    return tensor.permute(0, 2, 3, 1).flatten(1).contiguous() if tensor.dim() == 4 else tensor.contiguous()


def main() -> None:
    folder = Path(sys.argv[1])
    for name in NETWORKS:
        mean = torch.load(folder / f"{name}.checkpoint", weights_only=True)["mean"]
        tensors = {key.removeprefix("module."): rows(value) for key, value in mean.items() if key.startswith("module.")}
        save_file(tensors, folder / f"{name}.safetensors")
        print(f"{name}.safetensors: {sum(tensor.numel() for tensor in tensors.values())} parameters")


if __name__ == "__main__":
    main()
