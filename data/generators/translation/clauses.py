"""One clause, said in English and in German. It chooses nothing: ``sentences.py`` does.

German order: the finite verb second, first or last; what the clause holds sorted by ``rank``; the
rest of the verb at the end. English order: as the parts stand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from generators.translation.german import infinitive_with_zu, present
from generators.translation.words import Verb

# Ranks of the German middle field: who comes before whom between the two halves of the verb.
PRONOUN, TIME, RECEIVER, DEFINITE, NOT, MANNER, PLACE, INDEFINITE, PRICE, DIRECTION = range(10)

DOUBLED = ("get", "put", "begin")
AUXILIARIES = {
    "haben": {"ich": "habe", "er": "hat", "wir": "haben"},
    "sein": {"ich": "bin", "er": "ist", "wir": "sind"},
}


@dataclass(frozen=True)
class Phrase:
    """A noun phrase. ``person`` is the German verb's: ich, er, wir; ``gender`` m, f, n, p."""

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
        """``him`` where the subject is ``he``."""
        return self.object_english or self.english


@dataclass(frozen=True)
class Part:
    """What a clause holds besides subject and verb; ``behind`` follows the German verb."""

    english: str
    german: str
    rank: int
    behind: str = ""


@dataclass(frozen=True)
class Form:
    """Tense and mood. ``english`` is the auxiliary or the chain verb, ``german`` the modal verb."""

    kind: str  # present, progressive, past, passive, auxiliary, chain
    english: Verb | str = ""
    tense: str = "present"
    german: tuple[str, str] = ("", "")  # ich and er, wir
    gern: bool = False


@dataclass(frozen=True)
class Clause:
    """Subject, verb, form and parts, in English order."""

    subject: Phrase
    verb: Verb
    form: Form
    parts: tuple[Part, ...] = ()
    negated: bool = False


def third(base: str) -> str:
    """``washes``, ``tries``, ``buys``."""
    if base.endswith(("sh", "ch", "s", "x", "o")):
        return base + "es"
    if base.endswith("y") and base[-2] not in "aeiou":
        return base[:-1] + "ies"
    return base + "s"


def progressive(base: str) -> str:
    """``writing``, ``putting``."""
    if base in DOUBLED:
        return base + base[-1] + "ing"
    return (base[:-1] if base.endswith("e") and base != "see" else base) + "ing"


def on_first(change: Callable[[str], str], words: str) -> str:
    """Inflect the verb of ``pick up``, not its particle."""
    head, _, particle = words.partition(" ")
    return f"{change(head)} {particle}".rstrip()


def be(subject: Phrase, tense: str) -> str:
    """``am``, ``is``, ``are``, ``was``, ``were``."""
    if tense == "past":
        return "was" if subject.person in ("ich", "er") else "were"
    return {"ich": "am", "er": "is", "wir": "are"}[subject.person]


def simple(clause: Clause, verb: Verb, tense: str, *, split: bool) -> tuple[str, str]:
    """Auxiliary (or none) and verb of a simple tense; ``split`` asks for do, does, did."""
    if split:
        do = "does" if clause.subject.person == "er" else "do"
        return ("did" if tense == "past" else do), verb.english
    if tense == "past":
        return "", verb.english_past
    return "", on_first(third, verb.english) if clause.subject.person == "er" else verb.english


def english_verb(clause: Clause, *, question: bool) -> tuple[str, str]:
    """Auxiliary and the rest of the English verb."""
    form, split = clause.form, question or clause.negated
    if form.kind == "auxiliary":
        return str(form.english), clause.verb.english
    if form.kind == "progressive":
        return be(clause.subject, form.tense), on_first(progressive, clause.verb.english)
    if form.kind == "passive":
        return be(clause.subject, "past"), clause.verb.english_participle
    if form.kind == "chain" and isinstance(form.english, Verb):
        auxiliary, verb = simple(clause, form.english, form.tense, split=split)
        return auxiliary, f"{verb} to {clause.verb.english}"
    return simple(clause, clause.verb, form.kind, split=split)


def join(*words: str) -> str:
    """Words with single spaces between them; empty ones vanish."""
    return " ".join(word for word in words if word).replace(" ,", ",")


def english(clause: Clause, *, question: bool = False) -> str:
    """The clause in English; as a question the auxiliary comes first."""
    auxiliary, verb = english_verb(clause, question=question)
    negation = "not" if clause.negated else ""
    parts = [part.english for part in clause.parts]
    if question:
        return join(auxiliary, clause.subject.english, negation, verb, *parts)
    text = join(clause.subject.english, auxiliary, negation, verb, *parts)
    return text.replace(" can not ", " cannot ")


def german_verb(clause: Clause) -> tuple[str, str]:
    """The finite verb and what stands at the end of the clause."""
    verb, form, person = clause.verb, clause.form, clause.subject.person
    if form.kind == "passive":
        return ("wurden" if person == "wir" else "wurde"), verb.participle
    if form.german[0]:
        return form.german[person == "wir"], verb.prefix + verb.infinitive
    if form.kind == "past":
        return AUXILIARIES[verb.auxiliary][person], verb.participle
    return present(verb, person), verb.prefix


def middle(clause: Clause) -> str:
    """What stands between the two halves of the German verb."""
    ranked = [(part.rank, part.german) for part in clause.parts]
    if clause.negated and not any(part.german.startswith("kein") for part in clause.parts):
        ranked.append((NOT, "nicht"))
    if clause.form.gern:
        ranked.append((NOT, "gern"))
    return join(*(text for _, text in sorted(ranked, key=lambda pair: pair[0])))


def behind(clause: Clause) -> str:
    """Relative clauses that follow the verb."""
    return "".join(f", {part.behind}" for part in clause.parts if part.behind)


def german(clause: Clause, *, front: str | None = None) -> str:
    """A main clause. ``front`` stands before the verb instead of the subject; "" asks."""
    finite, rest = german_verb(clause)
    subject = clause.subject.german("nom")
    start = [subject, finite] if front is None else [front, finite, subject]
    return join(*start, middle(clause), rest) + behind(clause)


def german_last(clause: Clause) -> str:
    """A subordinate clause without its conjunction: the finite verb is last."""
    finite, rest = german_verb(clause)
    together = rest + finite if rest and rest == clause.verb.prefix else join(rest, finite)
    return join(clause.subject.german("nom"), middle(clause), together) + behind(clause)


def german_zu(clause: Clause) -> str:
    """The clause as an infinitive with ``zu``, without its subject."""
    return join(middle(clause), infinitive_with_zu(clause.verb)) + behind(clause)
