"""The small world of the pictures: which scenes there are, which are held out, and what may be said of each.

A scene's *facts* are what a caption can tell. Its *layout* adds where exactly everything is, and fully determines the picture.
"""

import math
import random
import zlib
from typing import NamedTuple

import numpy as np

SIDE = 64
BACKGROUNDS = {"white": (255, 255, 255), "black": (0, 0, 0), "grey": (150, 150, 150), "light yellow": (255, 246, 185), "light blue": (195, 225, 252)}
COLOURS = {
    "red": (220, 28, 34), "orange": (248, 140, 18), "yellow": (245, 215, 25), "green": (38, 158, 58), "blue": (38, 78, 215),
    "purple": (130, 48, 172), "pink": (246, 130, 188), "brown": (122, 72, 34), "turquoise": (38, 202, 194),
}
SHAPES = {
    "circle": ("circle", "disc"), "square": ("square", "box"), "triangle": ("triangle",), "star": ("star",), "heart": ("heart",),
    "diamond": ("diamond", "rhombus"), "ring": ("ring", "hoop"), "cross": ("cross", "plus"), "moon": ("moon", "crescent"), "arrow": ("arrow",),
}
PLURALS = {"box": "boxes", "rhombus": "rhombuses", "cross": "crosses", "plus": "pluses"}
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SIZES = {"small": ("small", "little", "tiny"), "large": ("big", "large", "huge")}
# Column and row of each place, and how it is said.
PLACES = {
    "centre": (0, 0, ("in the centre", "in the middle", "in the center")),
    "left": (-1, 0, ("on the left", "at the left", "on the left side")),
    "right": (1, 0, ("on the right", "at the right", "on the right side")),
    "top": (0, -1, ("at the top", "on the top side")),
    "bottom": (0, 1, ("at the bottom", "on the bottom side")),
    "top left": (-1, -1, ("in the top left corner", "at the top left", "in the upper left corner", "top left")),
    "top right": (1, -1, ("in the top right corner", "at the top right", "in the upper right corner", "top right")),
    "bottom left": (-1, 1, ("in the bottom left corner", "at the bottom left", "in the lower left corner", "bottom left")),
    "bottom right": (1, 1, ("in the bottom right corner", "at the bottom right", "in the lower right corner", "bottom right")),
}
# The first object is always the upper or the left one; the other order is only another wording.
RELATIONS = {
    "above": (("above", "over", "on top of"), ("below", "under", "beneath")),
    "left": (("left of", "to the left of"), ("right of", "to the right of")),
}

BACKGROUND, COLOUR, SIZE, PLACE, RELATION = (list(table) for table in (BACKGROUNDS, COLOURS, SIZES, PLACES, RELATIONS))
THING = [*SHAPES, *DIGITS]
PAIR = 0  # as a count: two objects that differ
UNSAID, ABSENT = -1, -2


class Facts(NamedTuple):
    """Indices into the lists above; UNSAID in what a caption says, ABSENT where a scene has no such thing."""

    count: int = UNSAID
    background: int = UNSAID
    shape: int = UNSAID
    colour: int = UNSAID
    size: int = UNSAID
    place: int = UNSAID
    shape2: int = UNSAID
    colour2: int = UNSAID
    size2: int = UNSAID
    relation: int = UNSAID

    @property
    def digit(self) -> bool:
        return self.shape >= len(SHAPES)


class Caption(NamedTuple):
    text: str
    says: Facts
    either: bool = False  # whether what it says of the first object may as well be true of the second


def kept_out(*combination) -> bool:
    """A fixed 15 % of all combinations."""
    return zlib.crc32(" ".join(map(str, combination)).encode()) % 100 >= 85


def held_out(facts: Facts) -> list[str]:
    """The names of the combinations in the scene that training never shows."""
    shape, colour = THING[facts.shape], COLOUR[facts.colour]
    found = []
    if kept_out(shape, colour):
        found.append("shape colour")
    if facts.count == PAIR:
        shape2, colour2 = THING[facts.shape2], COLOUR[facts.colour2]
        if kept_out(shape2, colour2):
            found.append("shape colour")
        if kept_out(shape, colour, RELATION[facts.relation], shape2, colour2):
            found.append("relation")
    elif facts.count == 1:
        if kept_out(shape, colour, PLACE[facts.place]):
            found.append("place")
    elif kept_out(facts.count, shape, colour):
        found.append("count")
    return found


