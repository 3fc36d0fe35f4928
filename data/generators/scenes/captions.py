"""Captions of a scene: which objects, how many, how large, and how they are arranged."""

from __future__ import annotations

from generators.choices import Choices
from generators.scenes.elements import HORIZONTAL, Group, Scene

COUNTS = ("", "", "two", "three", "four")
WHERE = {
    "left": ("to the left of", "left of"),
    "right": ("to the right of", "right of"),
    "above": ("above", "over"),
    "below": ("below", "under"),
}
PAIRS = (
    "{a} {where} {b}",
    "{a} {is} {where} {b}",
    "there {is} {a} {where} {b}",
    "{where} {b} {is} {a}",
    "{a} and {b}",
)
ROWS = (
    "{b} between {a} and {c}",
    "there is {b} between {a} and {c}",
    "between {a} and {c} is {b}",
    "{a} then {b} then {c} {order}",
    "{order} {a} and {b} and {c}",
)
ALONE = ("{a}", "there {is} {a}", "only {a}", "{a} and nothing else", "a picture of {a}")


def plural(shape: str) -> str:
    """``crosses``, ``stars``."""
    return shape + ("es" if shape.endswith("s") else "s")


def describe_group(choices: Choices, group: Group) -> str:
    """Describe a group, such as ``two small red stars``; the size is not always given."""
    size = f"{group.size} " if choices.chance(0.4) else ""
    modifiers, count = f"{size}{group.colour}", len(group.objects)
    if count == 1:
        article = "an" if modifiers[0] in "aeiou" else "a"
        return f"{article} {modifiers} {group.shape}"
    return f"{COUNTS[count]} {modifiers} {plural(group.shape)}"


def verb(group: Group) -> str:
    """``is`` or ``are``."""
    return "is" if len(group.objects) == 1 else "are"


def compose_caption(choices: Choices, scene: Scene) -> str:
    """Compose a lower-case caption, no punctuation; the left or upper group usually comes first."""
    names = [describe_group(choices, group) for group in scene.groups]
    if len(names) == 1:
        return choices.pick_skewed(ALONE).format(a=names[0], **{"is": verb(scene.groups[0])})
    if len(names) == 3:
        ends = ("left", "right") if scene.roles[0] in HORIZONTAL else ("top", "bottom")
        order = "from {} to {}".format(*ends)
        first, middle, last = names
        return choices.pick_skewed(ROWS).format(a=first, b=middle, c=last, order=order)
    first, second = (0, 1) if choices.chance(0.7) else (1, 0)
    return choices.pick_skewed(PAIRS).format(
        a=names[first],
        b=names[second],
        where=choices.pick_skewed(WHERE[scene.roles[first]]),
        **{"is": verb(scene.groups[first])},
    )


def compose_captions(choices: Choices, scene: Scene, count: int = 5) -> list[str]:
    """Compose ``count`` different captions."""
    captions: list[str] = []
    while len(captions) < count:
        caption = compose_caption(choices, scene)
        if caption not in captions:
            captions.append(caption)
    return captions
