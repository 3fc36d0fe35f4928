"""Noun phrases, pronouns, names, prices, and expressions of time and place."""

from __future__ import annotations

from generators.choices import Choices
from generators.translation import phrases as P
from generators.translation.clauses import (
    DEFINITE,
    INDEFINITE,
    PRICE,
    PRONOUN,
    RECEIVER,
    TIME,
    Part,
    Phrase,
)
from generators.translation.german import (
    adjective,
    determiner,
    german_number,
    inflect_noun,
    prepositional_phrase,
)
from generators.translation.words import ANIMALS, MEN, PERSONS, WOMEN, Noun

HIS, HER, THEIR = ("his", "sein"), ("her", "ihr"), ("their", "ihr")
MY, OUR, YOUR = ("my", "mein"), ("our", "unser"), ("your", "Ihr")
THE, A, THIS, EVERY = ("the", "der"), ("a", "ein"), ("this", "dies"), ("every", "jed")
# English subject and object, German nominative, accusative, dative, gender, person, owner
PRONOUNS = (
    ("he", "him", "er", "ihn", "ihm", "m", "er", HIS),
    ("she", "her", "sie", "sie", "ihr", "f", "er", HER),
    ("we", "us", "wir", "uns", "uns", "p", "wir", OUR),
    ("I", "me", "ich", "mich", "mir", "m", "ich", MY),
    ("they", "them", "sie", "sie", "ihnen", "p", "wir", THEIR),
    ("you", "you", "Sie", "Sie", "Ihnen", "p", "wir", YOUR),
)
WITHOUT_OWNER = ("child", "girl", "guest")
OWNED = {
    "grandmother", "grandfather", "sister", "brother", "uncle", "aunt", "daughter", "son", "friend",
    "colleague", "neighbour", "teacher", "doctor", "lawyer",
}  # fmt: skip


def english_number(value: int) -> str:
    """1 to 999 in English words."""
    hundreds, rest = divmod(value, 100)
    head = f"{P.HOURS[hundreds]} hundred" if hundreds else ""
    if rest < 20:
        tail = P.HOURS[rest] if rest < 10 else P.ENGLISH_TEENS[rest - 10]
    else:
        tens, unit = divmod(rest, 10)
        tail = P.ENGLISH_TENS[tens] + (f"-{P.HOURS[unit]}" if unit else "")
    return f"{head} and {tail}" if head and tail else head + tail


def noun_phrase(
    noun: Noun,
    article: tuple[str, str],
    adjectives: list[tuple[str, str]],
    *,
    plural: bool = False,
) -> Phrase:
    """Compose a noun phrase.

    article: English and German determiner; a German "" means strong adjective endings.
    """
    gender = "p" if plural else noun.gender
    first, article_german = article
    words = [*(english for english, _ in adjectives)]
    words.append(noun.english_plural if plural else noun.english)
    if first == "a" and words[0][0] in "aeiou":
        first = "an"
    if first == "this" and plural:
        first = "these"
    numeral = german_number(P.HOURS.index(first)) if first in P.HOURS else ""

    def german(case: str) -> str:
        inner = [adjective(stem, article_german, gender, case) for _, stem in adjectives]
        start = numeral or determiner(article_german, gender, case)
        return " ".join([start, *inner, inflect_noun(noun, plural, case)])

    owner = None
    if plural:
        owner = THEIR
    elif noun.english not in WITHOUT_OWNER and noun in PERSONS:
        owner = HER if noun.gender == "f" else HIS
    return Phrase(
        " ".join([first, *words]),
        german,
        gender,
        "wir" if plural else "er",
        definite=first not in ("a", "an") and not numeral,
        owner=owner,
    )


def pick_adjectives(choices: Choices, noun: Noun) -> list[tuple[str, str]]:
    """Pick no, one or two adjectives that suit the noun."""
    suited = P.FOR_THINGS
    if noun in PERSONS:
        suited = P.FOR_PERSONS
    elif noun in ANIMALS:
        suited = P.FOR_ANIMALS
    elif noun in P.READINGS:
        suited = P.FOR_READINGS
    elif noun in P.KINDS_OF_OBJECT["food"]:
        suited = P.FOR_FOOD
    if not choices.chance(0.4):
        return []
    first, colour = choices.pick_skewed(suited), choices.pick_skewed(P.COLOURS)
    if suited != P.FOR_THINGS:
        return [first]
    return choices.pick([[first], [first], [colour], [first, colour]])


def pronoun_phrase(row: tuple[str, str, str, str, str, str, str, tuple[str, str]]) -> Phrase:
    """The phrase of a row of PRONOUNS."""
    english, english_object, nominative, accusative, dative, gender, person, owner = row
    cases = {"nom": nominative, "acc": accusative, "dat": dative}
    return Phrase(
        english,
        lambda case: cases[case],
        gender,
        person,
        pronoun=True,
        object_english=english_object,
        owner=owner,
    )


def person_by_name(choices: Choices) -> Phrase:
    """A person by first name."""
    women = choices.chance(0.5)
    name = choices.pick(WOMEN if women else MEN)
    return Phrase(name, lambda _: name, "f" if women else "m", owner=HER if women else HIS)


