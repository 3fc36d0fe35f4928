"""Random clauses: a verb with its objects, tense, place, manner and price."""

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
from generators.translation.german import prepositional_phrase
from generators.translation.noun_phrases import (
    MY,
    PRONOUNS,
    accusative_object,
    dative_object,
    location,
    person_phrase,
    price_phrase,
    pronoun_phrase,
    thing_phrase,
    time_expression,
)
from generators.translation.words import Verb, parse_verb

PRESENT, PAST, PROGRESSIVE = Form("present"), Form("past"), Form("progressive")
PASSIVE = Form("passive", tense="past")
WILL = Form("auxiliary", "will", german=("wird", "werden"))
MUST = Form("auxiliary", "must", german=("muss", "müssen"))
TO_WANT = parse_verb("want", "wollen, will, gewollt")
TO_HAVE = parse_verb("have, had, had", "müssen, muss, gemusst")
TO_LIKE = parse_verb("like", "mögen, mag, gemocht")
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


def subject_phrase(choices: Choices, other_than: Phrase | None = None) -> Phrase:
    """A person, by name, noun or pronoun, but not ``other_than``."""
    while True:
        if choices.chance(0.7):
            phrase = person_phrase(choices)
        else:
            phrase = pronoun_phrase(choices.pick_skewed(PRONOUNS))
        if other_than is None or phrase.english != other_than.english:
            return phrase


def person_object(choices: Choices, subject: Phrase, english_verb: str) -> Phrase:
    """A person as an object, never the subject itself; a pronoun only after a one-word verb."""
    while True:
        phrase = person_phrase(choices, subject.owner)
        if choices.chance(0.2) and " " not in english_verb:
            phrase = pronoun_phrase(choices.pick(PRONOUNS[:5]))
        same = phrase.english.split()[-1] == subject.english.split()[-1]
        if not same and not (phrase.pronoun and subject.pronoun and phrase.owner == subject.owner):
            return phrase


def choose_form(choices: Choices, verb: Verb, subject: Phrase, forms: Sequence[Form]) -> Form:
    """Pick a form with a clear tense in English; ``they read`` may be present or past."""
    form = choices.pick(forms)
    head = verb.english.split()[0]
    if form.kind == "progressive" and head in P.NOT_PROGRESSIVE:
        return PRESENT
    if form.kind == "present" and verb.english == verb.english_past and subject.person != "er":
        return PROGRESSIVE
    return form


def time_frame(form: Form, choices: Choices) -> str:
    """Choose the time that suits the form: ``past``, ``present`` or ``future``."""
    if form.kind == "past" or form.tense == "past":
        return "past"
    if form is WILL:
        return "future"
    return "future" if form is MUST and choices.chance(0.4) else "present"


def with_object(choices: Choices, subject: Phrase, *, negated: bool) -> tuple[Verb, list[Part]]:
    """``repairs the old bicycle in the garden``."""
    kind, verb = choices.pick_skewed(P.WITH_OBJECT)
    what = thing_phrase(choices, choices.pick_skewed(P.KINDS_OF_OBJECT[kind]), subject)
    parts = [accusative_object(what, negated=negated)]
    if choices.chance(0.12):
        english, german = choices.pick(P.MANNERS)
        parts.append(Part(english, german, MANNER))
    if verb.english in ("buy", "sell") and choices.chance(0.4):
        parts.append(price_phrase(choices))
    if kind != "rooms" and verb.prefix != "mit" and choices.chance(0.25):
        parts.append(Part(*choices.pick_skewed(P.WHERE), PLACE))
    return verb, parts


def with_receiver(choices: Choices, subject: Phrase, *, negated: bool) -> tuple[Verb, list[Part]]:
    """``gives the child a book`` or ``gives a book to the child``."""
    kind, verb = choices.pick_skewed(P.WITH_RECEIVER)
    receiver = dative_object(person_object(choices, subject, verb.english))
    gift = thing_phrase(choices, choices.pick_skewed(P.KINDS_OF_OBJECT[kind]), subject)
    given = accusative_object(gift, negated=negated)
    if choices.chance(0.5):
        return verb, [receiver, given]
    return verb, [given, replace(receiver, english=f"to {receiver.english}")]


def with_person(choices: Choices, subject: Phrase) -> tuple[Verb, list[Part]]:
    """``visits his aunt``, ``helps the farmer``, ``waits for the doctor``."""
    kind = choices.integer_below(3)
    if kind == 0:
        _, verb = choices.pick_skewed(P.WITH_PERSON)
        return verb, [accusative_object(person_object(choices, subject, verb.english))]
    if kind == 1:
        _, verb = choices.pick_skewed(P.WITH_DATIVE)
        return verb, [dative_object(person_object(choices, subject, verb.english))]
    verb, preposition, german, case = choices.pick_skewed(P.WITH_PREPOSITION)
    other = person_object(choices, subject, verb.english)
    return verb, [
        Part(
            f"{preposition} {other.english_object}",
            prepositional_phrase(german, other.german(case)),
            DIRECTION,
        )
    ]


