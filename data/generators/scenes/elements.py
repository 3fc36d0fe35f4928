"""The elements of a scene: shapes, colours, positions."""

from __future__ import annotations

from dataclasses import dataclass

SIZE = 128  # pixels on a side
SHAPES = ("circle", "square", "triangle", "star", "cross", "ring")
COLOURS = {
    "red": (214, 39, 40),
    "yellow": (242, 211, 38),
    "green": (44, 160, 44),
    "blue": (31, 90, 200),
    "purple": (140, 70, 180),
    "black": (30, 30, 34),
}
HORIZONTAL = ("left", "right")
VERTICAL = ("above", "below")


@dataclass(frozen=True)
class SceneObject:
    """One shape: its centre and radius in pixels, and its rotation in degrees."""

    x: int
    y: int
    radius: int
    rotation: int


@dataclass(frozen=True)
class Group:
    """One to four objects of the same shape, colour and size."""

    shape: str
    colour: str
    size: str
    objects: tuple[SceneObject, ...]


@dataclass(frozen=True)
class Scene:
    """Groups from left to right or from top to bottom, and the role of each of them."""

    groups: tuple[Group, ...]
    roles: tuple[str, ...]
    background: int  # any number; it selects the background
