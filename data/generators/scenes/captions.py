"""What may be said of a scene: which things, how many, how large, and where to each other."""

from __future__ import annotations

from generators.choices import Choices
from generators.scenes.elements import ACROSS, Group, Scene

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


def named(choices: Choices, group: Group) -> str:
    """``two small red stars``; the size is not always said."""
    size = f"{group.size} " if choices.chance(0.4) else ""
    described, count = f"{size}{group.colour}", len(group.things)
    if count == 1:
        article = "an" if described[0] in "aeiou" else "a"
        return f"{article} {described} {group.shape}"
    return f"{COUNTS[count]} {described} {plural(group.shape)}"


def verb(group: Group) -> str:
    """``is`` or ``are``."""
    return "is" if len(group.things) == 1 else "are"


def caption(choices: Choices, scene: Scene) -> str:
    """In small letters without punctuation; what is left or above mostly goes first."""
    names = [named(choices, group) for group in scene.groups]
    if len(names) == 1:
        return choices.favour(ALONE).format(a=names[0], **{"is": verb(scene.groups[0])})
    if len(names) == 3:
        ends = ("left", "right") if scene.parts[0] in ACROSS else ("top", "bottom")
        order = "from {} to {}".format(*ends)
        first, middle, last = names
        return choices.favour(ROWS).format(a=first, b=middle, c=last, order=order)
    first, second = (0, 1) if choices.chance(0.7) else (1, 0)
    return choices.favour(PAIRS).format(
        a=names[first],
        b=names[second],
        where=choices.favour(WHERE[scene.parts[first]]),
        **{"is": verb(scene.groups[first])},
    )


def captions(choices: Choices, scene: Scene, count: int = 5) -> list[str]:
    """``count`` different ones."""
    found: list[str] = []
    while len(found) < count:
        said = caption(choices, scene)
        if said not in found:
            found.append(said)
    return found
