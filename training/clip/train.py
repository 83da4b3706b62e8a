"""Trains the tiny CLIP on pictures that it draws as it goes, so that no two batches are alike. Goes on where it was stopped.

    python training/clip/train.py --out target/clip
"""

import argparse
import json
import math
import random
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import CLIPModel

import evaluate
import scenes
import testset
import tokenizer
from draw import draw
from model import WIDTH, create, picture_vectors, pixels, text_vectors, tokens

SEED = 20261121
BATCH = 128
RATE = 3e-3
EVERY = 250  # steps between checkpoints
# Whoever goes on must not have learned what is held out now.
WORLD = zlib.crc32(Path(scenes.__file__).read_bytes())
# Of a drawing to its size, from sharp to soft: the edges of another rasterizer must not matter.
FILTERS = (Image.Resampling.BOX, Image.Resampling.BILINEAR, Image.Resampling.HAMMING, Image.Resampling.BICUBIC)


def batch(step: int) -> tuple[Tensor, list[str], Tensor, Tensor, Tensor]:
    """Makes pictures, captions, whether each caption (row) is true of each picture (column), and the facts of both, from the step's number alone."""
    rng = random.Random(SEED + step)
    facts = [one for _ in range(BATCH // 4) for one in scenes.family(rng)]
    captions = [scenes.caption(one, rng) for one in facts]
    pictures = pixels([draw(scenes.layout(one, rng), rng.choice(FILTERS)) for one in facts])
    level = lambda spread: (torch.rand(BATCH, 1, 1, 1) - 0.5) * 2 * spread
    pictures = (pictures * (1 + level(0.08)) + level(0.05)).clamp(0, 1)
    shown, told = np.array(facts), np.array([caption.says for caption in captions])
    either = np.array([caption.either for caption in captions])
    fits = scenes.fits(told, either, shown)
    told[either] = scenes.UNSAID
    return pictures, [caption.text for caption in captions], torch.from_numpy(fits), torch.from_numpy(shown), torch.from_numpy(told)


def contrastive_loss(scale: Tensor, seen: Tensor, read: Tensor, fits: Tensor) -> tuple[Tensor, float]:
    """CLIP's, but a caption that is also true of another picture does not count as wrong for it. And the share of captions that find theirs."""
    logits = scale * F.normalize(read, dim=1) @ F.normalize(seen, dim=1).T
    own = torch.arange(len(logits))
    logits = logits.masked_fill(fits & (own[:, None] != own), -torch.inf)
    return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2, (logits.argmax(1) == own).float().mean().item()


class Quiz(nn.Module):
    """Reads each fact off a vector, be it a picture's or a caption's.

    It shows both towers early what matters, and is thrown away after training.
    """

    CLASSES = (6, len(scenes.BACKGROUND), len(scenes.THING), len(scenes.COLOUR), 2, len(scenes.PLACE), len(scenes.SHAPES), len(scenes.COLOUR), 2, 2)

    def __init__(self) -> None:
        super().__init__()
        self.reader = nn.Linear(WIDTH, sum(self.CLASSES))

    def forward(self, vectors: Tensor, facts: Tensor) -> Tensor:
        answers = self.reader(vectors).split(self.CLASSES, dim=1)
        # Neither what a caption leaves out nor what a picture has not is asked.
        return sum(F.cross_entropy(answer[fact >= 0], fact[fact >= 0], reduction="sum") for answer, fact in zip(answers, facts.T)) / len(facts)


def optimizers(model: CLIPModel, quiz: Quiz) -> list[torch.optim.Optimizer]:
    """Muon for the layers' matrices, AdamW for everything else."""
    matrices = [tensor for name, tensor in model.named_parameters() if ".layers." in name and tensor.dim() == 2]
    others = [tensor for name, tensor in model.named_parameters() if ".layers." not in name or tensor.dim() != 2]
    decayed, plain = ([tensor for tensor in others if (tensor.dim() > 1) == wanted] for wanted in (True, False))
    return [
        torch.optim.Muon(matrices, weight_decay=0.1, momentum=0.95, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW([{"params": decayed, "weight_decay": 0.1}, {"params": plain + list(quiz.parameters()), "weight_decay": 0.0}], betas=(0.9, 0.98)),
    ]


class Training:
    """The run's state, saved at each checkpoint, and its history."""

    def __init__(self, out: Path, words: Tokenizer, steps: int):
        torch.manual_seed(SEED)
        self.path, self.words, self.steps = out / "clip.checkpoint", words, steps
        self.model, self.quiz = create(words), Quiz()
        self.optimizers = optimizers(self.model, self.quiz)
        self.history: list[dict] = []
        if self.path.exists():
            state = torch.load(self.path, weights_only=True)
            if state.get("world") != WORLD:
                sys.exit(f"{self.path} learned another world than scenes.py now tells of; without it training begins anew")
            self.model.load_state_dict(state["model"])
            self.quiz.load_state_dict(state["quiz"])
            for optimizer, kept in zip(self.optimizers, state["optimizers"]):
                optimizer.load_state_dict(kept)
            self.history = state["history"]
        # Held out like the test set, but others.
        self.entries = testset.make(SEED, share=0.3)
        self.pictures = pixels([draw(entry["scene"]) for entry in self.entries])

    def run(self) -> None:
        started, totals = time.monotonic(), []
        for step in range(self.history[-1]["step"] if self.history else 0, self.steps):
            totals.append(self.step(step))
            if (step + 1) % 25 == 0:
                print(f"\rstep {step + 1} of {self.steps}, loss {np.mean([total[0] for total in totals[-25:]]):.3f}", end="", flush=True)
            if (step + 1) % EVERY == 0 or step + 1 == self.steps:
                loss, quiz, right = np.mean(totals, axis=0).tolist()
                seconds = time.monotonic() - started
                self.model.eval()
                held_out = evaluate.measure(self.model, self.words, self.entries, self.pictures)
                self.model.train()
                entry = {"step": step + 1, "loss": loss, "quiz": quiz, "right": right, "zero_shot": held_out["zero_shot"], "recall": held_out["recall_at_1"], "scale": self.model.logit_scale.exp().item(), "seconds": seconds}
                self.history.append(entry)
                print("\r" + ", ".join(f"{key} {value:.4g}" for key, value in entry.items()), flush=True)
                self.save()
                started, totals = time.monotonic(), []

    def step(self, step: int) -> tuple[float, float, float]:
        torch.manual_seed(SEED + step)
        pictures, texts, fits, shown, told = batch(step)
        # A linear start, then level, and linearly to nothing over the last half.
        rate = RATE * min(1.0, (step + 1) / 60, (self.steps - step) / (0.5 * self.steps))
        for group in (group for optimizer in self.optimizers for group in optimizer.param_groups):
            group["lr"] = rate
        with torch.autocast("cpu", torch.bfloat16):
            seen, read = picture_vectors(self.model, pictures), text_vectors(self.model, tokens(self.words, texts))
        loss, right = contrastive_loss(self.model.logit_scale.exp(), seen, read, fits)
        quiz = self.quiz(seen, shown) + self.quiz(read, told)
        # It helps at first, and is out of the way when the rate falls.
        share = 0.3 * max(0.0, 1 - step / (0.6 * self.steps))
        (loss + share * quiz).backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad()
        with torch.no_grad():
            self.model.logit_scale.clamp_(max=math.log(100))
        return loss.item(), quiz.item(), right

    def save(self) -> None:
        state = {"world": WORLD, "model": self.model.state_dict(), "quiz": self.quiz.state_dict(), "optimizers": [optimizer.state_dict() for optimizer in self.optimizers], "history": self.history}
        part = self.path.with_suffix(".part")
        torch.save(state, part)
        part.replace(self.path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=4100)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    vocabulary = options.out / "tokenizer.json"
    if not vocabulary.exists():
        vocabulary.write_text(tokenizer.train(), encoding="utf-8")
    training = Training(options.out, Tokenizer.from_file(str(vocabulary)), options.steps)
    training.run()
    (options.out / "training.json").write_text(json.dumps({
        "seed": SEED,
        "torch": torch.__version__,
        "parameters": sum(tensor.numel() for tensor in training.model.parameters()),
        "pictures": BATCH * options.steps,
        "seconds": round(sum(entry["seconds"] for entry in training.history)),
        "history": training.history,
    }, indent=1))


if __name__ == "__main__":
    main()
