"""The fixed test set: 1,000 drawings, all of held-out combinations, each with a caption of its own and a question.

    python training/clip/testset.py tests/goldens/clip-scenes
"""

import io
import json
import random
import sys
from pathlib import Path

import numpy as np

import scenes
from draw import FILLED, STROKED, draw
from scenes import COLOUR, DIGITS, PAIR, PLACE, PLACES, RELATION, RELATIONS, SHAPES, THING, UNSAID, Facts, article

SEED = 20261122
QUOTAS = {"shape and colour": 250, "colour": 100, "count": 200, "position": 100, "digit": 150, "order of two": 200}


def question(facts: Facts, rng: random.Random) -> tuple[str, list[str], str]:
    """A category, all labels to choose from, and the right one."""
    thing, colour = THING[facts.shape], COLOUR[facts.colour]
    if facts.count == PAIR:
        a, b = article(f"{colour} {thing}"), article(f"{COLOUR[facts.colour2]} {THING[facts.shape2]}")
        forward = RELATIONS[RELATION[facts.relation]][0][0]
        return "order of two", [f"{a} {forward} {b}", f"{b} {forward} {a}"], f"{a} {forward} {b}"
    if facts.count > 1 or (not facts.digit and rng.random() < 0.15):
        counts = [f"one {colour} {thing}"] + [f"{DIGITS[n]} {colour} {thing if n == 1 else scenes.PLURALS.get(thing, thing + 's')}" for n in range(2, 6)]
        return "count", counts, counts[facts.count - 1]
    if facts.digit:
        if rng.random() < 0.25:
            return "colour", [article(f"{c} {thing}") for c in COLOUR], article(f"{colour} {thing}")
        return "digit", [f"the digit {name} in {colour}" for name in DIGITS], f"the digit {thing} in {colour}"
    if rng.random() < 0.4:
        phrases = {name: f"{article(f'{colour} {thing}')} {PLACES[name][2][0]}" for name in PLACE}
        return "position", list(phrases.values()), phrases[PLACE[facts.place]]
    if rng.random() < 0.3:
        return "colour", [article(f"{c} {thing}") for c in COLOUR], article(f"{colour} {thing}")
    return "shape and colour", [article(f"{c} {s}") for s in SHAPES for c in COLOUR], article(f"{colour} {thing}")


def asks_held_out(category: str, facts: Facts) -> bool:
    """Whether what is asked for is itself a combination that training never showed."""
    found = scenes.held_out(facts)
    wanted = {"count": ("count", "shape colour"), "position": ("place", "shape colour"), "order of two": ("relation", "shape colour")}
    return any(name in found for name in wanted.get(category, ("shape colour",)))


def claims(facts: Facts, says: Facts) -> list[Facts]:
    """Returns the facts that must not be true of another picture: the caption's, and for a lone thing the same as part of a pair, at any place."""
    return [says, says._replace(count=PAIR, place=UNSAID)] if facts.count == 1 else [says]


def fit(wanted: list[Facts], shown: list[Facts]) -> bool:
    return bool(scenes.fits(np.array(wanted), np.ones(len(wanted), bool), np.array(shown)).any())


def make(seed: int, share: float = 1.0) -> list[dict]:
    rng = random.Random(seed)
    left = {name: round(quota * share) for name, quota in QUOTAS.items()}
    entries, shown, claimed = [], [], []
    while any(left.values()):
        facts = scenes.sample(rng)
        category, labels, right = question(facts, rng)
        if not left[category] or not asks_held_out(category, facts):
            continue
        caption = scenes.caption(facts, rng, full=True)
        wanted = claims(facts, caption.says)
        # Each caption is true of its own picture alone.
        if shown and (fit(wanted, shown) or fit(claimed, [facts])):
            continue
        shown.append(facts)
        claimed += wanted
        left[category] -= 1
        entries.append({"scene": scenes.layout(facts, rng), "caption": caption.text, "category": category, "labels": labels, "label": right})
    rng.shuffle(entries)
    return entries


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    entries, pictures, sets = make(SEED), bytearray(), []
    for entry in entries:
        file = io.BytesIO()
        draw(entry["scene"]).save(file, "PNG", optimize=True)
        entry["length"] = file.tell()
        pictures += file.getvalue()
        if entry["labels"] not in sets:
            sets.append(entry["labels"])
        entry["label"] = entry["labels"].index(entry["label"])
        entry["labels"] = sets.index(entry["labels"])
    lines = lambda rows: ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows)
    (folder / "scenes.json").write_text(f'{{"labels":[\n{lines(sets)}\n],\n"scenes":[\n{lines(entries)}\n]}}\n')
    (folder / "pictures.bin").write_bytes(pictures)
    outlines = [{"name": name, "width": width, "lines": [[(round(x, 3), round(y, 3)) for x, y in line] for line in drawn]} for name, (width, drawn) in {**{name: (0, [points]) for name, points in FILLED.items()}, **STROKED}.items()]
    (folder / "shapes.json").write_text(f"[\n{lines(outlines)}\n]\n")
    print(f"{len(entries)} scenes, {len(pictures)} bytes of pictures")


if __name__ == "__main__":
    main()
