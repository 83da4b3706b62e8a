"""Measures drawn digits against MNIST: agreement with the judge, Fréchet distance, copying, variety.

    python training/digits/evaluate.py MNIST_DIR --drawn target/digits/drawn.u8 --out target/digits

`drawn.u8` holds 10,000 pictures of the package, in the order of the test set's labels. Writes evaluation.json.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import data
from models import Judge, Vae
from packed import load_packed

ROOT = Path(__file__).parents[2]
SEED = 20261121


@torch.no_grad()
def features(judge: Judge, pictures: Tensor) -> np.ndarray:
    """The judge's last hidden layer, [n, 64]."""
    return torch.cat([judge.features(part) for part in pictures.split(500)]).double().numpy()


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """Between the normal distributions nearest to two sets of features [n, d] (Dowson and Landau 1982; Heusel et al. 2017)."""
    mean = ((a.mean(axis=0) - b.mean(axis=0)) ** 2).sum()
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    # The trace of a product's root is the sum of the roots of its eigenvalues, taken of a symmetric matrix that has the same.
    values, vectors = np.linalg.eigh(cov_a)
    root = vectors * np.sqrt(values.clip(min=0)) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ cov_b @ root).clip(min=0)).sum()
    return float(mean + np.trace(cov_a) + np.trace(cov_b) - 2 * cross)


@torch.no_grad()
def nearest(pictures: Tensor, training: Tensor) -> Tensor:
    """The Euclidean distance of each picture to the nearest training picture, over pixels in -1 to 1."""
    training = training.flatten(1)
    return torch.cat([torch.cdist(part, training).min(dim=1).values for part in pictures.flatten(1).split(250)])


@torch.no_grad()
def spread(pictures: Tensor, labels: Tensor) -> np.ndarray:
    """The mean distance between two pictures of a class, for each class [10]."""
    means = []
    for digit in range(10):
        distances = torch.pdist(pictures[labels == digit].flatten(1))
        means.append(distances.mean().item())
    return np.array(means)


class Judged:
    """The test set and the training set as the judge sees them: what every set of pictures is measured against."""

    def __init__(self, mnist: Path, judge: Judge):
        self.judge = judge
        self.training, _ = data.load(mnist, "train")
        self.test, self.labels = data.load(mnist, "test")
        self.features = features(judge, self.test)
        self.floor = frechet(features(judge, self.training[:10_000]), self.features)
        with torch.no_grad():
            self.accuracy = (judge.output(torch.from_numpy(self.features).float()).argmax(1) == self.labels).double().mean().item()

    def measure(self, pictures: Tensor) -> dict[str, float]:
        """Of pictures [10000, 1, 28, 28] in -1 to 1 that were to have the test set's labels, in their order."""
        seen = features(self.judge, pictures)
        with torch.no_grad():
            read = self.judge.output(torch.from_numpy(seen).float()).argmax(1)
        distance = frechet(seen, self.features)
        return {
            "agreement": (read == self.labels).double().mean().item(),
            "frechet": distance,
            "frechet_over_floor": distance / self.floor,
        }

    def copying(self, pictures: Tensor) -> float:
        """The share of pictures as near to a training picture as one in a hundred test pictures is."""
        limit = torch.quantile(nearest(self.test, self.training), 0.01)
        return (nearest(pictures, self.training) < limit).double().mean().item()

    def variety(self, pictures: Tensor) -> np.ndarray:
        """Of each class [10], 1 being the test set's."""
        return spread(pictures, self.labels) / spread(self.test, self.labels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mnist", type=Path)
    parser.add_argument("--drawn", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="the folder of train.py, with the VAE's checkpoint")
    options = parser.parse_args()
    judged = Judged(options.mnist, load_packed(Judge(), ROOT / "weights/judge.safetensors"))
    drawn = torch.from_numpy(np.fromfile(options.drawn, np.uint8)).view(-1, 1, 28, 28).float() / 127.5 - 1
    if len(drawn) != len(judged.test):
        raise SystemExit(f"{options.drawn} has {len(drawn)} pictures, expected {len(judged.test)}")

    vae = Vae()
    mean = torch.load(options.out / "vae.checkpoint", weights_only=True)["mean"]
    vae.load_state_dict({key.removeprefix("module."): value for key, value in mean.items() if key.startswith("module.")})
    torch.manual_seed(SEED)
    with torch.no_grad():
        painted = torch.cat([vae.sample(labels) for labels in judged.labels.split(500)])

    variety = judged.variety(drawn)
    report = {
        "judge_accuracy": judged.accuracy,
        "frechet_floor": judged.floor,
        "generator": {
            **judged.measure(drawn),
            "copied": judged.copying(drawn),
            "variety": float(variety.mean()),
            "variety_least": float(variety.min()),
            "variety_most": float(variety.max()),
        },
        "vae": judged.measure(painted),
    }
    (options.out / "evaluation.json").write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
