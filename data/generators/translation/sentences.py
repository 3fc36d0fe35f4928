"""Whole sentences: statements, subordinate and relative clauses, questions, infinitives, passives.

Each function makes one pair (English, German) without capital and full stop.
"""

from __future__ import annotations

from dataclasses import replace

from generators.choices import Choices
from generators.translation import phrases as P
from generators.translation.clauses import (
    DIRECTION,
    PLACE,
    TIME,
    Clause,
    Part,
    Phrase,
    english,
    german,
    german_last,
    german_zu,
    join,
)
from generators.translation.german import RELATIVE, ending
from generators.translation.noun_phrases import (
    PRONOUNS,
    accusative,
    noun_phrase,
    person,
    pronoun,
    spot,
    thing,
)
from generators.translation.verb_phrases import (
    ANY,
    NOW,
    PAST,
    PRESENT,
    PROGRESSIVE,
    THEN,
    WILL,
    action,
    passive,
    subject,
)
from generators.translation.words import PERSONS, rows

Pair = tuple[str, str]
BECAUSE = rows("because = weil\nalthough = obwohl\nbefore = bevor\nwhile = während\nif = wenn")
ASKING = rows("whether = ob\nwhy = warum\nwhen = wann\nwhere = wo")
UNKNOWN = rows(
    "I do not know = Ich weiß nicht\nnobody knows = Niemand weiß\n"
    "the police want to know = Die Polizei will wissen\nplease tell me = Bitte sagen Sie mir\n"
    "do you know = Wissen Sie\nwe are asking = Wir fragen"
)
WHO = Phrase("who", lambda case: {"nom": "wer", "acc": "wen", "dat": "wem"}[case], "m")


def statement(choices: Choices) -> Pair:
    """Subject first, or the time first and the German verb before its subject."""
    clause, when = action(choices, subject(choices), timed=False)
    if choices.chance(0.4) and not clause.form.gern:
        return f"{when.english} {english(clause)}", german(clause, front=when.german)
    if choices.chance(0.6) and not clause.form.gern:
        clause = replace(clause, parts=(*clause.parts, when))
    return english(clause), german(clause)


def again(choices: Choices, who: Phrase) -> Phrase:
    """The same person as a pronoun, where there is one; else somebody else."""
    same = [row for row in PRONOUNS if row[-1] == who.owner]
    return pronoun(same[0]) if same and choices.chance(0.5) else subject(choices, who)


def subordinate(choices: Choices) -> Pair:
    """``because …`` behind or before the main clause: the German verb goes last."""
    first, (because, weil) = subject(choices), choices.favour(BECAUSE)
    forms = choices.pick((NOW, THEN))
    main, _ = action(choices, first, timed=False, forms=forms)
    plain = because not in ("because", "although")
    forms = forms[:2] if plain else forms
    side, _ = action(choices, again(choices, first), timed=choices.chance(0.4), forms=forms)
    if plain and side.negated:
        return subordinate(choices)
    if choices.chance(0.35):
        return (
            f"{because} {english(side)}, {english(main)}",
            german(main, front=f"{weil} {german_last(side)},"),
        )
    return (
        f"{english(main)} {because} {english(side)}",
        f"{german(main)}, {weil} {german_last(side)}",
    )


def reported(choices: Choices) -> Pair:
    """``says that …``."""
    first = subject(choices)
    forms = choices.pick((ANY, THEN))
    said = Clause(first, choices.pick(P.SAY), PRESENT if forms is ANY else PAST)
    what, _ = action(choices, again(choices, first), timed=choices.chance(0.5), forms=forms)
    return told(said, what)


def told(said: Clause, what: Clause) -> Pair:
    """The two with ``that`` between them."""
    return f"{english(said)} that {english(what)}", f"{german(said)}, dass {german_last(what)}"


def unknown(choices: Choices) -> Pair:
    """``Nobody knows why …``."""
    known, bekannt = choices.pick(UNKNOWN)
    asked, gefragt = choices.pick(ASKING)
    clause = asked_about(choices, asked)
    mark = "?" if known.startswith("do ") else ""
    return (
        f"{known} {asked} {english(clause)}{mark}",
        f"{bekannt}, {gefragt} {german_last(clause)}{mark}",
    )


def asked_about(choices: Choices, asked: str) -> Clause:
    """A clause without the answer: no time behind ``when``, no place behind ``where``."""
    while True:
        clause, _ = action(choices, subject(choices), timed=asked not in ("when", "where"))
        taken = {"when": (TIME,), "where": (TIME, PLACE, DIRECTION)}.get(asked, ())
        if clause.subject.person != "ich" and not any(part.rank in taken for part in clause.parts):
            return clause


def question(choices: Choices) -> Pair:
    """``Did …?``, ``Why did …?``, ``When did …?``."""
    first, erstes = choices.pick((("", ""), *ASKING[1:]))
    clause = asked_about(choices, first)
    return join(first, english(clause, question=True)) + "?", german(clause, front=erstes) + "?"


def who(choices: Choices) -> Pair:
    """``Who …?`` is wer, wen or wem, by the verb; ``What …?`` is was."""
    kind = choices.below(4)
    if kind == 0:
        clause, _ = action(choices, WHO)
        return english(clause) + "?", german(clause) + "?"
    form = choices.pick((PAST, PAST, WILL))
    asking = subject(choices)
    if kind == 1:
        group, verb = choices.favour(P.WITH_OBJECT)
        where = (Part(*choices.favour(P.WHERE), PLACE),) if group != "rooms" else ()
        clause = Clause(asking, verb, form, where)
        return f"what {english(clause, question=True)}?", german(clause, front="was") + "?"
    table, case = ((P.WITH_PERSON, "acc"), (P.WITH_DATIVE, "dat"))[kind - 2]
    clause = Clause(asking, choices.favour(table)[1], form)
    return (
        f"who {english(clause, question=True)}?",
        german(clause, front=WHO.german(case)) + "?",
    )


