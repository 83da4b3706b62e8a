"""Draws a scene. Every outline is a polygon to fill or polylines to stroke, so that a canvas draws the same.

    python training/clip/draw.py SHEET.png      # a sheet of examples
"""

import math
import random
import sys

from PIL import Image, ImageDraw

import scenes

SCALE = 4  # drawn so many times as large, then reduced: that is the anti-aliasing


def arc(x: float, y: float, radius: float, start: float, end: float, steps: int = 24) -> list[tuple[float, float]]:
    """Points on a circle, angles in degrees, clockwise from the right as y goes down."""
    angles = [math.radians(start + (end - start) * step / steps) for step in range(steps + 1)]
    return [(x + radius * math.cos(angle), y + radius * math.sin(angle)) for angle in angles]


def star() -> list[tuple[float, float]]:
    return [(r * math.sin(math.pi * i / 5), -r * math.cos(math.pi * i / 5)) for i in range(10) for r in [(1.05, 0.43)[i % 2]]]


def heart() -> list[tuple[float, float]]:
    turns = [2 * math.pi * step / 40 for step in range(40)]
    return [(math.sin(t) ** 3, -(13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)) / 16 - 0.1) for t in turns]


# Points of a circle with radius 1 about the origin.
FILLED = {
    "circle": arc(0, 0, 0.95, 0, 360, 48),
    "square": [(-0.8, -0.8), (0.8, -0.8), (0.8, 0.8), (-0.8, 0.8)],
    "triangle": [(0, -0.95), (0.95, 0.75), (-0.95, 0.75)],
    "star": star(),
    "heart": heart(),
    "diamond": [(0, -1), (0.66, 0), (0, 1), (-0.66, 0)],
    "cross": [(-0.3, -0.95), (0.3, -0.95), (0.3, -0.3), (0.95, -0.3), (0.95, 0.3), (0.3, 0.3), (0.3, 0.95), (-0.3, 0.95), (-0.3, 0.3), (-0.95, 0.3), (-0.95, -0.3), (-0.3, -0.3)],
    "moon": arc(0.1, 0, 1, 60, 300, 32) + arc(0.6, 0, 0.866, 270, 90, 24),
    "arrow": [(-1, -0.27), (0.05, -0.27), (0.05, -0.8), (1, 0), (0.05, 0.8), (0.05, 0.27), (-1, 0.27)],
}
STROKED = {
    "ring": (0.36, [arc(0, 0, 0.78, 0, 360, 48)]),
    "zero": (0.32, [[(x * 0.56, y * 0.84) for x, y in arc(0, 0, 1, 0, 360, 32)]]),
    "one": (0.32, [[(-0.35, -0.5), (0.05, -0.84), (0.05, 0.84)]]),
    "two": (0.32, [arc(0, -0.34, 0.5, 190, 390, 20) + [(-0.5, 0.84), (0.55, 0.84)]]),
    "three": (0.32, [arc(-0.05, -0.42, 0.42, 200, 450, 20) + arc(-0.05, 0.38, 0.46, 270, 520, 20)]),
    "four": (0.32, [[(0.28, 0.84), (0.28, -0.84), (-0.6, 0.3), (0.62, 0.3)]]),
    "five": (0.32, [[(0.5, -0.84), (-0.4, -0.84), (-0.46, -0.1)] + arc(0, 0.3, 0.54, 225, 510, 24)]),
    "six": (0.32, [[(0.35, -0.84), (-0.2, -0.4), (-0.48, 0.15)], arc(0, 0.34, 0.5, 0, 360, 32)]),
    "seven": (0.32, [[(-0.52, -0.84), (0.54, -0.84), (-0.12, 0.84)]]),
    "eight": (0.32, [arc(0, -0.44, 0.4, 0, 360, 28), arc(0, 0.4, 0.46, 0, 360, 28)]),
    "nine": (0.32, [[(-0.35, 0.84), (0.2, 0.4), (0.48, -0.15)], arc(0, -0.34, 0.5, 0, 360, 32)]),
}


def draw(scene: dict, filter: Image.Resampling = Image.Resampling.BOX) -> Image.Image:
    canvas = Image.new("RGB", (scenes.SIDE * SCALE, scenes.SIDE * SCALE), tuple(scene["ground"]))
    pen = ImageDraw.Draw(canvas)
    for thing in scene["objects"]:
        radius, rgb = thing["radius"] * SCALE, tuple(thing["rgb"])
        cos, sin = math.cos(thing["turn"]) * radius, math.sin(thing["turn"]) * radius
        place = lambda points: [(thing["x"] * SCALE + x * cos - y * sin, thing["y"] * SCALE + x * sin + y * cos) for x, y in points]
        if thing["shape"] in FILLED:
            pen.polygon(place(FILLED[thing["shape"]]), fill=rgb)
            continue
        width, lines = STROKED[thing["shape"]]
        for line in map(place, lines):
            pen.line(line, fill=rgb, width=round(width * radius))
            # Round joins and round caps.
            for x, y in line:
                pen.circle((x, y), width * radius / 2, fill=rgb)
    return canvas.resize((scenes.SIDE, scenes.SIDE), filter)


def main() -> None:
    rng = random.Random(1)
    sheet = Image.new("RGB", (12 * 68, 12 * 68), (90, 90, 90))
    for index in range(144):
        sheet.paste(draw(scenes.layout(scenes.sample(rng), rng)), (index % 12 * 68 + 2, index // 12 * 68 + 2))
    sheet.save(sys.argv[1])


if __name__ == "__main__":
    main()
