"""Renders a clause in English and in German. All random choices are made in ``sentences.py``.

German word order: the finite verb second, first or last; the parts sorted by ``rank``; the rest of
the verb at the end. English word order: the parts in the order of ``Clause.parts``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from generators.translation.german import infinitive_with_zu, present_form
from generators.translation.words import Verb

# Order of the parts in the German middle field, between the two halves of the verb.
PRONOUN, TIME, RECEIVER, DEFINITE, NOT, MANNER, PLACE, INDEFINITE, PRICE, DIRECTION = range(10)

DOUBLED_CONSONANT = ("get", "put", "begin")
AUXILIARIES = {
    "haben": {"ich": "habe", "er": "hat", "wir": "haben"},
    "sein": {"ich": "bin", "er": "ist", "wir": "sind"},
}


@dataclass(frozen=True)
class Phrase:
    """A noun phrase.

    german: the phrase in a given case. gender: m, f, n or p. person: the pronoun with the verb
    form of this phrase: ich, er or wir. owner: its possessive pronoun, English and German.
    """

    english: str
    german: Callable[[str], str]
    gender: str
    person: str = "er"
    definite: bool = True
    pronoun: bool = False
    object_english: str = ""
    owner: tuple[str, str] | None = None

    @property
    def english_object(self) -> str:
        """The English phrase as an object: ``him`` for ``he``."""
        return self.object_english or self.english


@dataclass(frozen=True)
class Part:
    """A part of a clause besides subject and verb; ``extraposed`` follows the German verb."""

    english: str
    german: str
    rank: int
    extraposed: str = ""


@dataclass(frozen=True)
class Form:
    """Tense and mood.

    english: the auxiliary, or the verb that governs an infinitive (kind ``chain``). german: the
    modal verb. gern: whether German uses the adverb "gern" instead.
    """

    kind: str  # present, progressive, past, passive, auxiliary, chain
    english: Verb | str = ""
    tense: str = "present"
    german: tuple[str, str] = ("", "")  # ich and er, wir
    gern: bool = False


@dataclass(frozen=True)
class Clause:
    """A clause: subject, verb, form and parts, in English order."""

    subject: Phrase
    verb: Verb
    form: Form
    parts: tuple[Part, ...] = ()
    negated: bool = False


def third_person(base: str) -> str:
    """``washes``, ``tries``, ``buys``."""
    if base.endswith(("sh", "ch", "s", "x", "o")):
        return base + "es"
    if base.endswith("y") and base[-2] not in "aeiou":
        return base[:-1] + "ies"
    return base + "s"


def ing_form(base: str) -> str:
    """``writing``, ``putting``."""
    if base in DOUBLED_CONSONANT:
        return base + base[-1] + "ing"
    return (base[:-1] if base.endswith("e") and base != "see" else base) + "ing"


def inflect_head(inflect: Callable[[str], str], words: str) -> str:
    """Inflect the verb of ``pick up``, not its particle."""
    head, _, particle = words.partition(" ")
    return f"{inflect(head)} {particle}".rstrip()


def form_of_be(subject: Phrase, tense: str) -> str:
    """``am``, ``is``, ``are``, ``was``, ``were``."""
    if tense == "past":
        return "was" if subject.person in ("ich", "er") else "were"
    return {"ich": "am", "er": "is", "wir": "are"}[subject.person]


def simple_tense(clause: Clause, verb: Verb, tense: str, *, do_support: bool) -> tuple[str, str]:
    """Auxiliary (or none) and verb of a simple tense; ``do_support`` adds do, does or did."""
    if do_support:
        do = "does" if clause.subject.person == "er" else "do"
        return ("did" if tense == "past" else do), verb.english
    if tense == "past":
        return "", verb.english_past
    if clause.subject.person == "er":
        return "", inflect_head(third_person, verb.english)
    return "", verb.english


def english_verb(clause: Clause, *, question: bool) -> tuple[str, str]:
    """The English auxiliary and the rest of the verb."""
    form, do_support = clause.form, question or clause.negated
    if form.kind == "auxiliary":
        return str(form.english), clause.verb.english
    if form.kind == "progressive":
        return form_of_be(clause.subject, form.tense), inflect_head(ing_form, clause.verb.english)
    if form.kind == "passive":
        return form_of_be(clause.subject, "past"), clause.verb.english_participle
    if form.kind == "chain" and isinstance(form.english, Verb):
        auxiliary, verb = simple_tense(clause, form.english, form.tense, do_support=do_support)
        return auxiliary, f"{verb} to {clause.verb.english}"
    return simple_tense(clause, clause.verb, form.kind, do_support=do_support)


def join_words(*words: str) -> str:
    """Join words with single spaces, without the empty ones."""
    return " ".join(word for word in words if word).replace(" ,", ",")


def to_english(clause: Clause, *, question: bool = False) -> str:
    """The clause in English; in a question the auxiliary comes first."""
    auxiliary, verb = english_verb(clause, question=question)
    negation = "not" if clause.negated else ""
    parts = [part.english for part in clause.parts]
    if question:
        return join_words(auxiliary, clause.subject.english, negation, verb, *parts)
    text = join_words(clause.subject.english, auxiliary, negation, verb, *parts)
    return text.replace(" can not ", " cannot ")


def german_verb(clause: Clause) -> tuple[str, str]:
    """The finite verb, and the rest of the verb, which goes to the end of the clause."""
    verb, form, person = clause.verb, clause.form, clause.subject.person
    if form.kind == "passive":
        return ("wurden" if person == "wir" else "wurde"), verb.participle
    if form.german[0]:
        return form.german[person == "wir"], verb.prefix + verb.infinitive
    if form.kind == "past":
        return AUXILIARIES[verb.auxiliary][person], verb.participle
    return present_form(verb, person), verb.prefix


def middle_field(clause: Clause) -> str:
    """The parts between the two halves of the German verb."""
    ranked = [(part.rank, part.german) for part in clause.parts]
    if clause.negated and not any(part.german.startswith("kein") for part in clause.parts):
        ranked.append((NOT, "nicht"))
    if clause.form.gern:
        ranked.append((NOT, "gern"))
    return join_words(*(text for _, text in sorted(ranked, key=lambda pair: pair[0])))


def extraposed_clauses(clause: Clause) -> str:
    """Relative clauses that follow the verb."""
    return "".join(f", {part.extraposed}" for part in clause.parts if part.extraposed)


def to_german(clause: Clause, *, front: str | None = None) -> str:
    """A German main clause. ``front`` replaces the subject before the verb; "" makes a question."""
    finite, rest = german_verb(clause)
    subject = clause.subject.german("nom")
    start = [subject, finite] if front is None else [front, finite, subject]
    return join_words(*start, middle_field(clause), rest) + extraposed_clauses(clause)


def to_german_verb_last(clause: Clause) -> str:
    """A German subordinate clause without its conjunction: the finite verb is last."""
    finite, rest = german_verb(clause)
    verb_group = rest + finite if rest and rest == clause.verb.prefix else join_words(rest, finite)
    words = join_words(clause.subject.german("nom"), middle_field(clause), verb_group)
    return words + extraposed_clauses(clause)


def to_german_infinitive(clause: Clause) -> str:
    """The clause as a German infinitive with ``zu``, without its subject."""
    words = join_words(middle_field(clause), infinitive_with_zu(clause.verb))
    return words + extraposed_clauses(clause)
