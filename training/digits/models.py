"""The three networks: the generator that ships, the judge that reads digits, and the plain VAE that the generator has to beat.

`src/models/digits.rs` and `src/models/judge.rs` are the same networks with the same names; `tests/goldens/digits` ties them together.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTH = 48
CONDITION = 128
GROUPS = 8
NO_CLASS = 10


class ResBlock(nn.Module):
    """Two 3x3 convolutions on a residual path; the condition scales and shifts between them (Dhariwal and Nichol 2021, AdaGN)."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm1 = nn.GroupNorm(GROUPS, channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.condition = nn.Linear(CONDITION, 2 * channels)
        self.norm2 = nn.GroupNorm(GROUPS, channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.condition.weight)
        nn.init.zeros_(self.condition.bias)
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.condition(condition)[:, :, None, None].chunk(2, dim=1)
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.norm2(h) * (1 + scale) + shift
        return x + self.conv2(F.silu(h))


class Generator(nn.Module):
    """Predicts the clean picture from a noisy one, its time (0 is noise, 1 is clean) and its class: a U-Net at 14x14 and 7x7."""

    def __init__(self):
        super().__init__()
        self.time1 = nn.Linear(64, CONDITION)
        self.time2 = nn.Linear(CONDITION, CONDITION)
        self.classes = nn.Embedding(11, CONDITION)
        self.stem = nn.Conv2d(1, WIDTH, 3, stride=2, padding=1)
        self.down = nn.ModuleList([ResBlock(WIDTH) for _ in range(2)])
        self.shrink = nn.Conv2d(WIDTH, 2 * WIDTH, 3, stride=2, padding=1)
        self.middle = nn.ModuleList([ResBlock(2 * WIDTH) for _ in range(3)])
        self.grow = nn.Conv2d(2 * WIDTH, WIDTH, 1)
        self.up = nn.ModuleList([ResBlock(WIDTH) for _ in range(2)])
        self.norm = nn.GroupNorm(GROUPS, WIDTH)
        self.head = nn.Conv2d(WIDTH, 4, 3, padding=1)

    def forward(self, x: Tensor, time: Tensor, classes: Tensor) -> Tensor:
        condition = self.time2(F.silu(self.time1(frequencies(time)))) + self.classes(classes)
        condition = F.silu(condition)
        h = self.stem(x)  # [b, 48, 14, 14]
        for block in self.down:
            h = block(h, condition)
        skip = h
        h = self.shrink(h)  # [b, 96, 7, 7]
        for block in self.middle:
            h = block(h, condition)
        h = F.interpolate(self.grow(h), scale_factor=2, mode="nearest") + skip
        for block in self.up:
            h = block(h, condition)
        h = self.head(F.silu(self.norm(h)))  # [b, 4, 14, 14]
        return F.pixel_shuffle(h, 2)  # [b, 1, 28, 28]


def frequencies(time: Tensor) -> Tensor:
    """Sines and cosines of the time at 32 frequencies from 1 to 1000 [b] -> [b, 64] (Vaswani et al. 2017, section 3.5)."""
    rates = torch.exp(torch.arange(32, device=time.device) * (math.log(1000) / 31))
    angles = time[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class Judge(nn.Module):
    """Reads a digit. Its last hidden layer, 64 numbers, is the space in which sets of pictures are compared."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 24, 3, stride=1, padding=1)
        self.norm1 = nn.GroupNorm(GROUPS, 24)
        self.conv2 = nn.Conv2d(24, 48, 3, stride=2, padding=1)
        self.norm2 = nn.GroupNorm(GROUPS, 48)
        self.conv3 = nn.Conv2d(48, 48, 3, padding=1)
        self.norm3 = nn.GroupNorm(GROUPS, 48)
        self.conv4 = nn.Conv2d(48, 64, 3, stride=2, padding=1)
        self.norm4 = nn.GroupNorm(GROUPS, 64)
        self.conv5 = nn.Conv2d(64, 64, 3, stride=2, padding=1)
        self.norm5 = nn.GroupNorm(GROUPS, 64)
        self.hidden = nn.Linear(64 * 16, 64)
        self.output = nn.Linear(64, 10)

    def features(self, x: Tensor) -> Tensor:
        x = F.silu(self.norm1(self.conv1(x)))  # [b, 24, 28, 28]
        x = F.silu(self.norm2(self.conv2(x)))  # [b, 48, 14, 14]
        x = F.silu(self.norm3(self.conv3(x)))
        x = F.silu(self.norm4(self.conv4(x)))  # [b, 64, 7, 7]
        x = F.silu(self.norm5(self.conv5(x)))  # [b, 64, 4, 4]
        # Channels last, as the Rust body holds them.
        return F.silu(self.hidden(x.permute(0, 2, 3, 1).flatten(1)))

    def forward(self, x: Tensor) -> Tensor:
        return self.output(F.dropout(self.features(x), 0.3, self.training))


class Vae(nn.Module):
    """A plain convolutional VAE conditioned on the class (Kingma and Welling 2013; Sohn et al. 2015), as many parameters as the generator."""

    def __init__(self, latent: int = 16):
        super().__init__()
        self.latent = latent
        self.encode1 = nn.Conv2d(1 + 10, 48, 3, stride=2, padding=1)
        self.encode2 = nn.Conv2d(48, 96, 3, stride=2, padding=1)
        self.encode3 = nn.Linear(96 * 49, 2 * latent)
        self.decode1 = nn.Linear(latent + 10, 128 * 49)
        self.decode2 = nn.Conv2d(128, 128, 3, padding=1)
        self.decode3 = nn.Conv2d(128, 128, 3, padding=1)
        self.decode4 = nn.Conv2d(128, 96, 3, padding=1)
        self.decode5 = nn.Conv2d(96, 96, 3, padding=1)
        self.decode6 = nn.Conv2d(96, 4, 3, padding=1)

    def encode(self, x: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        planes = F.one_hot(classes, 10).float()[:, :, None, None].expand(-1, -1, 28, 28)
        h = F.silu(self.encode1(torch.cat([x, planes], dim=1)))
        h = F.silu(self.encode2(h)).flatten(1)
        return self.encode3(h).chunk(2, dim=1)

    def decode(self, z: Tensor, classes: Tensor) -> Tensor:
        """Logits of the grey values."""
        h = F.silu(self.decode1(torch.cat([z, F.one_hot(classes, 10).float()], dim=1))).unflatten(1, (128, 7, 7))
        h = F.silu(self.decode3(F.silu(self.decode2(h))))
        h = F.interpolate(F.silu(self.decode4(h)), scale_factor=2, mode="nearest")
        return F.pixel_shuffle(self.decode6(F.silu(self.decode5(h))), 2)

    def loss(self, x: Tensor, classes: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            mean, log_variance = (part.float() for part in self.encode(x, classes))
            z = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
            logits = self.decode(z, classes).float()
        fit = F.binary_cross_entropy_with_logits(logits, (x + 1) / 2, reduction="sum")
        divergence = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum()
        return (fit + divergence) / len(x)

    def sample(self, classes: Tensor) -> Tensor:
        """Pictures [n, 1, 28, 28] in -1 to 1."""
        return self.decode(torch.randn(len(classes), self.latent), classes).sigmoid() * 2 - 1