def relative_subject(choices: Choices) -> Pair:
    """``The woman who … did …``: the relative clause stands inside, its verb last."""
    noun = choices.favour(PERSONS)
    head = noun_phrase(noun, ("the", "der"), [], plural=choices.chance(0.2))
    pronoun_ = Phrase(
        "who", lambda case: ending(RELATIVE, head.gender, case), head.gender, head.person,
        owner=head.owner,
    )  # fmt: skip
    aside, _ = action(choices, pronoun_, timed=False)
    whole = replace(
        head,
        english=f"{head.english} {english(aside)}",
        german=lambda case: f"{head.german(case)}, {german_last(aside)},",
    )
    clause, _ = action(choices, whole, timed=choices.chance(0.3))
    return english(clause), german(clause)


def relative_object(choices: Choices) -> Pair:
    """``… the book that the girl read``: the German relative clause follows the verb."""
    first = subject(choices)
    kind, verb = choices.favour(P.WITH_OBJECT)
    what = thing(choices, choices.favour(P.KINDS_OF_OBJECT[kind]), first)
    others = [other for other_kind, other in P.WITH_OBJECT if other_kind == kind and other != verb]
    other = choices.pick(others) if others else P.WITH_OBJECT[0][1]
    aside = Clause(again(choices, first), other, PAST)
    relative = f"{ending(RELATIVE, what.gender, 'acc')} {german_last(aside)}"
    part = replace(accusative(what), behind=relative)
    part = replace(part, english=f"{part.english} that {english(aside)}")
    clause = Clause(first, verb, choices.pick((PAST, PAST, PROGRESSIVE)), (part,))
    if verb.english.split()[0] in P.NOT_PROGRESSIVE:
        clause = replace(clause, form=PAST)
    return english(clause), german(clause)


def infinitive(choices: Choices) -> Pair:
    """``tries to open the door``: ``zu`` goes between prefix and verb."""
    first = subject(choices)
    clause, _ = action(choices, first, timed=False)
    clause = replace(clause, negated=False, form=PRESENT)
    if any(part.german.startswith("kein") for part in clause.parts):
        return infinitive(choices)
    main = Clause(first, choices.pick(P.TRY), choices.pick((PRESENT, PAST, PAST)))
    parts = [part.english for part in clause.parts]
    return (
        join(english(main), "to", clause.verb.english, *parts),
        f"{german(main)}, {german_zu(clause)}",
    )


def passive_statement(choices: Choices) -> Pair:
    """``The door was opened by …``, also as a question or a subordinate clause."""
    clause = passive(choices)
    kind = choices.below(4)
    if kind == 0:
        return english(clause, question=True) + "?", german(clause, front="") + "?"
    if kind == 1:
        return told(Clause(subject(choices), choices.pick(P.SAY), PAST), clause)
    return english(clause), german(clause)


def position(choices: Choices) -> Pair:
    """``is on the table`` is steht, liegt or hängt, by what is there."""
    kind = choices.pick(list(P.POSITIONS))
    what = thing(choices, choices.favour(P.KINDS_OF_OBJECT[kind]), person(choices))
    where, wo = spot(choices, kind, "dat")
    past, plural = choices.chance(0.5), what.person == "wir"
    verb = P.POSITIONS[kind][2 * past + plural]
    is_ = (("is", "are"), ("was", "were"))[past][plural]
    asked = choices.below(4)
    if asked == 0:
        return f"{is_} {what.english} {where}?", f"{verb} {what.german('nom')} {wo}?"
    if asked == 1:
        return (
            f"I believe that {what.english} {is_} {where}",
            f"ich glaube, dass {what.german('nom')} {wo} {verb}",
        )
    return f"{what.english} {is_} {where}", f"{what.german('nom')} {verb} {wo}"


def comparison(choices: Choices) -> Pair:
    """``is bigger than`` is ``größer als``."""
    first, second = (
        thing(choices, choices.favour(P.KINDS_OF_OBJECT["visible"]), pronoun(PRONOUNS[3]))
        for _ in range(2)
    )
    more, mehr = choices.pick(P.COMPARED)
    is_, ist = ("are", "sind") if first.person == "wir" else ("is", "ist")
    return (
        f"{first.english} {is_} {more} than {second.english}",
        f"{first.german('nom')} {ist} {mehr} als {second.german('nom')}",
    )


# how often each kind is used, of 100
SHARES = (
    (statement, 26), (subordinate, 18), (reported, 8), (unknown, 6), (question, 8), (who, 5),
    (relative_subject, 7), (relative_object, 6), (infinitive, 6), (passive_statement, 4),
    (position, 3), (comparison, 3),
)  # fmt: skip
KINDS = [make for make, share in SHARES for _ in range(share)]


def sentence(choices: Choices) -> Pair:
    """A random pair with capital letters and full stops."""
    source, target = choices.pick(KINDS)(choices)
    return written(source), written(target)


def written(text: str) -> str:
    """Capital letter and, unless it asks, a full stop."""
    return text[0].upper() + text[1:] + ("" if text.endswith("?") else ".")
