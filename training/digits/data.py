"""MNIST's four IDX files (http://yann.lecun.com/exdb/mnist), plain or gzip."""

import gzip
import hashlib
import struct
from pathlib import Path

import numpy as np
import torch

FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


def read_idx(folder: Path, name: str) -> np.ndarray:
    """Bytes of one IDX file, shaped as its header says."""
    for path in (folder / name, folder / f"{name}.gz"):
        if path.exists():
            data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            break
    else:
        raise SystemExit(f"{folder} has neither {name} nor {name}.gz: MNIST=DIR names the folder of the four IDX files")
    zero, kind, rank = struct.unpack(">HBB", data[:4])
    dims = struct.unpack(f">{rank}I", data[4 : 4 + 4 * rank])
    if zero != 0 or kind != 8 or len(data) != 4 + 4 * rank + int(np.prod(dims)):
        raise SystemExit(f"{path} is not an IDX file of unsigned bytes")
    return np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(dims)


def load(folder: Path, split: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures [n, 1, 28, 28] in -1 to 1, and labels [n]."""
    pictures, labels = (read_idx(folder, name) for name in FILES[split])
    return torch.from_numpy(pictures.copy())[:, None].float() / 127.5 - 1, torch.from_numpy(labels.astype(np.int64))


def digest(folder: Path) -> str:
    """sha256 over the contents of the four files, unpacked, in the order of FILES."""
    hasher = hashlib.sha256()
    for names in FILES.values():
        for name in names:
            hasher.update(read_idx(folder, name).tobytes())
    return hasher.hexdigest()
