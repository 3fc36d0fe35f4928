"""Scenes as pictures, by Pillow. A shape is a polygon, and perhaps another cut out of it.

Everything is drawn four times as large in whole numbers and averaged down, so that the same pixels
come out on every machine.
"""

from __future__ import annotations

from math import cos, pi, sin, tau

from PIL import Image, ImageDraw

from generators.scenes.elements import COLOURS, SIZE, Scene, Thing

FINER = 4
Point = tuple[float, float]  # in radii from the middle, y downwards
Outline = list[Point]
Box = tuple[int, int, int, int]

GROUNDS = (
    (236, 236, 232), (226, 236, 244), (242, 232, 218), (228, 240, 226), (240, 228, 236),
    (232, 230, 244),
)  # fmt: skip
LIGHT = 10  # so much brighter at the top, and darker at the bottom


def regular(corners: int, radius: float = 1.0, first: float = -pi / 2) -> Outline:
    """A regular polygon; with many corners, a circle."""
    angles = [first + tau * corner / corners for corner in range(corners)]
    return [(radius * cos(angle), radius * sin(angle)) for angle in angles]


def star() -> Outline:
    """Five points."""
    outer, inner = regular(5), regular(5, 0.45, -pi / 2 + pi / 5)
    return [point for pair in zip(outer, inner, strict=True) for point in pair]


def cross() -> Outline:
    """Two bars, a third as wide as they are long."""
    long, wide = 0.95, 0.32
    quarter = [(wide, -long), (wide, -wide), (long, -wide)]
    turns = [(1, 0), (0, 1), (-1, 0), (0, -1)]
    return [(c * x - s * y, s * x + c * y) for c, s in turns for x, y in quarter]


ROUND = 60
OUTLINES: dict[str, tuple[Outline, Outline]] = {
    "circle": (regular(ROUND), []),
    "square": (regular(4, first=pi / 4), []),
    "triangle": (regular(3), []),
    "star": (star(), []),
    "cross": (cross(), []),
    "ring": (regular(ROUND), regular(ROUND, 0.55)),
}


def mask(shape: str, thing: Thing) -> Image.Image:
    """How much the thing covers of each pixel, 0 to 255, in the square of ``reach`` around it."""
    angle = thing.turned * tau / 360
    c, s, scale = cos(angle), sin(angle), FINER * thing.radius
    middle = FINER * reach(thing)
    canvas = Image.new("L", (2 * middle, 2 * middle))
    for outline, filled in zip(OUTLINES[shape], (255, 0), strict=True):
        points = [
            (middle + round(scale * (c * x - s * y)), middle + round(scale * (s * x + c * y)))
            for x, y in outline
        ]
        if points:
            ImageDraw.Draw(canvas).polygon(points, fill=filled)
    return canvas.reduce(FINER)


def reach(thing: Thing) -> int:
    """Pixels from the middle that no shape goes beyond."""
    return thing.radius + 3


def ground(number: int) -> Image.Image:
    """A pale colour, lit from above."""
    colour = GROUNDS[number % len(GROUNDS)]
    column = Image.new("RGB", (1, SIZE))
    for y in range(SIZE):
        light = LIGHT - 2 * LIGHT * y // (SIZE - 1)
        column.putpixel((0, y), tuple(channel + light for channel in colour))
    return column.resize((SIZE, SIZE), Image.Resampling.NEAREST)


def draw(scene: Scene) -> tuple[Image.Image, list[Box]]:
    """The picture, and (left, top, right, bottom) of every thing in pixels, ends excluded."""
    picture, boxes = ground(scene.ground), []
    for group in scene.groups:
        for thing in group.things:
            covered = mask(group.shape, thing)
            left, top = thing.x - reach(thing), thing.y - reach(thing)
            picture.paste(COLOURS[group.colour], (left, top), covered)
            inner = covered.getbbox() or (0, 0, 0, 0)
            boxes.append((left + inner[0], top + inner[1], left + inner[2], top + inner[3]))
    return picture, boxes