def sample(rng: random.Random) -> Facts:
    kind = rng.choices(("one", "digit", "many", "pair"), (22, 28, 30, 20))[0]
    background, colour, size = rng.randrange(len(BACKGROUND)), rng.randrange(len(COLOUR)), rng.randrange(2)
    shape = rng.randrange(len(SHAPES))
    alone = dict(shape2=ABSENT, colour2=ABSENT, size2=ABSENT, relation=ABSENT)
    if kind == "many":
        return Facts(rng.randint(2, 5), background, shape, colour, size, ABSENT, **alone)
    if kind != "pair":
        if kind == "digit":
            shape = len(SHAPES) + rng.randrange(10)
        return Facts(1, background, shape, colour, size, rng.randrange(len(PLACE)), **alone)
    second = rng.choice([(s, c) for s in range(len(SHAPES)) for c in range(len(COLOUR)) if (s, c) != (shape, colour)])
    return Facts(PAIR, background, shape, colour, size, ABSENT, *second, rng.randrange(2), rng.randrange(2))


def family(rng: random.Random) -> list[Facts]:
    """Four scenes for training that differ in one respect: where batches are made of these, every attribute counts."""
    while True:
        base = sample(rng)
        if base.count == PAIR:
            kind = rng.choices(("order", "swap", "shape", "colour", "shape2", "colour2", "size", "background"), (5, 3, 1, 1, 1, 1, 1, 1))[0]
        elif base.count == 1:
            kind = rng.choices(("shape", "colour", "size", "place", "background", "count"), (9, 2, 1, 3, 1, 0) if base.digit else (4, 2, 1, 3, 1, 3))[0]
        else:
            kind = rng.choices(("shape", "colour", "size", "background", "count"), (1, 1, 1, 1, 8))[0]
        first, second = (base.shape, base.colour, base.size), (base.shape2, base.colour2, base.size2)
        if kind in ("order", "swap"):
            # The two things in all four arrangements; or the two shapes and two colours in all four combinations.
            turned = base._replace(shape=second[0], colour=second[1], size=second[2], shape2=first[0], colour2=first[1], size2=first[2])
            if kind == "order":
                other = 1 - base.relation
                four = [base, turned, base._replace(relation=other), turned._replace(relation=other)]
            else:
                four = [scene for one in (base, turned) for scene in (one, one._replace(colour=one.colour2, colour2=one.colour))]
        elif kind == "size":
            four = [base._replace(size=a, size2=b if base.count == PAIR else ABSENT) for a in (0, 1) for b in (0, 1)]
            if base.count != PAIR:
                four = [one._replace(background=rng.randrange(len(BACKGROUND))) for one in four]
        elif kind == "count":
            counts = rng.sample(range(1, 6), 4)
            four = [base._replace(count=n, place=rng.randrange(len(PLACE)) if n == 1 else ABSENT) for n in counts]
        else:
            choices = {"shape": range(len(SHAPES), len(THING)) if base.digit else range(len(SHAPES)), "place": range(len(PLACE)), "background": range(len(BACKGROUND))}
            others = choices.get(kind.rstrip("2"), range(len(COLOUR)))
            four = [base._replace(**{kind: value}) for value in rng.sample(others, 4)]
        if not any(held_out(one) or (one.shape, one.colour) == (one.shape2, one.colour2) for one in four):
            return four


