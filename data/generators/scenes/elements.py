"""What a drawn scene is made of: words for it and whole numbers, nothing drawn yet."""

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
ACROSS = ("left", "right")
UPRIGHT = ("above", "below")


@dataclass(frozen=True)
class Thing:
    """One shape: its middle and radius in pixels, turned by so many degrees."""

    x: int
    y: int
    radius: int
    turned: int


@dataclass(frozen=True)
class Group:
    """One to four things alike."""

    shape: str
    colour: str
    size: str
    things: tuple[Thing, ...]


@dataclass(frozen=True)
class Scene:
    """Groups from left to right or from top to bottom, and the part that each of them has."""

    groups: tuple[Group, ...]
    parts: tuple[str, ...]
    ground: int  # any number; it chooses the background
