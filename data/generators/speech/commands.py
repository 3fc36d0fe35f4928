"""Composes the sentences of the speech corpus: short home-automation commands, spelled as spoken.

Many words sound alike (``fifteen`` and ``fifty``, ``den`` and ``ten``), and the context rarely says
which of them was spoken.
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


def spoken_number(choices: Choices) -> str:
    """A number: a unit, a teen, a ten, or ``twenty five``, each kind equally often."""
    kind = choices.integer_below(4)
    if kind == 0:
        return choices.pick(ONES[1:])
    if kind == 1:
        return choices.pick(TEENS)
    tens = choices.pick(TENS)
    return tens if kind == 2 else f"{tens} {choices.pick(ONES)}"


def spoken_time(choices: Choices) -> str:
    """A time such as ``half past seven``, ``a quarter to nine`` or ``six forty five``."""
    hour = choices.pick(HOURS)
    kind = choices.integer_below(4)
    if kind == 0:
        return f"half past {hour}"
    if kind == 1:
        return f"a quarter {choices.pick(('to', 'past'))} {hour}"
    return f"{hour} {choices.pick(PAST_THE_HOUR)}"


SLOT_FILLERS: dict[str, Callable[[Choices], str]] = {
    "number": spoken_number,
    "clock": spoken_time,
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


def fill_template(choices: Choices, template: str) -> str:
    """Fill the slots of a template from left to right, each independently."""
    words = []
    for part in template.replace("{other_", "{").split():
        slot = part.strip("{}")
        words.append(SLOT_FILLERS[slot](choices) if part.startswith("{") else part)
    return " ".join(words)


def compose_commands(choices: Choices, count: int, used: set[str]) -> list[str]:
    """Compose ``count`` commands that are not in ``used``, and add them to it."""
    commands: list[str] = []
    while len(commands) < count:
        command = fill_template(choices, choices.pick(TEMPLATES))
        if command not in used:
            used.add(command)
            commands.append(command)
    return commands
