"""Reads networks as the package ships them, so that PyTorch computes with the very weights that Rust computes with."""

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn


def load_packed(network: nn.Module, file: Path) -> nn.Module:
    """Fills `network` with the int8 rows of a packed file, each times its scale."""
    tensors = load_file(file)
    state = {}
    for name, into in network.state_dict().items():
        value = tensors[name]
        if value.dtype == torch.int8:
            # Rows are padded to whole fours. A convolution's are [rows, columns, c].
            length = into[0].numel()
            value = value.flatten(1)[:, :length].float() * tensors[f"{name}_scale"][:, None]
            if into.dim() == 4:
                n, c, high, wide = into.shape
                value = value.unflatten(1, (high, wide, c)).permute(0, 3, 1, 2)
        state[name] = value.reshape(into.shape)
    network.load_state_dict(state)
    return network.eval()
