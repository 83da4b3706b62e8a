"""Draws with the generator, as `src/tasks/digit_generator.rs` does."""

import math

import torch
from torch import Tensor

from models import NO_CLASS, Generator

STEPS = 7
GUIDANCE = 1.75
# Guidance acts at these times only, while the digit takes shape (Kynkaanniemi et al. 2024).
GUIDED = (0.2, 0.5)


@torch.no_grad()
def draw(model: Generator, noise: Tensor, classes: Tensor, steps: int = STEPS, guidance: float = GUIDANCE) -> Tensor:
    """Pictures [n, 1, 28, 28] in -1 to 1 of noise [n, 1, 28, 28]: DPM-Solver++(2M) (Lu et al. 2022) on the straight path of rectified flow."""
    x, before, last = noise, None, None
    for step in range(steps):
        now, then = step / steps, (step + 1) / steps
        time = torch.full((len(x),), now)
        clean = model(x, time, classes)
        if guidance != 1 and GUIDED[0] <= now < GUIDED[1]:
            free = model(x, time, torch.full_like(classes, NO_CLASS))
            clean = free + guidance * (clean - free)
        # Half the logarithm of the signal-to-noise ratio is the solver's time.
        log_now = math.log(now / (1 - now)) if now > 0 else -math.inf
        log_then = math.log(then / (1 - then)) if then < 1 else math.inf
        length = log_then - log_now
        guess = clean
        if before is not None and math.isfinite(length) and math.isfinite(last):
            guess = clean + (clean - before) * (length / (2 * last))
        x = (1 - then) / (1 - now) * x - then * math.expm1(-length) * guess
        before, last = clean, length
    return x.clamp(-1, 1)
