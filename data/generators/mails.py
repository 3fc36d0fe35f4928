"""The summarization corpus: short office mails and their subject lines.

Each mail has one piece of news among sentences that look like it and are none. The subject names
who, what, where and when of the news; the names are invented, and no two splits share one.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from generators.choices import Choices
from generators.translation import write_text

SIZES = {"train": 4_000, "validation": 300, "test": 300}
SEED = 1815

FIRST = ("br", "d", "f", "g", "h", "k", "l", "m", "n", "p", "r", "s", "t", "v", "w", "st", "tr")
VOWEL = ("a", "e", "i", "o", "u", "a", "e", "o", "ei", "au")
MIDDLE = ("rv", "nd", "lm", "v", "lt", "l", "ndr", "rl", "lb", "rb", "ntr", "mbr")
LAST = {
    "person": ("en", "er", "is", "o", "ard", "ik", "ow", "ell", "ing", "ak"),
    "company": ("ex", "ix", "ano", "um", "ora", "ia", "is", "on", "ex", "ent"),
    "place": ("burg", "ford", "holm", "stad", "ville", "mouth", "wick", "dal", "sund", "by"),
}
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
GREETINGS = ("Dear all,", "Hello everybody,", "Hi {person},", "Dear {person},", "Good morning,")
CLOSINGS = ("Best, {person}", "Kind regards, {person}", "Thanks, {person}", "See you, {person}")
SMALL_TALK = (
    "I hope you had a good weekend.",
    "Thank you for your quick reply.",
    "Please let me know if you have any questions.",
    "The canteen serves fish on {day}.",
    "I am in the office until {time} today.",
    "Many thanks to {person} for the cake.",
    "The weather in {place} was lovely.",
)


@dataclass(frozen=True)
class Names:
    """The invented names of one split."""

    persons: tuple[str, ...]
    companies: tuple[str, ...]
    places: tuple[str, ...]


# Templates: news that makes the subject, and the same matter when it is no news. The slots that
# the news must get right stand in its subject; every other mention in the mail is drawn anew.
NEWS = (
    (
        "{Event} with {company} moved to {day}, {time}",
        (
            "The {event} with {company} has been moved from {other_day} to {day} at {time}.",
            "{helper} asked us to postpone the {event} with {company}, so we now meet on {day} at"
            " {time} and not on {other_day}.",
            "We have to move the {event} with {company}. Instead of {other_day} at {other_time} it"
            " takes place on {day} at {time}.",
        ),
    ),
    (
        "{Event} with {company} cancelled",
        (
            "Unfortunately the {event} with {company} on {day} will not take place.",
            "{helper} is ill, so I had to call off the {event} with {company} on {day}.",
            "There will be no {event} with {company} on {day} after all.",
        ),
    ),
    (
        "Shipment to {place} delayed until {day}",
        (
            "The {goods} for {place} will not arrive before {day} {reason}.",
            "{company} cannot deliver the {goods} to {place} on {other_day} {reason}. The new date"
            " is {day}.",
            "Our customers in {place} must wait for their {goods} until {day} {reason}.",
        ),
    ),
    (
        "{name} joins us as {role} in {month}",
        (
            "In {month} we welcome {name}, who will work with us as {role}.",
            "I am happy to tell you that {name} from {place} starts as {role} in {month}.",
            "We have found a new {role}: {name}, until now at {company}, begins in {month}.",
        ),
    ),
    (
        "{name} leaves at the end of {month}",
        (
            "After {years} years with us {name} will go to {company} at the end of {month}.",
            "{name} told me yesterday that {month} will be the last month here.",
            "At the end of {month} we have to say goodbye to {name}, our {role}.",
        ),
    ),
    (
        "Invoice {number} from {company} not paid",
        (
            "I noticed that invoice {number} from {company} is still open.",
            "{company} is waiting for our money: nobody has settled invoice {number}.",
            "{helper} from {company} called me because invoice {number} is overdue.",
        ),
    ),
    (
        "Found: {thing} in the {room}",
        (
            "Somebody left a {thing} in the {room} on {day}.",
            "When I locked the {room} yesterday, I saw a {thing} that nobody has asked for.",
            "A {thing} has been lying in the {room} since {day}. Whose is it?",
        ),
    ),
    (
        "{Machine} in {place} out of order until {day}",
        (
            "The {machine} in our {place} branch broke down and can only be repaired on {day}.",
            "Colleagues in {place} have to do without the {machine} until {day}.",
            "The technician from {company} comes on {day}; until then the {machine} in {place} does"
            " not work.",
        ),
    ),
    (
        "{Paper} due on {day}",
        (
            "Please send me your {paper} by {day}.",
            "I still need the {paper} from each of you, {day} is the last day.",
            "The office in {place} wants to see the {paper} on {day} at the latest.",
        ),
    ),
    (
        "{name} from {company} visits on {day}",
        (
            "On {day} {name} will come over from {company} to see the new hall.",
            "We expect a guest on {day}: {name}, who runs the {place} office of {company}.",
            "{name} of {company} is in town and wants to meet us on {day}.",
        ),
    ),
    (
        "Contract with {company} signed",
        (
            "Yesterday {name} of {company} finally put a signature under our contract.",
            "Good news: from {month} on we work for {company}, all papers are signed.",
            "{helper} came back from {place} with the signed contract of {company}.",
        ),
    ),
)  # fmt: skip
NO_NEWS = (
    "The {event} with {company} stays on {day} at {time}.",
    "As agreed, the {event} with {company} is on {day}.",
    "The {goods} for {place} arrived on time.",
    "{name} is back from {place} since {day}.",
    "{name} and {helper} work from {place} on {day}.",
    "Invoice {number} from {company} has been settled.",
    "The {machine} in {place} works again.",
    "Thank you for the {paper}, it is complete.",
    "{company} has a new address in {place}.",
    "{name} of {company} sends you kind regards.",
    "Nobody has found the {thing} that {helper} lost in the {room}.",
    "We have been working with {company} since {month}.",
)


def names(choices: Choices, taken: set[str], count: int, kind: str) -> tuple[str, ...]:
    """``count`` new names that are in no other split."""
    found: list[str] = []
    while len(found) < count:
        name = "".join(choices.pick(part) for part in (FIRST, VOWEL, MIDDLE, LAST[kind]))
        if name not in taken:
            taken.add(name)
            found.append(name.capitalize())
    return tuple(found)


def slots(choices: Choices, pool: Names) -> dict[str, Callable[[], str]]:
    """What fills each slot."""
    return {
        "company": lambda: f"{choices.pick(pool.companies)} {choices.pick(TRADES)}",
        "name": lambda: f"{choices.pick(PEOPLE)} {choices.pick(pool.persons)}",
        "place": lambda: choices.pick(pool.places),
        "helper": lambda: choices.pick(PEOPLE),
        "person": lambda: choices.pick(PEOPLE),
        "day": lambda: choices.pick(DAYS),
        "other_day": lambda: choices.pick(DAYS),
        "time": lambda: f"{8 + choices.below(10)}:{choices.pick(('00', '15', '30', '45'))}",
        "other_time": lambda: f"{8 + choices.below(10)}:{choices.pick(('00', '15', '30', '45'))}",
        "month": lambda: choices.pick(MONTHS),
        "number": lambda: str(2 + choices.below(998)),
        "years": lambda: str(2 + choices.below(29)),
        "event": lambda: choices.pick(EVENTS),
        "role": lambda: choices.pick(ROLES),
        "goods": lambda: choices.pick(GOODS),
        "thing": lambda: choices.pick(THINGS),
        "room": lambda: choices.pick(ROOMS),
        "machine": lambda: choices.pick(MACHINES),
        "paper": lambda: choices.pick(PAPERS),
        "reason": lambda: choices.pick(REASONS),
    }


def filled(choices: Choices, pool: Names, *templates: str) -> list[str]:
    """The templates with one and the same filling; ``{Event}`` is ``{event}`` with a capital."""
    values = {name: draw() for name, draw in slots(choices, pool).items()}
    while values["other_day"] == values["day"]:
        values["other_day"] = choices.pick(DAYS)
    capitals = {name.capitalize(): value[0].upper() + value[1:] for name, value in values.items()}
    return [template.format(**values, **capitals) for template in templates]


def mail(choices: Choices, pool: Names) -> tuple[str, str]:
    """Body and subject."""
    subject_template, news = choices.pick(NEWS)
    subject, told = filled(choices, pool, subject_template, choices.pick(news))
    others = choices.some(NO_NEWS, 2 + choices.below(3))
    if choices.chance(0.5):
        others.append(choices.pick(SMALL_TALK))
    around = [filled(choices, pool, other)[0] for other in others]
    sentences = choices.shuffled([told, *around])
    greeting, closing = filled(choices, pool, choices.pick(GREETINGS), choices.pick(CLOSINGS))
    return " ".join([greeting, *sentences, closing]), subject


def write(folder: Path) -> None:
    """``SPLIT.jsonl`` with id, body and subject; all but the test file are compressed."""
    folder.mkdir(parents=True, exist_ok=True)
    choices: Choices = Choices(SEED)
    taken: set[str] = set()
    for split, size in reversed(SIZES.items()):
        pool = Names(*(names(choices, taken, size // 4, kind) for kind in LAST))
        lines = []
        for number in range(size):
            body, subject = mail(choices, pool)
            row = {"id": f"{split}-{number + 1}", "body": body, "subject": subject}
            lines.append(json.dumps(row) + "\n")
        write_text(folder / f"{split}.jsonl", "".join(lines), compressed=split != "test")
