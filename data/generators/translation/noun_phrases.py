"""Who, what and when: noun phrases, pronouns, names, times, prices."""

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
    after_preposition,
    determiner,
    inflected,
    number,
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
    """1 to 999 in words."""
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
    """``article`` is an English and a German determiner; a German "" leaves strong adjectives."""
    gender = "p" if plural else noun.gender
    first, article_german = article
    words = [*(english for english, _ in adjectives)]
    words.append(noun.english_plural if plural else noun.english)
    if first == "a" and words[0][0] in "aeiou":
        first = "an"
    if first == "this" and plural:
        first = "these"
    numeral = number(P.HOURS.index(first)) if first in P.HOURS else ""

    def german(case: str) -> str:
        inner = [adjective(stem, article_german, gender, case) for _, stem in adjectives]
        start = numeral or determiner(article_german, gender, case)
        return " ".join([start, *inner, inflected(noun, plural, case)])

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


def adjectives(choices: Choices, noun: Noun) -> list[tuple[str, str]]:
    """None, one or two that suit the noun."""
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
    first, colour = choices.favour(suited), choices.favour(P.COLOURS)
    if suited != P.FOR_THINGS:
        return [first]
    return choices.pick([[first], [first], [colour], [first, colour]])


def pronoun(row: tuple[str, str, str, str, str, str, str, tuple[str, str]]) -> Phrase:
    """One of PRONOUNS as a phrase."""
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


def name(choices: Choices) -> Phrase:
    """A person by name."""
    women = choices.chance(0.5)
    called = choices.pick(WOMEN if women else MEN)
    return Phrase(called, lambda _: called, "f" if women else "m", owner=HER if women else HIS)


def person(choices: Choices, owner: tuple[str, str] | None = None) -> Phrase:
    """A person who is no pronoun; ``owner`` may own them (``his aunt``)."""
    if choices.chance(0.2):
        return name(choices)
    noun = choices.favour(PERSONS)
    plural = choices.chance(0.15)
    articles = [THE, THE, THE, THE, THE]
    if noun.english in OWNED:
        articles += [owner or MY] * 3
    if plural:
        articles.append((choices.pick(P.HOURS[2:7]), ""))
    else:
        articles += [A, A, choices.pick([THIS, EVERY])]
    return noun_phrase(noun, choices.pick(articles), adjectives(choices, noun), plural=plural)


def of_someone(choices: Choices, noun: Noun) -> Phrase:
    """``the doctor's car`` is ``das Auto des Arztes``, ``Anna's car`` is ``Annas Auto``."""
    if choices.chance(0.3):
        called = name(choices)
        german = called.german("nom") + "s"
        return Phrase(
            f"{called.english}'s {noun.english}",
            lambda case: f"{german} {inflected(noun, False, case)}",
            noun.gender,
        )
    owner = choices.favour(PERSONS)
    genitive = f"{determiner('der', owner.gender, 'gen')} {inflected(owner, False, 'gen')}"
    return Phrase(
        f"the {owner.english}'s {noun.english}",
        lambda case: (
            f"{determiner('der', noun.gender, case)} {inflected(noun, False, case)} {genitive}"
        ),
        noun.gender,
    )


def thing(choices: Choices, noun: Noun, subject: Phrase) -> Phrase:
    """A thing somebody does something with."""
    if choices.chance(0.12):
        return of_someone(choices, noun)
    plural = choices.chance(0.2)
    articles = [THE, THE, A, A, THIS]
    if subject.owner:
        articles.append(subject.owner)
    if plural:
        numeral = (choices.pick(P.HOURS[2:13]), "")
        articles = [THE, THIS, numeral, numeral]
    return noun_phrase(noun, choices.pick(articles), adjectives(choices, noun), plural=plural)


def accusative(phrase: Phrase, *, negated: bool = False) -> Part:
    """A direct object; an indefinite one is negated by ``kein``."""
    german = phrase.german("acc")
    if phrase.pronoun:
        return Part(phrase.english_object, german, PRONOUN)
    if negated and german.startswith("ein"):
        german = "k" + german
    return Part(phrase.english, german, DEFINITE if phrase.definite else INDEFINITE)


def dative(phrase: Phrase) -> Part:
    """An object in the dative."""
    return Part(
        phrase.english_object, phrase.german("dat"), PRONOUN if phrase.pronoun else RECEIVER
    )


def price(choices: Choices) -> Part:
    """``for thirty-five euros``: the unit goes before the ten."""
    value = 2 + choices.below(98) if choices.chance(0.8) else 100 * (1 + choices.below(9))
    return Part(f"for {english_number(value)} euros", f"für {number(value)} Euro", PRICE)


def clock(choices: Choices) -> tuple[str, str]:
    """``half past seven`` is ``halb acht``."""
    hour = 1 + choices.below(12)
    following = hour % 12 + 1
    here, then = P.HOURS[hour], P.HOURS[following]
    kind = choices.below(5)
    if kind == 0:
        return f"at half past {here}", f"um halb {number(following)}"
    if kind == 1:
        return f"at {here} o'clock", f"um {'ein' if hour == 1 else number(hour)} Uhr"
    if kind == 2:
        return f"at a quarter to {then}", f"um Viertel vor {number(following)}"
    minutes = choices.pick((5, 10, 20))
    if kind == 3:
        return (
            f"at {english_number(minutes)} past {here}",
            f"um {number(minutes)} nach {number(hour)}",
        )
    return f"at a quarter past {here}", f"um Viertel nach {number(hour)}"


def time(choices: Choices, tense: str) -> Part:
    """When: what suits ``past``, ``present`` or ``future``."""
    kind = choices.below(5)
    if kind == 0:
        day, tag = choices.pick(P.DAYS)
        english, german = f"on {day}", f"am {tag}"
        if choices.chance(0.5):
            at, um = clock(choices)
            english, german = f"{english} {at}", f"{german} {um}"
    elif kind == 1 and tense != "present":
        span, spanne = choices.pick(P.SPANS)
        count = 2 + choices.below(11)
        before = tense == "past"
        english = f"{P.HOURS[count]} {span} ago" if before else f"in {P.HOURS[count]} {span}"
        german = f"{'vor' if before else 'in'} {number(count)} {spanne}"
    elif kind == 2:
        english, german = clock(choices)
    else:
        table = {"past": P.BEFORE, "present": P.ALWAYS, "future": P.AFTER}[tense]
        english, german = choices.favour(table)
    return Part(english, german, TIME)


def spot(choices: Choices, kind: str, case: str) -> tuple[str, str]:
    """Where something is (``dat``) or is put (``acc``)."""
    table = P.HANGING_SPOTS if kind == "hanging" else P.SPOTS
    preposition, german_preposition, places = choices.pick(table)
    noun = P.PLACES[choices.pick(places)]
    size = choices.pick(P.FOR_THINGS[:4])
    place = noun_phrase(noun, THE, [size] if choices.chance(0.25) else [])
    return (
        f"{preposition} {place.english}",
        after_preposition(german_preposition, place.german(case)),
    )
