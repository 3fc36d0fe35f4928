"""Composes and writes the summarization corpus: short office e-mails and their subject lines.

Each e-mail has one piece of news among similar sentences that are not news. The subject states the
news: who, what, where and when. The names are invented, and no two splits share one.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from generators.choices import Choices
from generators.summarization.templates import CLOSINGS, DISTRACTORS, GREETINGS, NEWS
from generators.text_files import write_text

SIZES = {"train": 4_000, "validation": 300, "test": 300}
SEED = 1815

FIRST = ("br", "d", "f", "g", "h", "k", "l", "m", "n", "p", "r", "s", "t", "v", "w", "st", "tr")
VOWEL = ("a", "e", "i", "o", "u", "a", "e", "o", "ei", "au")
MIDDLE = ("rv", "nd", "lm", "v", "lt", "l", "ndr", "rl", "lb", "rb", "ntr", "mbr")
LAST = {
    "person": ("en", "er", "is", "o", "ard", "ik", "ow", "ell", "ing", "ak"),
    "company": ("ex", "ix", "ano", "um", "ora", "ia", "is", "on", "ex", "ent"),
    "place": (
        "aburg", "eford", "eholm", "estad", "eville", "emouth", "ewick", "adal", "esund", "aby",
    ),
}  # fmt: skip
TRADES = (
    "Logistics",
    "Foods",
    "Paper",
    "Textiles",
    "Energy",
    "Software",
    "Tools",
    "Optics",
    "Travel",
)
PEOPLE = (
    "Marta", "Tobias", "Ines", "Oscar", "Lena", "Victor", "Paula", "Henry", "Judith", "Amir",
    "Carla", "Bruno", "Dora", "Samuel", "Elif", "Ruben",
)  # fmt: skip
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday")
LATER = ("", "one day", "two days", "three days", "four days", "a week")
MONTHS = ("January", "March", "April", "May", "June", "August", "October", "November")
EVENTS = (
    "budget review", "kick-off meeting", "safety training", "contract talk", "design workshop",
    "product demo", "quarterly call", "planning session",
)  # fmt: skip
ROLES = (
    "accountant",
    "warehouse manager",
    "designer",
    "driver",
    "lawyer",
    "sales assistant",
    "engineer",
)
GOODS = (
    "printers",
    "spare parts",
    "chairs",
    "samples",
    "lamps",
    "batteries",
    "brochures",
    "cables",
)
THINGS = ("black umbrella", "silver ring", "blue scarf", "set of keys", "phone", "pair of glasses")
ROOMS = ("canteen", "library", "car park", "lobby", "meeting room", "garage", "kitchen")
MACHINES = ("lift", "coffee machine", "printer", "heating", "air conditioning", "projector")
PAPERS = ("travel report", "cost estimate", "inventory list", "annual report", "time sheet")
REASONS = (
    "because of the storm", "because two drivers are ill", "because a form was missing",
    "because the customs office is closed", "after a breakdown on the motorway",
)  # fmt: skip


@dataclass(frozen=True)
class Names:
    """The invented names of one split."""

    persons: tuple[str, ...]
    companies: tuple[str, ...]
    places: tuple[str, ...]


def invent_names(choices: Choices, used: set[str], count: int, kind: str) -> tuple[str, ...]:
    """Invent ``count`` names that are not in ``used``, and add them to it."""
    names: list[str] = []
    while len(names) < count:
        name = "".join(choices.pick(part) for part in (FIRST, VOWEL, MIDDLE, LAST[kind]))
        if name not in used:
            used.add(name)
            names.append(name.capitalize())
    return tuple(names)


def slot_fillers(choices: Choices, pool: Names) -> dict[str, Callable[[], str]]:
    """For each slot, a function that draws a filler."""
    lists = {
        "place": pool.places,
        "person": PEOPLE,
        "month": MONTHS,
        "event": EVENTS,
        "role": ROLES,
        "goods": GOODS,
        "thing": THINGS,
        "room": ROOMS,
        "machine": MACHINES,
        "paper": PAPERS,
        "reason": REASONS,
        "day": DAYS,
    }
    return {
        **{slot: partial(choices.pick, items) for slot, items in lists.items()},
        "company": lambda: f"{choices.pick(pool.companies)} {choices.pick(TRADES)}",
        "name": lambda: f"{choices.pick(PEOPLE)} {choices.pick(pool.persons)}",
        "time": lambda: f"{8 + choices.integer_below(10)}:{choices.pick(('00', '15', '30', '45'))}",
        "number": lambda: str(2 + choices.integer_below(998)),
        "years": lambda: str(2 + choices.integer_below(29)),
    }


def fill_templates(choices: Choices, pool: Names, *templates: str) -> list[str]:
    """Fill all templates with the same values; ``{Event}`` is ``{event}`` with a capital."""
    values = {}
    for slot, draw in slot_fillers(choices, pool).items():
        values[slot] = draw()
        other = draw()
        while other == values[slot]:
            other = draw()
        values["other_" + slot] = other
    day = DAYS.index(values["day"])
    days = choices.integer_below(day) + 1 if day else len(DAYS)
    values["earlier_day"] = DAYS[day - days] if day else values["day"]
    values["days_later"] = LATER[days]
    capitals = {slot.capitalize(): text[0].upper() + text[1:] for slot, text in values.items()}
    return [template.format(**values, **capitals) for template in templates]


def compose_mail(choices: Choices, pool: Names) -> tuple[str, str]:
    """Compose the body and the subject of an e-mail."""
    subject_template, news = choices.pick(NEWS)
    subject, news_text = fill_templates(choices, pool, subject_template, choices.pick(news))
    templates = choices.sample(DISTRACTORS, 2 + choices.integer_below(4))
    distractors = [fill_templates(choices, pool, template)[0] for template in templates]
    sentences = choices.shuffled([news_text, *distractors])
    greeting, closing = fill_templates(
        choices, pool, choices.pick(GREETINGS), choices.pick(CLOSINGS)
    )
    return " ".join([greeting, *sentences, closing]), subject


def write(folder: Path) -> None:
    """Write ``SPLIT.jsonl`` with id, body and subject; all but the test file are compressed."""
    folder.mkdir(parents=True, exist_ok=True)
    choices = Choices(SEED)
    used: set[str] = set()
    for split, size in reversed(SIZES.items()):
        pool = Names(*(invent_names(choices, used, size // 4, kind) for kind in LAST))
        lines = []
        for number in range(size):
            body, subject = compose_mail(choices, pool)
            row = {"id": f"{split}-{number + 1}", "body": body, "subject": subject}
            lines.append(json.dumps(row) + "\n")
        write_text(folder / f"{split}.jsonl", "".join(lines), compressed=split != "test")
