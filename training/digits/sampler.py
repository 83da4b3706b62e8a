"""Draws with the generator, as `src/tasks/generate.rs` does."""

import math

import torch
from torch import Tensor

from models import NO_CLASS, Generator

STEPS = 8
GUIDANCE = 1.5
# Guidance acts on these steps only: early ones decide the digit, late ones its outline (Kynkaanniemi et al. 2024).
GUIDED_FROM, GUIDED_TO = 0.0, 0.6


def times(steps: int) -> list[float]:
    """From 0, noise, to 1, the picture: equal steps."""
    return [i / steps for i in range(steps + 1)]


@torch.no_grad()
def draw(model: Generator, noise: Tensor, classes: Tensor, steps: int = STEPS, guidance: float = GUIDANCE,
         interval: tuple[float, float] = (GUIDED_FROM, GUIDED_TO), schedule=times) -> Tensor:
    """Pictures [n, 1, 28, 28] in -1 to 1 of noise [n, 1, 28, 28]: DPM-Solver++(2M) (Lu et al. 2022) on the straight path of rectified flow."""
    x, before, last = noise, None, None
    grid = schedule(steps)
    for now, then in zip(grid, grid[1:]):
        time = torch.full((len(x),), now)
        clean = model(x, time, classes)
        if guidance != 1 and interval[0] <= now < interval[1]:
            free = model(x, time, torch.full_like(classes, NO_CLASS))
            clean = free + guidance * (clean - free)
        # Half the logarithm of the signal-to-noise ratio is the solver's time.
        log_now = math.log(now / (1 - now)) if now > 0 else -math.inf
        log_then = math.log(then / (1 - then)) if then < 1 else math.inf
        step = log_then - log_now
        guess = clean
        if before is not None and math.isfinite(step) and math.isfinite(last):
            guess = clean + (clean - before) * (step / (2 * last))
        x = (1 - then) / (1 - now) * x - then * math.expm1(-step) * guess
        before, last = clean, step
    return x.clamp(-1, 1)
