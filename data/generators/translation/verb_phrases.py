"""Who does what: one clause at a time, with tense, objects, places, manners and prices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from generators.choices import Choices
from generators.translation import phrases as P
from generators.translation.clauses import (
    DIRECTION,
    INDEFINITE,
    MANNER,
    PLACE,
    Clause,
    Form,
    Part,
    Phrase,
)
from generators.translation.german import after_preposition
from generators.translation.noun_phrases import (
    MY,
    PRONOUNS,
    accusative,
    dative,
    person,
    price,
    pronoun,
    spot,
    thing,
    time,
)
from generators.translation.words import Verb, verb

PRESENT, PAST, PROGRESSIVE = Form("present"), Form("past"), Form("progressive")
PASSIVE = Form("passive", tense="past")
WILL = Form("auxiliary", "will", german=("wird", "werden"))
MUST = Form("auxiliary", "must", german=("muss", "müssen"))
TO_WANT = verb("want", "wollen, will, gewollt")
TO_HAVE = verb("have, had, had", "müssen, muss, gemusst")
TO_LIKE = verb("like", "mögen, mag, gemocht")
NOW = (
    PRESENT,
    PRESENT,
    PROGRESSIVE,
    WILL,
    MUST,
    Form("auxiliary", "can", german=("kann", "können")),
    Form("auxiliary", "should", german=("sollte", "sollten")),
    Form("chain", TO_WANT, german=("will", "wollen")),
    Form("chain", TO_LIKE, gern=True),
)
THEN = (
    PAST,
    PAST,
    PAST,
    Form("chain", TO_WANT, tense="past", german=("wollte", "wollten")),
    Form("chain", TO_HAVE, tense="past", german=("musste", "mussten")),
)
ANY = NOW + THEN


def subject(choices: Choices, but: Phrase | None = None) -> Phrase:
    """A person, by name, noun or pronoun, other than ``but``."""
    while True:
        found = person(choices) if choices.chance(0.7) else pronoun(choices.favour(PRONOUNS))
        if but is None or found.english != but.english:
            return found


def someone(choices: Choices, besides: Phrase, doneenglish: str) -> Phrase:
    """A person as an object: never the subject itself; pronouns only behind one-word verbs."""
    while True:
        found = person(choices, besides.owner)
        if choices.chance(0.2) and " " not in doneenglish:
            found = pronoun(choices.pick(PRONOUNS[:5]))
        same = found.english.split()[-1] == besides.english.split()[-1]
        if not same and not (found.pronoun and besides.pronoun and found.owner == besides.owner):
            return found


def form_for(choices: Choices, action: Verb, who: Phrase, forms: Sequence[Form]) -> Form:
    """A tense that English shows: ``they read`` alone would not say when."""
    form = choices.pick(forms)
    head = action.english.split()[0]
    if form.kind == "progressive" and head in P.NOT_PROGRESSIVE:
        return PRESENT
    if form.kind == "present" and action.english == action.english_past and who.person != "er":
        return PROGRESSIVE
    return form


def tense(form: Form, choices: Choices) -> str:
    """Which times suit the form."""
    if form.kind == "past" or form.tense == "past":
        return "past"
    if form is WILL:
        return "future"
    return "future" if form is MUST and choices.chance(0.4) else "present"


def with_object(choices: Choices, who: Phrase, *, negated: bool) -> tuple[Verb, list[Part]]:
    """``repairs the old bicycle in the garden``."""
    kind, action = choices.favour(P.WITH_OBJECT)
    what = thing(choices, choices.favour(P.KINDS_OF_OBJECT[kind]), who)
    parts = [accusative(what, negated=negated)]
    if choices.chance(0.12):
        english, german = choices.pick(P.MANNERS)
        parts.append(Part(english, german, MANNER))
    if action.english in ("buy", "sell") and choices.chance(0.4):
        parts.append(price(choices))
    if kind != "rooms" and action.prefix != "mit" and choices.chance(0.25):
        parts.append(Part(*choices.favour(P.WHERE), PLACE))
    return action, parts


def with_receiver(choices: Choices, who: Phrase, *, negated: bool) -> tuple[Verb, list[Part]]:
    """``gives the child a book`` or ``gives a book to the child``."""
    kind, action = choices.favour(P.WITH_RECEIVER)
    receiver = dative(someone(choices, who, action.english))
    gift = thing(choices, choices.favour(P.KINDS_OF_OBJECT[kind]), who)
    given = accusative(gift, negated=negated)
    if choices.chance(0.5):
        return action, [receiver, given]
    return action, [given, replace(receiver, english=f"to {receiver.english}")]


def with_person(choices: Choices, who: Phrase) -> tuple[Verb, list[Part]]:
    """``visits his aunt``, ``helps the farmer``, ``waits for the doctor``."""
    kind = choices.below(3)
    if kind == 0:
        _, action = choices.favour(P.WITH_PERSON)
        return action, [accusative(someone(choices, who, action.english))]
    if kind == 1:
        _, action = choices.favour(P.WITH_DATIVE)
        return action, [dative(someone(choices, who, action.english))]
    action, preposition, german, case = choices.favour(P.WITH_PREPOSITION)
    other = someone(choices, who, action.english)
    return action, [
        Part(
            f"{preposition} {other.english_object}",
            after_preposition(german, other.german(case)),
            DIRECTION,
        )
    ]


def putting(choices: Choices, who: Phrase, *, negated: bool) -> tuple[Verb, list[Part]]:
    """``puts the vase on the table``: stellen, legen or hängen, by what is put."""
    kind, action = choices.pick(P.PUTTING)
    what = thing(choices, choices.favour(P.KINDS_OF_OBJECT[kind]), who)
    where = Part(*spot(choices, kind, "acc"), DIRECTION)
    return action, [accusative(what, negated=negated), where]


def moving(choices: Choices) -> tuple[Verb, list[Part]]:
    """``goes to the station by bus``: place, manner in English; manner, place in German."""
    drive, walk = P.GO
    kind = choices.below(5)
    if kind == 0:
        return P.ARRIVE, [Part(*choices.favour(P.ARRIVING), PLACE)]
    if kind == 1:
        return walk, [
            Part(*choices.favour(P.TO), DIRECTION),
            Part("on foot", "zu Fuß", MANNER),
        ]
    vehicle = Part(*choices.favour(P.VEHICLES[:-1]), MANNER)
    if choices.chance(0.5):
        return drive, [Part(*choices.favour(P.TO), DIRECTION), vehicle]
    city, stadt = choices.favour(P.CITIES)
    vehicle = Part(*choices.favour(P.VEHICLES), MANNER)
    return drive, [Part(f"to {city}", f"nach {stadt}", DIRECTION), vehicle]


def alone(choices: Choices) -> tuple[Verb, list[Part]]:
    """``works in the garden``, ``gets up``, ``lives in Vienna``."""
    kind = choices.below(6)
    if kind == 0:
        return P.GET_UP, []
    if kind == 1:
        city, stadt = choices.favour(P.CITIES)
        return P.LIVE, [Part(f"in {city}", f"in {stadt}", PLACE)]
    _, action = choices.favour(P.ALONE)
    return action, [Part(*choices.favour(P.WHERE), PLACE)] if choices.chance(0.5) else []


def deed(choices: Choices, who: Phrase, *, negated: bool) -> tuple[Verb, list[Part]]:
    """Any verb with what belongs to it, in English order and without a time."""
    kind = choices.below(20)
    if kind < 7:
        return with_object(choices, who, negated=negated)
    if kind < 10:
        return with_receiver(choices, who, negated=negated)
    if kind < 14:
        return with_person(choices, who)
    if kind < 16:
        return putting(choices, who, negated=negated)
    return moving(choices) if kind < 18 else alone(choices)


def action(
    choices: Choices, who: Phrase, *, timed: bool = True, forms: Sequence[Form] = ANY
) -> tuple[Clause, Part]:
    """A clause about ``who`` and a time that suits its tense (already in it, if ``timed``)."""
    negated = choices.chance(0.15)
    done, parts = deed(choices, who, negated=negated)
    form = form_for(choices, done, who, forms)
    if form.gern and any(part.rank == MANNER for part in parts):
        form = PAST if PAST in forms else PRESENT
    if form is MUST or form.gern or counted(parts):
        negated = False
        parts = [unnegated(part) for part in parts]
    when = time(choices, tense(form, choices))
    if timed and not form.gern:
        parts = [*parts, when]
    return Clause(who, done, form, tuple(parts), negated), when


def counted(parts: list[Part]) -> bool:
    """Whether an object is ``three apples``: German would not negate that with ``nicht`` alone."""
    return any(part.rank == INDEFINITE and "ein" not in part.german[:4] for part in parts)


def unnegated(part: Part) -> Part:
    """``kein`` back to ``ein``."""
    return replace(part, german=part.german[1:]) if part.german.startswith("kein") else part


def passive(choices: Choices) -> Clause:
    """``The door was opened by the guest``."""
    while True:
        kind, done = choices.favour(P.WITH_OBJECT)
        if " " not in done.english and done.english not in ("see", "find", "lose", "forget"):
            break
    agent = person(choices, MY)
    what = thing(choices, choices.favour(P.KINDS_OF_OBJECT[kind]), agent)
    by = Part(f"by {agent.english}", after_preposition("von", agent.german("dat")), MANNER)
    parts = [by, time(choices, "past")] if choices.chance(0.6) else [by]
    return Clause(what, done, PASSIVE, tuple(parts))
