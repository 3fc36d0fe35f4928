"""The captioning corpus: coloured shapes on a pale ground, and five captions of each picture.

What stands where; ``scenes_captions.py`` says it and ``scenes_drawing.py`` draws it. A combination
is a colour, a shape and its part in the arrangement (a red star above something): every validation
and every test picture has one that no training picture has.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from generators.choices import Choices
from generators.scenes.captions import captions
from generators.scenes.drawing import draw
from generators.scenes.elements import ACROSS, COLOURS, SHAPES, SIZE, UPRIGHT, Group, Scene, Thing

SEED = 2015
SIZES = {"train": 1_600, "validation": 160, "test": 240}
PARTS = (*ACROSS, *UPRIGHT, "between", "alone")
HELD_OUT = {"test": 36, "validation": 18}  # of 6 × 6 × 6 combinations
RADII = {"small": (10, 11), "large": (16, 17)}
MARGIN = 3  # pixels between things, and from the edge
Combination = tuple[str, str, str]


@dataclass(frozen=True)
class Place:
    """Where a group is to stand: along the axis of the arrangement, and across it."""

    along: int
    across: int


def combinations(scene: Scene) -> set[Combination]:
    """(colour, shape, part) of every group."""
    return {
        (group.colour, group.shape, part)
        for group, part in zip(scene.groups, scene.parts, strict=True)
    }


def held_out(choices: Choices) -> dict[str, set[Combination]]:
    """Split -> the combinations that are in no other."""
    left = choices.shuffled(
        [(colour, shape, part) for colour in COLOURS for shape in SHAPES for part in PARTS]
    )
    found = {}
    for split, count in HELD_OUT.items():
        found[split], left = set(left[:count]), left[count:]
    return found


def around(choices: Choices, middle: int, spread: int) -> int:
    """A whole number at most ``spread`` from ``middle``."""
    return middle - spread + choices.below(2 * spread + 1)


def group(choices: Choices, axis: tuple[str, str], place: Place, most: int) -> Group:
    """One to ``most`` things alike, side by side across the axis."""
    size = choices.pick(tuple(RADII))
    radius = choices.pick(RADII[size])
    count = choices.pick((1, 1, 2, 3)[: most + 1])
    step = 2 * radius + around(choices, MARGIN + 1, 1)
    reach = (count - 1) * step // 2 + radius + MARGIN
    across = min(max(place.across, reach), SIZE - reach)
    things = []
    for number in range(count):
        along = around(choices, place.along, 2)
        where = across - (count - 1) * step // 2 + number * step
        x, y = (along, where) if axis == ACROSS else (where, along)
        things.append(Thing(x, y, radius, around(choices, 0, 15)))
    return Group(choices.pick(SHAPES), choices.pick(tuple(COLOURS)), size, tuple(things))


def pair(choices: Choices) -> Scene:
    """One group beside or above another."""
    axis = choices.pick((ACROSS, UPRIGHT))
    across = around(choices, SIZE // 2, 30)
    groups = tuple(
        group(choices, axis, Place(around(choices, along, 9), around(choices, across, 8)), 3)
        for along in (30, SIZE - 30)
    )
    return Scene(groups, axis, choices.below(2**15))


def row(choices: Choices) -> Scene:
    """Three single things in a row or one above the other."""
    axis = choices.pick((ACROSS, UPRIGHT))
    across = around(choices, SIZE // 2, 30)
    groups = tuple(
        group(choices, axis, Place(around(choices, along, 2), around(choices, across, 8)), 1)
        for along in (22, SIZE // 2, SIZE - 22)
    )
    return Scene(groups, (axis[0], "between", axis[1]), choices.below(2**15))


def alone(choices: Choices) -> Scene:
    """One to four things alike, anywhere."""
    size = choices.pick(tuple(RADII))
    radius = choices.pick(RADII[size])
    count = 1 + choices.below(4)
    things: list[Thing] = []
    while len(things) < count:
        reach = SIZE // 2 - radius - MARGIN
        x, y = (around(choices, SIZE // 2, reach) for _ in range(2))
        apart = 2 * radius + MARGIN
        if all(max(abs(x - other.x), abs(y - other.y)) >= apart for other in things):
            things.append(Thing(x, y, radius, around(choices, 0, 15)))
    alike = Group(choices.pick(SHAPES), choices.pick(tuple(COLOURS)), size, tuple(things))
    return Scene((alike,), ("alone",), choices.below(2**15))


def scene(choices: Choices) -> Scene:
    """Any picture whose groups can be told apart by colour and shape."""
    arrange = choices.pick((alone, pair, pair, pair, row))
    while True:
        found = arrange(choices)
        if len({(group.colour, group.shape) for group in found.groups}) == len(found.groups):
            return found


def scenes(choices: Choices) -> dict[str, list[Scene]]:
    """Split -> its pictures: all have a combination of their own split, none of another's."""
    kept = held_out(choices)
    found: dict[str, list[Scene]] = {}
    for split, count in reversed(SIZES.items()):
        own = kept.get(split, set())
        others = set().union(*kept.values()) - own
        found[split] = []
        while len(found[split]) < count:
            proposed = scene(choices)
            parts = combinations(proposed)
            if not parts & others and (not own or parts & own):
                found[split].append(proposed)
    return found


def rows() -> Iterator[tuple[str, str, Scene, list[str]]]:
    """Split, id, picture and captions, in the order in which they are made."""
    choices = Choices(SEED)
    for split, drawn in scenes(choices).items():
        for number, one in enumerate(drawn, start=1):
            yield split, f"{split}-{number:04}", one, captions(choices, one)


def write(folder: Path) -> None:
    """``SPLIT.jsonl`` with id, image, captions and objects; ``images/ID.png``."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    lines: dict[str, list[str]] = {split: [] for split in SIZES}
    for split, name, one, said in rows():
        picture, boxes = draw(one)
        image = f"images/{name}.png"
        picture.save(folder / image, optimize=True)
        names = [f"{group.colour} {group.shape}" for group in one.groups for _ in group.things]
        objects = [{"name": name, "box": list(box)} for name, box in zip(names, boxes, strict=True)]
        found = {"id": name, "image": image, "captions": said, "objects": objects}
        lines[split].append(json.dumps(found) + "\n")
    for split, text in lines.items():
        (folder / f"{split}.jsonl").write_text("".join(text), encoding="utf-8", newline="\n")