def person_phrase(choices: Choices, owner: tuple[str, str] | None = None) -> Phrase:
    """A person by name or noun, perhaps with a possessive (``his aunt``) of ``owner``."""
    if choices.chance(0.2):
        return person_by_name(choices)
    noun = choices.pick_skewed(PERSONS)
    plural = choices.chance(0.15)
    articles = [THE, THE, THE, THE, THE]
    if noun.english in OWNED:
        articles += [owner or MY] * 3
    if plural:
        articles.append((choices.pick(P.HOURS[2:7]), ""))
    else:
        articles += [A, A, choices.pick([THIS, EVERY])]
    return noun_phrase(noun, choices.pick(articles), pick_adjectives(choices, noun), plural=plural)


def possessive_phrase(choices: Choices, noun: Noun) -> Phrase:
    """``the doctor's car`` is ``das Auto des Arztes``, ``Anna's car`` is ``Annas Auto``."""
    if choices.chance(0.3):
        owner_name = person_by_name(choices)
        german = owner_name.german("nom") + "s"
        return Phrase(
            f"{owner_name.english}'s {noun.english}",
            lambda case: f"{german} {inflect_noun(noun, False, case)}",
            noun.gender,
        )
    owner = choices.pick_skewed(PERSONS)
    genitive = f"{determiner('der', owner.gender, 'gen')} {inflect_noun(owner, False, 'gen')}"
    return Phrase(
        f"the {owner.english}'s {noun.english}",
        lambda case: (
            f"{determiner('der', noun.gender, case)} {inflect_noun(noun, False, case)} {genitive}"
        ),
        noun.gender,
    )


def thing_phrase(choices: Choices, noun: Noun, subject: Phrase) -> Phrase:
    """A thing as the object of a verb."""
    if choices.chance(0.12):
        return possessive_phrase(choices, noun)
    plural = choices.chance(0.2)
    articles = [THE, THE, A, A, THIS]
    if subject.owner:
        articles.append(subject.owner)
    if plural:
        numeral = (choices.pick(P.HOURS[2:13]), "")
        articles = [THE, THIS, numeral, numeral]
    return noun_phrase(noun, choices.pick(articles), pick_adjectives(choices, noun), plural=plural)


def accusative_object(phrase: Phrase, *, negated: bool = False) -> Part:
    """A direct object; an indefinite one is negated with ``kein``."""
    german = phrase.german("acc")
    if phrase.pronoun:
        return Part(phrase.english_object, german, PRONOUN)
    if negated and german.startswith("ein"):
        german = "k" + german
    return Part(phrase.english, german, DEFINITE if phrase.definite else INDEFINITE)


def dative_object(phrase: Phrase) -> Part:
    """An indirect object."""
    return Part(
        phrase.english_object, phrase.german("dat"), PRONOUN if phrase.pronoun else RECEIVER
    )


def price_phrase(choices: Choices) -> Part:
    """``for thirty-five euros``; in German the unit precedes the ten."""
    if choices.chance(0.8):
        value = 2 + choices.integer_below(98)
    else:
        value = 100 * (1 + choices.integer_below(9))
    return Part(f"for {english_number(value)} euros", f"für {german_number(value)} Euro", PRICE)


def clock_time(choices: Choices) -> tuple[str, str]:
    """A time of day: ``half past seven`` is ``halb acht``."""
    hour = 1 + choices.integer_below(12)
    following = hour % 12 + 1
    here, then = P.HOURS[hour], P.HOURS[following]
    kind = choices.integer_below(5)
    if kind == 0:
        return f"at half past {here}", f"um halb {german_number(following)}"
    if kind == 1:
        return f"at {here} o'clock", f"um {'ein' if hour == 1 else german_number(hour)} Uhr"
    if kind == 2:
        return f"at a quarter to {then}", f"um Viertel vor {german_number(following)}"
    minutes = choices.pick((5, 10, 20))
    if kind == 3:
        return (
            f"at {english_number(minutes)} past {here}",
            f"um {german_number(minutes)} nach {german_number(hour)}",
        )
    return f"at a quarter past {here}", f"um Viertel nach {german_number(hour)}"


def time_expression(choices: Choices, tense: str) -> Part:
    """An expression of time for ``past``, ``present`` or ``future``."""
    kind = choices.integer_below(5)
    if kind == 0:
        day, tag = choices.pick(P.DAYS)
        english, german = f"on {day}", f"am {tag}"
        if choices.chance(0.5):
            at, um = clock_time(choices)
            english, german = f"{english} {at}", f"{german} {um}"
    elif kind == 1 and tense != "present":
        span, spanne = choices.pick(P.SPANS)
        count = 2 + choices.integer_below(11)
        before = tense == "past"
        english = f"{P.HOURS[count]} {span} ago" if before else f"in {P.HOURS[count]} {span}"
        german = f"{'vor' if before else 'in'} {german_number(count)} {spanne}"
    elif kind == 2:
        english, german = clock_time(choices)
    else:
        table = {"past": P.BEFORE, "present": P.ALWAYS, "future": P.AFTER}[tense]
        english, german = choices.pick_skewed(table)
    return Part(english, german, TIME)


def location(choices: Choices, kind: str, case: str) -> tuple[str, str]:
    """The place where something is (``dat``), or where it is put (``acc``)."""
    table = P.HANGING_SPOTS if kind == "hanging" else P.SPOTS
    preposition, german_preposition, places = choices.pick(table)
    noun = P.PLACES[choices.pick(places)]
    size = choices.pick(P.FOR_THINGS[:4])
    place = noun_phrase(noun, THE, [size] if choices.chance(0.25) else [])
    return (
        f"{preposition} {place.english}",
        prepositional_phrase(german_preposition, place.german(case)),
    )