def layout(facts: Facts, rng: random.Random) -> dict:
    """A scene as plain data, in pixels of a picture of 64 x 64: all that drawing needs."""
    def ink(rgb, spread):
        return [min(255, max(0, round(value + rng.uniform(-spread, spread)))) for value in rgb]

    def thing(shape, colour, radius, x, y):
        turn = rng.uniform(-0.14, 0.14)
        return {"shape": THING[shape], "colour": COLOUR[colour], "radius": round(radius, 1), "x": round(x, 1), "y": round(y, 1), "turn": round(turn, 2), "rgb": ink(COLOURS[COLOUR[colour]], 12)}

    def radius(size, small, large):
        return rng.uniform(*(large if size else small))

    if facts.count == PAIR:
        reach = [radius(size, (6.2, 7.6), (11, 13)) for size in (facts.size, facts.size2)]
        along, across = rng.uniform(-2.5, 2.5), rng.uniform(-8, 8)
        # Both ends move together, so that the two never touch.
        spots = [(across + rng.uniform(-2.5, 2.5), end + along) for end in (-16, 16)]
        spots = [(32 + y, 32 + x) if RELATION[facts.relation] == "left" else (32 + x, 32 + y) for x, y in spots]
        objects = [thing(s, c, r, *spot) for (s, c), r, spot in zip(((facts.shape, facts.colour), (facts.shape2, facts.colour2)), reach, spots)]
    elif facts.count == 1:
        reach = radius(facts.size, (6.5, 8.0), (12.5, 16))
        column, row, _ = PLACES[PLACE[facts.place]]
        objects = [thing(facts.shape, facts.colour, reach, *(32 + way * (61 - 2 * reach) / 2 * rng.uniform(0.86, 1) + rng.uniform(-2.2, 2.2) * (way == 0) for way in (column, row)))]
    else:
        reach = radius(facts.size, (5.6, 6.8), (9.2, 10.2) if facts.count > 3 else (9.6, 11))
        spots = scatter(facts.count, reach, rng)
        objects = [thing(facts.shape, facts.colour, reach * rng.uniform(0.95, 1.05), x, y) for x, y in spots]
    ground = ink(BACKGROUNDS[BACKGROUND[facts.background]], 6)
    return {"background": BACKGROUND[facts.background], "ground": ground, "objects": objects}


def scatter(count: int, reach: float, rng: random.Random) -> list[tuple[float, float]]:
    """Places for `count` discs of this radius that do not touch."""
    low, high = reach + 1.5, SIDE - reach - 1.5
    while True:
        spots: list[tuple[float, float]] = []
        for _ in range(12 * count):
            spot = (rng.uniform(low, high), rng.uniform(low, high))
            if all(math.dist(spot, other) > 2.05 * reach + 1 for other in spots):
                spots.append(spot)
                if len(spots) == count:
                    return spots


def article(words: str) -> str:
    return ("an " if words[0] in "aeio" else "a ") + words


def noun(shape: int, rng: random.Random, many: bool = False) -> str:
    names = SHAPES[THING[shape]]
    name = names[0] if rng.random() < 0.75 else rng.choice(names)
    return PLURALS.get(name, name + "s") if many else name


def said(words: tuple[str, ...], rng: random.Random) -> str:
    return words[0] if rng.random() < 0.5 else rng.choice(words)


