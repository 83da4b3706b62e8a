"""Trains the judge, the generator and the VAE on MNIST, in this order. Each goes on where it was stopped.

    python training/digits/train.py MNIST_DIR --out target/digits
"""

import argparse
import json
import math
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

import data
from models import NO_CLASS, Generator, Judge, Vae
from sampler import draw

SEED = 20261121
BATCH = 128


class Training:
    """One network's run: its state, saved after each epoch, and its metrics."""

    def __init__(self, name: str, model: nn.Module, out: Path, epochs: int, rate: float):
        self.name, self.model, self.epochs, self.rate = name, model, epochs, rate
        self.path = out / f"{name}.checkpoint"
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.99), weight_decay=0.01)
        # The running mean of the weights is what is used in the end.
        self.mean = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.999))
        self.history: list[dict] = []
        if self.path.exists():
            state = torch.load(self.path, weights_only=True)
            self.model.load_state_dict(state["model"])
            self.mean.load_state_dict(state["mean"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.history = state["history"]

    def run(self, pictures: Tensor, labels: Tensor, loss_of, after_epoch=lambda epoch, model: {}) -> nn.Module:
        steps = len(pictures) // BATCH
        for epoch in range(len(self.history), self.epochs):
            # Of the epoch alone, so that a resumed run sees the same pictures and the same noise.
            torch.manual_seed(SEED + 1000 * epoch)
            order = torch.randperm(len(pictures))
            started, total = time.monotonic(), 0.0
            self.model.train()
            for step in range(steps):
                self.set_rate(epoch * steps + step, self.epochs * steps)
                batch = order[step * BATCH : (step + 1) * BATCH]
                loss = loss_of(self.model, pictures[batch], labels[batch])
                self.optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
                self.optimizer.step()
                self.mean.update_parameters(self.model)
                total += loss.item()
                if step % 50 == 49:
                    print(f"\r{self.name}: epoch {epoch + 1} of {self.epochs}, batch {step + 1} of {steps}, loss {total / (step + 1):.4f}", end="", flush=True)
            averaged = self.mean.module.eval()
            entry = {"epoch": epoch + 1, "loss": total / steps, "seconds": time.monotonic() - started, **after_epoch(epoch + 1, averaged)}
            self.history.append(entry)
            print("\r" + self.name + ": " + ", ".join(f"{key} {value:.4g}" for key, value in entry.items()), flush=True)
            self.save()
        return self.mean.module.eval()

    def set_rate(self, step: int, steps: int) -> None:
        """Half a cosine, after a linear start."""
        warm = min(1.0, (step + 1) / 500)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * warm * (0.5 + 0.5 * math.cos(math.pi * step / steps))

    def save(self) -> None:
        state = {"model": self.model.state_dict(), "mean": self.mean.state_dict(), "optimizer": self.optimizer.state_dict(), "history": self.history}
        part = self.path.with_suffix(".part")
        torch.save(state, part)
        part.replace(self.path)

    @property
    def seconds(self) -> float:
        return sum(entry["seconds"] for entry in self.history)


def judge_loss(model: Judge, pictures: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(model(distort(pictures)), labels, label_smoothing=0.02)


def distort(pictures: Tensor) -> Tensor:
    """Turns by 10 degrees at most, shears, scales by a tenth, shifts by two pixels."""
    n = len(pictures)
    angle, shear = (torch.rand(n) - 0.5) * 0.35, (torch.rand(n) - 0.5) * 0.3
    scale, shift = 1 + (torch.rand(n, 2) - 0.5) * 0.2, (torch.rand(n, 2) - 0.5) * (8 / 28)
    rows = torch.stack([
        torch.stack([angle.cos() * scale[:, 0], -angle.sin() + shear, shift[:, 0]], dim=1),
        torch.stack([angle.sin(), angle.cos() * scale[:, 1], shift[:, 1]], dim=1),
    ], dim=1)
    grid = F.affine_grid(rows, list(pictures.shape), align_corners=False)
    return F.grid_sample(pictures + 1, grid, align_corners=False) - 1


def flow_loss(model: Generator, pictures: Tensor, labels: Tensor) -> Tensor:
    """The velocity's error, by way of the predicted picture (Liu et al. 2022; Li and He 2025)."""
    n = len(pictures)
    noise = torch.randn_like(pictures)
    t = torch.sigmoid(torch.randn(n) * 1.0 - 0.3)
    uniform = torch.rand(n) < 0.1
    t = torch.where(uniform, torch.rand(n), t)
    labels = torch.where(torch.rand(n) < 0.12, NO_CLASS, labels)
    mixed = t[:, None, None, None] * pictures + (1 - t[:, None, None, None]) * noise
    with torch.autocast("cpu", torch.bfloat16):
        clean = model(mixed, t, labels).float()
    return ((clean - pictures).square().mean(dim=(1, 2, 3)) / (1 - t).clamp(min=0.05).square()).mean()


@torch.no_grad()
def accuracy(judge: Judge, pictures: Tensor, labels: Tensor) -> float:
    right = sum((judge(p).argmax(1) == l).sum().item() for p, l in zip(pictures.split(500), labels.split(500)))
    return right / len(pictures)


def save_grid(pictures: Tensor, path: Path, columns: int = 10) -> None:
    rows = [torch.cat(list(row[:, 0]), dim=1) for row in pictures.split(columns)]
    Image.fromarray(((torch.cat(rows, dim=0) + 1) * 127.5).round().clamp(0, 255).byte().numpy()).save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mnist", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=20, help="of the generator")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    pictures, labels = data.load(options.mnist, "train")
    test_pictures, test_labels = data.load(options.mnist, "test")

    torch.manual_seed(SEED)
    judge_run = Training("judge", Judge(), options.out, epochs=12, rate=2e-3)
    judge = judge_run.run(pictures, labels, judge_loss, lambda epoch, model: {"accuracy": accuracy(model, test_pictures, test_labels)})

    def after_epoch(epoch: int, model: Generator) -> dict:
        drawn = torch.cat([draw(model, part, classes) for part, classes in zip(noise.split(100), wanted.split(100))])
        save_grid(drawn[:100], options.out / f"epoch-{epoch:03}.png")
        return {"agreement": accuracy(judge, drawn, wanted)}

    torch.manual_seed(SEED)
    wanted = torch.arange(10).repeat(50)
    noise = torch.randn(500, 1, 28, 28)
    flow_run = Training("generator", Generator(), options.out, options.epochs, rate=1e-3)
    flow_run.run(pictures, labels, flow_loss, after_epoch)

    torch.manual_seed(SEED)
    vae_run = Training("vae", Vae(), options.out, epochs=12, rate=1e-3)
    vae_run.run(pictures, labels, Vae.loss)

    runs = [judge_run, flow_run, vae_run]
    (options.out / "training.json").write_text(json.dumps({
        "seed": SEED,
        "mnist_sha256": data.digest(options.mnist),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "seconds": {run.name: round(run.seconds) for run in runs},
        "epochs": {run.name: run.history for run in runs},
    }, indent=1))


if __name__ == "__main__":
    main()
