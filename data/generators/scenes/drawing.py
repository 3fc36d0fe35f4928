"""Draws scenes with Pillow. A shape is a polygon, some with another polygon cut out.

Shapes are drawn at four times the size with integer coordinates and then averaged down, so that the
pixels are the same on every machine.
"""

from __future__ import annotations

from math import cos, pi, sin, tau

from PIL import Image, ImageDraw

from generators.scenes.elements import COLOURS, SIZE, Scene, SceneObject

SUPERSAMPLING = 4
Point = tuple[float, float]  # relative to the centre, in radii, y downwards
Outline = list[Point]
Box = tuple[int, int, int, int]

BACKGROUNDS = (
    (236, 236, 232), (226, 236, 244), (242, 232, 218), (228, 240, 226), (240, 228, 236),
    (232, 230, 244),
)  # fmt: skip
SHADING = 10  # added to each channel at the top, subtracted at the bottom


def regular_polygon(corners: int, radius: float = 1.0, first_angle: float = -pi / 2) -> Outline:
    """A regular polygon; with many corners, a circle."""
    angles = [first_angle + tau * corner / corners for corner in range(corners)]
    return [(radius * cos(angle), radius * sin(angle)) for angle in angles]


def star() -> Outline:
    """A star with five points."""
    outer, inner = regular_polygon(5), regular_polygon(5, 0.45, -pi / 2 + pi / 5)
    return [point for pair in zip(outer, inner, strict=True) for point in pair]


def cross() -> Outline:
    """A cross of two bars, each three times as long as wide."""
    long, wide = 0.95, 0.32
    quarter = [(wide, -long), (wide, -wide), (long, -wide)]
    turns = [(1, 0), (0, 1), (-1, 0), (0, -1)]
    return [(c * x - s * y, s * x + c * y) for c, s in turns for x, y in quarter]


CIRCLE_CORNERS = 60
OUTLINES: dict[str, tuple[Outline, Outline]] = {
    "circle": (regular_polygon(CIRCLE_CORNERS), []),
    "square": (regular_polygon(4, first_angle=pi / 4), []),
    "triangle": (regular_polygon(3), []),
    "star": (star(), []),
    "cross": (cross(), []),
    "ring": (regular_polygon(CIRCLE_CORNERS), regular_polygon(CIRCLE_CORNERS, 0.55)),
}


def coverage_mask(shape: str, item: SceneObject) -> Image.Image:
    """How much of each pixel the object covers, 0 to 255, within ``extent`` of its centre."""
    angle = item.rotation * tau / 360
    c, s, scale = cos(angle), sin(angle), SUPERSAMPLING * item.radius
    centre = SUPERSAMPLING * extent(item)
    canvas = Image.new("L", (2 * centre, 2 * centre))
    for outline, filled in zip(OUTLINES[shape], (255, 0), strict=True):
        points = [
            (centre + round(scale * (c * x - s * y)), centre + round(scale * (s * x + c * y)))
            for x, y in outline
        ]
        if points:
            ImageDraw.Draw(canvas).polygon(points, fill=filled)
    return canvas.reduce(SUPERSAMPLING)


def extent(item: SceneObject) -> int:
    """A distance from the centre, in pixels, that no shape exceeds."""
    return item.radius + 3


def draw_background(number: int) -> Image.Image:
    """A pale background, brighter at the top."""
    colour = BACKGROUNDS[number % len(BACKGROUNDS)]
    column = Image.new("RGB", (1, SIZE))
    for y in range(SIZE):
        shade = SHADING - 2 * SHADING * y // (SIZE - 1)
        column.putpixel((0, y), tuple(channel + shade for channel in colour))
    return column.resize((SIZE, SIZE), Image.Resampling.NEAREST)


def draw(scene: Scene) -> tuple[Image.Image, list[Box]]:
    """Draw a scene.

    Returns the image, and the box of every object: (left, top, right, bottom) in pixels, right and
    bottom excluded.
    """
    image, boxes = draw_background(scene.background), []
    for group in scene.groups:
        for item in group.objects:
            mask = coverage_mask(group.shape, item)
            left, top = item.x - extent(item), item.y - extent(item)
            image.paste(COLOURS[group.colour], (left, top), mask)
            inner = mask.getbbox() or (0, 0, 0, 0)
            boxes.append((left + inner[0], top + inner[1], left + inner[2], top + inner[3]))
    return image, boxes
