"""What people say to a house that listens: short commands, spelled as they are spoken.

Only the sentences; ``speech.py`` knows who says them. Many words sound alike (``fifteen`` and
``fifty``, ``den`` and ``ten``), and what may stand in a place says little about what does.
"""

from __future__ import annotations

from collections.abc import Callable

from generators.choices import Choices

ONES = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TEENS = (
    "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen",
    "eighteen", "nineteen",
)  # fmt: skip
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
HOURS = (*ONES, *TEENS[:3])
PAST_THE_HOUR = ("fifteen", "thirty", "forty five", "twenty", "fifty")
NAMES = (
    "anna", "ben", "carla", "david", "emma", "frank", "helen", "jack", "laura", "martin", "nina",
    "oliver", "paula", "robert", "susan", "tom",
)  # fmt: skip
ROOMS = ("kitchen", "bedroom", "bathroom", "living room", "hall", "office", "garage", "den")
COLOURS = ("red", "green", "blue", "white", "yellow", "orange", "purple", "pink")
DEVICES = ("lights", "heating", "fan", "radio", "television", "lamp", "speaker", "printer")
DOORS = ("door", "window", "cupboard")
OPENINGS = (*DOORS, "blinds", "curtains")
MUSIC = ("jazz", "piano music", "the news", "a story", "the next song", "some rock music")
COUNTED = ("apples", "bananas", "carrots", "eggs", "lemons", "onions", "potatoes", "tomatoes")
THINGS = (*COUNTED, "bread", "butter", "cheese", "coffee", "milk", "rice", "sugar", "tea")
CHORES = (
    "water the plants", "feed the cat", "walk the dog", "take out the rubbish", "pay the rent",
    "buy a ticket", "call the doctor", "wash the car",
)  # fmt: skip
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
UNITS = ("seconds", "minutes", "minutes", "hours")
CHANGES = ("warmer", "cooler", "brighter", "darker", "louder", "quieter")

TEMPLATES = (
    "set the {room} timer for {number} {unit}",
    "set an alarm for {clock}",
    "wake me at {clock} on {day}",
    "turn {switch} the {device} in the {room}",
    "turn the {room} {device} {switch}",
    "make the {room} light {colour}",
    "make the {room} {change} on {day}",
    "{move} the {opening} in the {room}",
    "{move} the {colour} {opening}",
    "call {name} at {clock}",
    "tell {name} i will be {number} minutes late",
    "play {music} in the {room}",
    "play {music} for {name}",
    "add {number} {counted} to the list",
    "put {thing} and {other_thing} on the list",
    "remind me to {chore} on {day}",
    "remind {name} to {chore} at {clock}",
    "what is {number} {sign} {other_number}",
    "dial {digit} {digit} {digit} {digit} {digit}",
    "set the volume to {number}",
    "is the {door} in the {room} {state}",
    "did {name} call on {day}",
)


def number(choices: Choices) -> str:
    """``seven``, ``fifteen``, ``forty``, ``twenty five``: as often each."""
    kind = choices.below(4)
    if kind == 0:
        return choices.pick(ONES[1:])
    if kind == 1:
        return choices.pick(TEENS)
    tens = choices.pick(TENS)
    return tens if kind == 2 else f"{tens} {choices.pick(ONES)}"


def clock(choices: Choices) -> str:
    """``half past seven``, ``a quarter to nine``, ``six forty five``."""
    hour = choices.pick(HOURS)
    kind = choices.below(4)
    if kind == 0:
        return f"half past {hour}"
    if kind == 1:
        return f"a quarter {choices.pick(('to', 'past'))} {hour}"
    return f"{hour} {choices.pick(PAST_THE_HOUR)}"


SLOTS: dict[str, Callable[[Choices], str]] = {
    "number": number,
    "clock": clock,
    **{
        slot: lambda choices, words=words: choices.pick(words)
        for slot, words in {
            "digit": ONES,
            "name": NAMES,
            "room": ROOMS,
            "colour": COLOURS,
            "device": DEVICES,
            "door": DOORS,
            "opening": OPENINGS,
            "music": MUSIC,
            "counted": COUNTED,
            "thing": THINGS,
            "chore": CHORES,
            "day": DAYS,
            "unit": UNITS,
            "change": CHANGES,
            "switch": ("on", "off"),
            "move": ("open", "close"),
            "state": ("open", "closed", "locked"),
            "sign": ("plus", "minus", "times"),
        }.items()
    },
}


def command(choices: Choices, template: str) -> str:
    """The template with every slot filled anew, from left to right."""
    words = []
    for part in template.replace("{other_", "{").split():
        slot = part.strip("{}")
        words.append(SLOTS[slot](choices) if part.startswith("{") else part)
    return " ".join(words)


def commands(choices: Choices, count: int, taken: set[str]) -> list[str]:
    """``count`` different commands that are not in ``taken``, which holds them then."""
    found: list[str] = []
    while len(found) < count:
        said = command(choices, choices.pick(TEMPLATES))
        if said not in taken:
            taken.add(said)
            found.append(said)
    return found
