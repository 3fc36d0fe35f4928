"""Random sentences: statements, subordinate and relative clauses, questions, infinitives, passives.

Each function composes one (English, German) pair without an initial capital or a full stop.
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
    join_words,
    to_english,
    to_german,
    to_german_infinitive,
    to_german_verb_last,
)
from generators.translation.german import RELATIVE, ending
from generators.translation.noun_phrases import (
    PRONOUNS,
    accusative_object,
    location,
    noun_phrase,
    person_phrase,
    pronoun_phrase,
    thing_phrase,
)
from generators.translation.verb_phrases import (
    ANY,
    NOW,
    PAST,
    PRESENT,
    PROGRESSIVE,
    THEN,
    WILL,
    passive_clause,
    random_clause,
    subject_phrase,
)
from generators.translation.words import PERSONS, parse_pairs

Pair = tuple[str, str]
BECAUSE = parse_pairs(
    "because = weil\nalthough = obwohl\nbefore = bevor\nwhile = während\nif = wenn"
)
ASKING = parse_pairs("whether = ob\nwhy = warum\nwhen = wann\nwhere = wo")
UNKNOWN = parse_pairs(
    "I do not know = Ich weiß nicht\nnobody knows = Niemand weiß\n"
    "the police want to know = Die Polizei will wissen\nplease tell me = Bitte sagen Sie mir\n"
    "do you know = Wissen Sie\nwe are asking = Wir fragen"
)
WHO = Phrase("who", lambda case: {"nom": "wer", "acc": "wen", "dat": "wem"}[case], "m")


def statement(choices: Choices) -> Pair:
    """A statement that starts with its subject or, with German inversion, with its time."""
    clause, when = random_clause(choices, subject_phrase(choices), timed=False)
    if choices.chance(0.4) and not clause.form.gern:
        return f"{when.english} {to_english(clause)}", to_german(clause, front=when.german)
    if choices.chance(0.6) and not clause.form.gern:
        clause = replace(clause, parts=(*clause.parts, when))
    return to_english(clause), to_german(clause)


def same_person_or_other(choices: Choices, person: Phrase) -> Phrase:
    """A pronoun for the same person, if there is one, or another person."""
    same = [row for row in PRONOUNS if row[-1] == person.owner]
    if same and choices.chance(0.5):
        return pronoun_phrase(same[0])
    return subject_phrase(choices, person)


def subordinate(choices: Choices) -> Pair:
    """``because …`` after or before the main clause; its German verb goes last."""
    subject, (because, weil) = subject_phrase(choices), choices.pick_skewed(BECAUSE)
    forms = choices.pick((NOW, THEN))
    main, _ = random_clause(choices, subject, timed=False, forms=forms)
    simple = because not in ("because", "although")
    forms = forms[:2] if simple else forms
    side, _ = random_clause(
        choices, same_person_or_other(choices, subject), timed=choices.chance(0.4), forms=forms
    )
    if simple and side.negated:
        return subordinate(choices)
    if choices.chance(0.35):
        return (
            f"{because} {to_english(side)}, {to_english(main)}",
            to_german(main, front=f"{weil} {to_german_verb_last(side)},"),
        )
    return (
        f"{to_english(main)} {because} {to_english(side)}",
        f"{to_german(main)}, {weil} {to_german_verb_last(side)}",
    )


def reported_statement(choices: Choices) -> Pair:
    """``says that …``."""
    speaker = subject_phrase(choices)
    forms = choices.pick((ANY, THEN))
    main = Clause(speaker, choices.pick(P.SAY), PRESENT if forms is ANY else PAST)
    content, _ = random_clause(
        choices, same_person_or_other(choices, speaker), timed=choices.chance(0.5), forms=forms
    )
    return that_clause(main, content)


def that_clause(main: Clause, content: Clause) -> Pair:
    """A main clause followed by a ``that`` clause."""
    return (
        f"{to_english(main)} that {to_english(content)}",
        f"{to_german(main)}, dass {to_german_verb_last(content)}",
    )


def indirect_question(choices: Choices) -> Pair:
    """``Nobody knows why …``."""
    main, hauptsatz = choices.pick(UNKNOWN)
    question_word, fragewort = choices.pick(ASKING)
    clause = clause_without_answer(choices, question_word)
    mark = "?" if main.startswith("do ") else ""
    return (
        f"{main} {question_word} {to_english(clause)}{mark}",
        f"{hauptsatz}, {fragewort} {to_german_verb_last(clause)}{mark}",
    )


def clause_without_answer(choices: Choices, question_word: str) -> Clause:
    """A clause that leaves the question open: no time after ``when``, no place after ``where``."""
    while True:
        clause, _ = random_clause(
            choices, subject_phrase(choices), timed=question_word not in ("when", "where")
        )
        excluded = {"when": (TIME,), "where": (TIME, PLACE, DIRECTION)}.get(question_word, ())
        if clause.subject.person != "ich" and not any(
            part.rank in excluded for part in clause.parts
        ):
            return clause


def question(choices: Choices) -> Pair:
    """``Did …?``, ``Why did …?``, ``When did …?``."""
    question_word, fragewort = choices.pick((("", ""), *ASKING[1:]))
    clause = clause_without_answer(choices, question_word)
    return (
        join_words(question_word, to_english(clause, question=True)) + "?",
        to_german(clause, front=fragewort) + "?",
    )


def who_question(choices: Choices) -> Pair:
    """``Who …?`` is wer, wen or wem, depending on the verb; ``What …?`` is was."""
    kind = choices.integer_below(4)
    if kind == 0:
        clause, _ = random_clause(choices, WHO)
        return to_english(clause) + "?", to_german(clause) + "?"
    form = choices.pick((PAST, PAST, WILL))
    subject = subject_phrase(choices)
    if kind == 1:
        group, verb = choices.pick_skewed(P.WITH_OBJECT)
        where = (Part(*choices.pick_skewed(P.WHERE), PLACE),) if group != "rooms" else ()
        clause = Clause(subject, verb, form, where)
        return f"what {to_english(clause, question=True)}?", to_german(clause, front="was") + "?"
    table, case = ((P.WITH_PERSON, "acc"), (P.WITH_DATIVE, "dat"))[kind - 2]
    clause = Clause(subject, choices.pick_skewed(table)[1], form)
    return (
        f"who {to_english(clause, question=True)}?",
        to_german(clause, front=WHO.german(case)) + "?",
    )


def relative_subject(choices: Choices) -> Pair:
    """``The woman who … did …``: the relative clause is embedded, with its German verb last."""
    noun = choices.pick_skewed(PERSONS)
    head = noun_phrase(noun, ("the", "der"), [], plural=choices.chance(0.2))
    relative_pronoun = Phrase(
        "who", lambda case: ending(RELATIVE, head.gender, case), head.gender, head.person,
        owner=head.owner,
    )  # fmt: skip
    relative, _ = random_clause(choices, relative_pronoun, timed=False)
    subject = replace(
        head,
        english=f"{head.english} {to_english(relative)}",
        german=lambda case: f"{head.german(case)}, {to_german_verb_last(relative)},",
    )
    clause, _ = random_clause(choices, subject, timed=choices.chance(0.3))
    return to_english(clause), to_german(clause)


def relative_object(choices: Choices) -> Pair:
    """``… the book that the girl read``: the German relative clause follows the verb."""
    subject = subject_phrase(choices)
    kind, verb = choices.pick_skewed(P.WITH_OBJECT)
    antecedent = thing_phrase(choices, choices.pick_skewed(P.KINDS_OF_OBJECT[kind]), subject)
    other_verbs = [
        other_verb
        for other_kind, other_verb in P.WITH_OBJECT
        if other_kind == kind and other_verb != verb
    ]
    other_verb = choices.pick(other_verbs) if other_verbs else P.WITH_OBJECT[0][1]
    relative_clause = Clause(same_person_or_other(choices, subject), other_verb, PAST)
    relative = (
        f"{ending(RELATIVE, antecedent.gender, 'acc')} {to_german_verb_last(relative_clause)}"
    )
    part = replace(accusative_object(antecedent), extraposed=relative)
    part = replace(part, english=f"{part.english} that {to_english(relative_clause)}")
    clause = Clause(subject, verb, choices.pick((PAST, PAST, PROGRESSIVE)), (part,))
    if verb.english.split()[0] in P.NOT_PROGRESSIVE:
        clause = replace(clause, form=PAST)
    return to_english(clause), to_german(clause)


def infinitive(choices: Choices) -> Pair:
    """``tries to open the door``: ``zu`` goes between the German prefix and verb."""
    subject = subject_phrase(choices)
    clause, _ = random_clause(choices, subject, timed=False)
    clause = replace(clause, negated=False, form=PRESENT)
    if any(part.german.startswith("kein") for part in clause.parts):
        return infinitive(choices)
    main = Clause(subject, choices.pick(P.TRY), choices.pick((PRESENT, PAST, PAST)))
    parts = [part.english for part in clause.parts]
    return (
        join_words(to_english(main), "to", clause.verb.english, *parts),
        f"{to_german(main)}, {to_german_infinitive(clause)}",
    )


def passive_statement(choices: Choices) -> Pair:
    """``The door was opened by …``, also as a question or a subordinate clause."""
    clause = passive_clause(choices)
    kind = choices.integer_below(4)
    if kind == 0:
        return to_english(clause, question=True) + "?", to_german(clause, front="") + "?"
    if kind == 1:
        return that_clause(Clause(subject_phrase(choices), choices.pick(P.SAY), PAST), clause)
    return to_english(clause), to_german(clause)


def position_statement(choices: Choices) -> Pair:
    """``is on the table`` is steht, liegt or hängt, depending on the subject."""
    kind = choices.pick(list(P.POSITIONS))
    subject = thing_phrase(
        choices, choices.pick_skewed(P.KINDS_OF_OBJECT[kind]), person_phrase(choices)
    )
    where, wo = location(choices, kind, "dat")
    past, plural = choices.chance(0.5), subject.person == "wir"
    verb = P.POSITIONS[kind][2 * past + plural]
    is_ = (("is", "are"), ("was", "were"))[past][plural]
    variant = choices.integer_below(4)
    if variant == 0:
        return f"{is_} {subject.english} {where}?", f"{verb} {subject.german('nom')} {wo}?"
    if variant == 1:
        return (
            f"I believe that {subject.english} {is_} {where}",
            f"ich glaube, dass {subject.german('nom')} {wo} {verb}",
        )
    return f"{subject.english} {is_} {where}", f"{subject.german('nom')} {verb} {wo}"


def comparison(choices: Choices) -> Pair:
    """``is bigger than`` is ``größer als``."""
    first, second = (
        thing_phrase(
            choices, choices.pick_skewed(P.KINDS_OF_OBJECT["visible"]), pronoun_phrase(PRONOUNS[3])
        )
        for _ in range(2)
    )
    more, mehr = choices.pick(P.COMPARED)
    is_, ist = ("are", "sind") if first.person == "wir" else ("is", "ist")
    return (
        f"{first.english} {is_} {more} than {second.english}",
        f"{first.german('nom')} {ist} {mehr} als {second.german('nom')}",
    )


# how often each kind of sentence is used, in percent
SHARES = (
    (statement, 26), (subordinate, 18), (reported_statement, 8), (indirect_question, 6),
    (question, 8), (who_question, 5),
    (relative_subject, 7), (relative_object, 6), (infinitive, 6), (passive_statement, 4),
    (position_statement, 3), (comparison, 3),
)  # fmt: skip
KINDS = [compose for compose, share in SHARES for _ in range(share)]


def random_sentence(choices: Choices) -> Pair:
    """Compose a random pair, with initial capitals and full stops."""
    source, target = choices.pick(KINDS)(choices)
    return capitalise_and_punctuate(source), capitalise_and_punctuate(target)


def capitalise_and_punctuate(text: str) -> str:
    """Add an initial capital and, except after a question, a full stop."""
    return text[0].upper() + text[1:] + ("" if text.endswith("?") else ".")