def with_placement(choices: Choices, subject: Phrase, *, negated: bool) -> tuple[Verb, list[Part]]:
    """``puts the vase on the table``: stellen, legen or hängen, depending on the object."""
    kind, verb = choices.pick(P.PUTTING)
    what = thing_phrase(choices, choices.pick_skewed(P.KINDS_OF_OBJECT[kind]), subject)
    where = Part(*location(choices, kind, "acc"), DIRECTION)
    return verb, [accusative_object(what, negated=negated), where]


def with_movement(choices: Choices) -> tuple[Verb, list[Part]]:
    """``goes to the station by bus``: place before manner in English, after it in German."""
    drive, walk = P.GO
    kind = choices.integer_below(5)
    if kind == 0:
        return P.ARRIVE, [Part(*choices.pick_skewed(P.ARRIVING), PLACE)]
    if kind == 1:
        return walk, [
            Part(*choices.pick_skewed(P.TO), DIRECTION),
            Part("on foot", "zu Fuß", MANNER),
        ]
    vehicle = Part(*choices.pick_skewed(P.VEHICLES[:-1]), MANNER)
    if choices.chance(0.5):
        return drive, [Part(*choices.pick_skewed(P.TO), DIRECTION), vehicle]
    city, stadt = choices.pick_skewed(P.CITIES)
    vehicle = Part(*choices.pick_skewed(P.VEHICLES), MANNER)
    return drive, [Part(f"to {city}", f"nach {stadt}", DIRECTION), vehicle]


def intransitive(choices: Choices) -> tuple[Verb, list[Part]]:
    """``works in the garden``, ``gets up``, ``lives in Vienna``."""
    kind = choices.integer_below(6)
    if kind == 0:
        return P.GET_UP, []
    if kind == 1:
        city, stadt = choices.pick_skewed(P.CITIES)
        return P.LIVE, [Part(f"in {city}", f"in {stadt}", PLACE)]
    _, verb = choices.pick_skewed(P.ALONE)
    return verb, [Part(*choices.pick_skewed(P.WHERE), PLACE)] if choices.chance(0.5) else []


def verb_phrase(choices: Choices, subject: Phrase, *, negated: bool) -> tuple[Verb, list[Part]]:
    """Pick a verb with its objects and adverbials, in English order and without a time."""
    kind = choices.integer_below(20)
    if kind < 7:
        return with_object(choices, subject, negated=negated)
    if kind < 10:
        return with_receiver(choices, subject, negated=negated)
    if kind < 14:
        return with_person(choices, subject)
    if kind < 16:
        return with_placement(choices, subject, negated=negated)
    return with_movement(choices) if kind < 18 else intransitive(choices)


def random_clause(
    choices: Choices, subject: Phrase, *, timed: bool = True, forms: Sequence[Form] = ANY
) -> tuple[Clause, Part]:
    """A clause about ``subject``, and a time that suits it (included if ``timed``)."""
    negated = choices.chance(0.15)
    verb, parts = verb_phrase(choices, subject, negated=negated)
    form = choose_form(choices, verb, subject, forms)
    if form.gern and any(part.rank == MANNER for part in parts):
        form = PAST if PAST in forms else PRESENT
    if form is MUST or form.gern or has_numeral(parts):
        negated = False
        parts = [without_negation(part) for part in parts]
    when = time_expression(choices, time_frame(form, choices))
    if timed and not form.gern:
        parts = [*parts, when]
    return Clause(subject, verb, form, tuple(parts), negated), when


def has_numeral(parts: list[Part]) -> bool:
    """Whether an object has a numeral (``three apples``), which ``nicht`` alone cannot negate."""
    return any(part.rank == INDEFINITE and "ein" not in part.german[:4] for part in parts)


def without_negation(part: Part) -> Part:
    """Change ``kein`` back to ``ein``."""
    return replace(part, german=part.german[1:]) if part.german.startswith("kein") else part


def passive_clause(choices: Choices) -> Clause:
    """``The door was opened by the guest``."""
    while True:
        kind, verb = choices.pick_skewed(P.WITH_OBJECT)
        if " " not in verb.english and verb.english not in ("see", "find", "lose", "forget"):
            break
    agent = person_phrase(choices, MY)
    what = thing_phrase(choices, choices.pick_skewed(P.KINDS_OF_OBJECT[kind]), agent)
    by = Part(f"by {agent.english}", prepositional_phrase("von", agent.german("dat")), MANNER)
    parts = [by, time_expression(choices, "past")] if choices.chance(0.6) else [by]
    return Clause(what, verb, PASSIVE, tuple(parts))
