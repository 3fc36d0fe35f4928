"""Composes and writes the captioning corpus: coloured shapes on a pale background, with captions.

A combination is a colour, a shape and its role in the arrangement (such as a red star above
something). Every validation and test image has a combination that no training image has.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from generators.choices import Choices
from generators.scenes.captions import compose_captions
from generators.scenes.drawing import draw
from generators.scenes.elements import (
    COLOURS,
    HORIZONTAL,
    SHAPES,
    SIZE,
    VERTICAL,
    Group,
    Scene,
    SceneObject,
)

SEED = 2015
SIZES = {"train": 1_600, "validation": 160, "test": 240}
ROLES = (*HORIZONTAL, *VERTICAL, "between", "alone")
HELD_OUT = {"test": 36, "validation": 18}  # of 6 × 6 × 6 combinations
RADII = {"small": (10, 11), "large": (16, 17)}
MARGIN = 3  # pixels between objects, and from the edge
Combination = tuple[str, str, str]


@dataclass(frozen=True)
class Position:
    """The centre of a group: along the axis of the arrangement, and across it."""

    along: int
    across: int


def combinations(scene: Scene) -> set[Combination]:
    """(colour, shape, role) of every group."""
    return {
        (group.colour, group.shape, role)
        for group, role in zip(scene.groups, scene.roles, strict=True)
    }


def held_out_combinations(choices: Choices) -> dict[str, set[Combination]]:
    """Draw, for each evaluation split, the combinations that occur in no other split."""
    remaining = choices.shuffled(
        [(colour, shape, role) for colour in COLOURS for shape in SHAPES for role in ROLES]
    )
    held_out = {}
    for split, count in HELD_OUT.items():
        held_out[split], remaining = set(remaining[:count]), remaining[count:]
    return held_out


def integer_near(choices: Choices, centre: int, spread: int) -> int:
    """Draw an integer at most ``spread`` from ``centre``."""
    return centre - spread + choices.integer_below(2 * spread + 1)


def compose_group(
    choices: Choices, axis: tuple[str, str], position: Position, max_count: int
) -> Group:
    """Compose a group of up to ``max_count`` objects, side by side across the axis."""
    size = choices.pick(tuple(RADII))
    radius = choices.pick(RADII[size])
    count = choices.pick((1, 1, 2, 3)[: max_count + 1])
    step = 2 * radius + integer_near(choices, MARGIN + 1, 1)
    extent = (count - 1) * step // 2 + radius + MARGIN
    across = min(max(position.across, extent), SIZE - extent)
    objects = []
    for index in range(count):
        along = integer_near(choices, position.along, 2)
        offset = across - (count - 1) * step // 2 + index * step
        x, y = (along, offset) if axis == HORIZONTAL else (offset, along)
        objects.append(SceneObject(x, y, radius, integer_near(choices, 0, 15)))
    return Group(choices.pick(SHAPES), choices.pick(tuple(COLOURS)), size, tuple(objects))


def random_position(choices: Choices, along: int, spread: int, across: int) -> Position:
    """Draw a position at most ``spread`` from ``along`` and 8 from ``across``."""
    return Position(integer_near(choices, along, spread), integer_near(choices, across, 8))


def compose_pair(choices: Choices) -> Scene:
    """Compose one group beside or above another."""
    axis = choices.pick((HORIZONTAL, VERTICAL))
    across = integer_near(choices, SIZE // 2, 30)
    groups = tuple(
        compose_group(choices, axis, random_position(choices, along, 9, across), 3)
        for along in (30, SIZE - 30)
    )
    return Scene(groups, axis, choices.integer_below(2**15))


def compose_row(choices: Choices) -> Scene:
    """Compose three single objects, side by side or one above the other."""
    axis = choices.pick((HORIZONTAL, VERTICAL))
    across = integer_near(choices, SIZE // 2, 30)
    groups = tuple(
        compose_group(choices, axis, random_position(choices, along, 2, across), 1)
        for along in (22, SIZE // 2, SIZE - 22)
    )
    return Scene(groups, (axis[0], "between", axis[1]), choices.integer_below(2**15))


def compose_single_group(choices: Choices) -> Scene:
    """Compose one group of one to four objects, anywhere in the image."""
    size = choices.pick(tuple(RADII))
    radius = choices.pick(RADII[size])
    count = 1 + choices.integer_below(4)
    objects: list[SceneObject] = []
    while len(objects) < count:
        spread = SIZE // 2 - radius - MARGIN
        x, y = (integer_near(choices, SIZE // 2, spread) for _ in range(2))
        distance = 2 * radius + MARGIN
        if all(max(abs(x - other.x), abs(y - other.y)) >= distance for other in objects):
            objects.append(SceneObject(x, y, radius, integer_near(choices, 0, 15)))
    group = Group(choices.pick(SHAPES), choices.pick(tuple(COLOURS)), size, tuple(objects))
    return Scene((group,), ("alone",), choices.integer_below(2**15))


def compose_scene(choices: Choices) -> Scene:
    """Compose a scene whose groups differ in colour or shape."""
    compose = choices.pick(
        (compose_single_group, compose_pair, compose_pair, compose_pair, compose_row)
    )
    while True:
        scene = compose(choices)
        if len({(group.colour, group.shape) for group in scene.groups}) == len(scene.groups):
            return scene


def compose_scenes(choices: Choices) -> dict[str, list[Scene]]:
    """Compose the scenes of each split.

    Every scene of an evaluation split has a held-out combination of its split; no scene has one of
    another split.
    """
    held_out = held_out_combinations(choices)
    scenes: dict[str, list[Scene]] = {}
    for split, count in reversed(SIZES.items()):
        own = held_out.get(split, set())
        excluded = set().union(*held_out.values()) - own
        scenes[split] = []
        while len(scenes[split]) < count:
            scene = compose_scene(choices)
            contained = combinations(scene)
            if not contained & excluded and (not own or contained & own):
                scenes[split].append(scene)
    return scenes


def captioned_scenes() -> Iterator[tuple[str, str, Scene, list[str]]]:
    """Yield split, id, scene and captions, in the order in which they are composed."""
    choices = Choices(SEED)
    for split, scenes in compose_scenes(choices).items():
        for number, scene in enumerate(scenes, start=1):
            yield split, f"{split}-{number:04}", scene, compose_captions(choices, scene)


def write(folder: Path) -> None:
    """Write ``SPLIT.jsonl`` with id, image, captions and objects, and ``images/ID.png``."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    lines: dict[str, list[str]] = {split: [] for split in SIZES}
    for split, scene_id, scene, captions in captioned_scenes():
        image, boxes = draw(scene)
        path = f"images/{scene_id}.png"
        image.save(folder / path, optimize=True)
        names = [f"{group.colour} {group.shape}" for group in scene.groups for _ in group.objects]
        objects = [{"name": name, "box": list(box)} for name, box in zip(names, boxes, strict=True)]
        row = {"id": scene_id, "image": path, "captions": captions, "objects": objects}
        lines[split].append(json.dumps(row) + "\n")
    for split, text in lines.items():
        (folder / f"{split}.jsonl").write_text("".join(text), encoding="utf-8", newline="\n")