def caption(facts: Facts, rng: random.Random, full: bool = False) -> Caption:
    """One of the many wordings of what is to be seen; `full` leaves nothing out."""
    if not full and rng.random() < 0.12:
        return short_caption(facts, rng)
    tell = lambda chance: full or rng.random() < chance
    says = Facts(background=facts.background if tell(0.4) else UNSAID)
    ground = BACKGROUND[facts.background]
    where = rng.choice((f"on a {ground} background", f"on a {ground} background", f"on {ground}")) if says.background != UNSAID else ""
    either = False

    def adjectives(size: int, colour: int, sized: bool) -> str:
        return " ".join([said(SIZES[SIZE[size]], rng)] * sized + [COLOUR[colour]] * (colour != UNSAID))

    if facts.count == PAIR:
        sized = tell(0.4)
        a = article(f"{adjectives(facts.size, facts.colour, sized)} {noun(facts.shape, rng)}".strip())
        b = article(f"{adjectives(facts.size2, facts.colour2, sized)} {noun(facts.shape2, rng)}".strip())
        says = says._replace(count=PAIR, shape=facts.shape, colour=facts.colour, shape2=facts.shape2, colour2=facts.colour2)
        if sized:
            says = says._replace(size=facts.size, size2=facts.size2)
        forward, backward = RELATIONS[RELATION[facts.relation]]
        if not tell(0.88):
            either = True
            what = f"{a} and {b}" if rng.random() < 0.5 else f"{b} and {a}"
        else:
            says = says._replace(relation=facts.relation)
            what = f"{a} {said(forward, rng)} {b}" if rng.random() < 0.5 else f"{b} {said(backward, rng)} {a}"
    elif facts.count == 1:
        says = says._replace(count=1, shape=facts.shape, colour=facts.colour if tell(0.88) else UNSAID)
        sized, placed = tell(0.45), tell(0.55)
        says = says._replace(size=facts.size if sized else UNSAID, place=facts.place if placed else UNSAID)
        colour = "" if says.colour == UNSAID else COLOUR[facts.colour]
        size = said(SIZES[SIZE[facts.size]], rng) if sized else ""
        if facts.digit:
            digit = facts.shape - len(SHAPES)
            name = rng.choice((DIGITS[digit], DIGITS[digit], str(digit)))
            kind = rng.choice(("", "", "digit ", "number "))
        else:
            name, kind = noun(facts.shape, rng), ""
        if colour and rng.random() < 0.25:
            what = f"{size} {kind}{name} in {colour}"
        else:
            what = f"{size} {colour} {kind}{name}"
        what = " ".join(what.split())
        if kind and what.startswith(kind):
            what = f"the {what}"
        elif not facts.digit and rng.random() < 0.12:
            what = f"one {what}"
        else:
            what = article(what)
        if placed:
            place = said(PLACES[PLACE[facts.place]][2], rng)
            what = f"{place}, {what}" if rng.random() < 0.1 else f"{what} {place}"
    else:
        says = says._replace(count=facts.count, shape=facts.shape, colour=facts.colour if tell(0.88) else UNSAID)
        sized = tell(0.45)
        says = says._replace(size=facts.size if sized else UNSAID)
        count = rng.choice((DIGITS[facts.count], DIGITS[facts.count], str(facts.count)))
        name = noun(facts.shape, rng, many=True)
        size = said(SIZES[SIZE[facts.size]], rng) if sized else ""
        if says.colour != UNSAID and rng.random() < 0.2:
            what = f"{count} {size} {name}{rng.choice((' in ', ', all '))}{COLOUR[facts.colour]}"
        else:
            what = f"{count} {size} {COLOUR[says.colour] if says.colour != UNSAID else ''} {name}"
        what = " ".join(what.split())
        if rng.random() < 0.12:
            what = f"there are {what}"
    if where:
        what = f"{where}, {what}" if rng.random() < 0.15 else f"{what} {where}"
    if not what.startswith(("there", "on ", "in ", "at ", "top ", "bottom ")) and rng.random() < 0.3:
        what = rng.choice(("a picture of ", "a drawing of ", "an image of ", "a photo of ")) + what
    return Caption(what, says, either)


def short_caption(facts: Facts, rng: random.Random) -> Caption:
    """Returns a caption like the query of a search: without articles, and often true of many pictures."""
    if rng.random() < 0.12:
        return Caption(f"{BACKGROUND[facts.background]} background", Facts(background=facts.background))
    second = facts.count == PAIR and rng.random() < 0.5
    shape, colour = (facts.shape2, facts.colour2) if second else (facts.shape, facts.colour)
    many = facts.count > 1
    says = Facts(count=UNSAID, shape=shape, colour=colour)
    if facts.digit:
        says = says._replace(count=1)
        name = rng.choice((DIGITS[shape - len(SHAPES)], str(shape - len(SHAPES))))
    else:
        name = noun(shape, rng, many)
    kind = rng.random()
    if kind < 0.2:
        says, text = says._replace(colour=UNSAID), name
    elif kind < 0.3:
        says, text = says._replace(shape=UNSAID, count=UNSAID), COLOUR[colour]
    else:
        text = f"{COLOUR[colour]} {name}"
    return Caption(text, says, either=True)


def fits(says: np.ndarray, either: np.ndarray, facts: np.ndarray) -> np.ndarray:
    """Returns for each caption (row) and each scene (column) whether the caption is true of the scene."""
    f = {name: index for index, name in enumerate(Facts._fields)}
    swapped = facts.copy()
    swapped[:, [f["shape"], f["colour"], f["size"]]] = facts[:, [f["shape2"], f["colour2"], f["size2"]]]
    swapped[:, [f["shape2"], f["colour2"], f["size2"]]] = facts[:, [f["shape"], f["colour"], f["size"]]]
    wanted = says[:, None]
    as_is, other_way = (((wanted == UNSAID) | (wanted == scenes[None])).all(axis=2) for scenes in (facts, swapped))
    return as_is | (either[:, None] & other_way)
