"""Outputs and references of the same examples: by time, by id, and where some are missing."""

from __future__ import annotations

import random

import pytest

from multiattn.errors import UserError
from multiattn.scoring.forms.contents import ReferenceFile, Span, SystemOutputs, TimedWords
from multiattn.scoring.matching import match


def outputs(**texts):
    return SystemOutputs("h", tuple(texts.values()), tuple(texts))


def references(**texts):
    return ReferenceFile("r", tuple((text,) for text in texts.values()), tuple(texts))


def test_an_output_that_is_missing_is_an_error_that_says_what_to_do():
    with pytest.raises(UserError, match=r"got 1 \('b'\) only in r; .*--missing empty or skip"):
        match([outputs(a="x")], [references(a="x", b="y")])


def test_missing_outputs_are_taken_as_empty_if_asked():
    examples = match([outputs(c="z", a="x")], [references(a="1", b="2", c="3")], "empty")
    assert examples.ids == ("a", "b", "c")
    assert examples.systems[0].texts == ("x", "", "z")
    assert examples.references == (("1",), ("2",), ("3",))
    assert examples.signature == "|missing:empty"
    assert examples.notes == (
        "h has no output for 1 ('b') of 3 examples, which were taken as empty",
    )


def test_examples_that_any_system_lacks_are_left_out_if_asked():
    systems = [outputs(a="x", c="z"), outputs(a="p", b="q")]
    examples = match(systems, [references(a="1", b="2", c="3")], "skip")
    assert examples.ids == ("a",)
    assert [system.texts for system in examples.systems] == [("x",), ("p",)]
    assert examples.references == (("1",),)
    assert examples.signature == "|missing:skip"
    assert len(examples.notes) == 2


def test_a_system_may_bring_the_references_that_others_are_matched_with():
    own = SystemOutputs("t", ("x", "y"), ("a", "b"), (("1",), ("2",)))
    examples = match([own, outputs(a="p")], [], "skip")
    assert (examples.ids, examples.references) == (("a",), (("1",),))
    assert [system.texts for system in examples.systems] == [("x",), ("p",)]


@pytest.mark.parametrize("policy", ["error", "empty", "skip"])
def test_an_output_without_a_reference_is_always_an_error(policy):
    with pytest.raises(UserError, match=r"1 \('x'\) only in h"):
        match([outputs(a="1", x="2")], [references(a="1", b="2")], policy)


def test_nothing_is_said_where_nothing_is_missing():
    examples = match([outputs(a="x")], [references(a="1")], "empty")
    assert (examples.signature, examples.notes) == ("", ())


def test_what_is_known_of_an_example_comes_from_all_files():
    system = SystemOutputs("h", ("x", "y"), ("a", "b"), meta=({"age": "7"}, {"age": "9"}))
    target = ReferenceFile(
        "r", (("1",), ("2",)), ("b", "a"), meta=({"speaker": "bea"}, {"speaker": "ann"})
    )
    examples = match([system], [target])
    assert examples.values("speaker") == ("ann", "bea")
    assert examples.values("age") == ("7", "9")
    with pytest.raises(UserError, match=r"expected 'room' of every example.*choose from age, sp"):
        examples.values("room")


@pytest.mark.parametrize("plain_first", [True, False])
def test_a_file_without_ids_is_in_the_order_of_the_references(plain_first):
    plain = SystemOutputs("plain", ("x", "y", "z"))
    named = SystemOutputs("named", ("z", "y", "x"), ("c", "b", "a"))
    systems = [plain, named] if plain_first else [named, plain]
    examples = match(systems, [references(a="x", b="y", c="z")])
    for system in examples.systems:
        assert [(text,) for text in system.texts] == list(examples.references)
    lines = ReferenceFile("lines", (("x",), ("y",), ("z",)), None)
    both = match([plain], [references(c="z", b="y", a="x"), lines])
    assert both.references == (("z", "x"), ("y", "y"), ("x", "z"))  # line by line, as no ids say


def test_systems_that_bring_other_references_are_refused():
    one = SystemOutputs("one", ("x",), ("a",), references=(("x",),))
    two = SystemOutputs("two", ("y",), ("a",), references=(("y",),))
    with pytest.raises(UserError, match=r"the same references in one and two.* 'a'; .*--ref"):
        match([one, two], [])
    same = SystemOutputs("two", ("y", "p"), ("b", "a"), references=(("q",), ("x",)))
    more = SystemOutputs("one", ("x", "y"), ("a", "b"), references=(("x",), ("q",)))
    assert match([more, same], []).references == (("x",), ("q",))


def test_a_recording_without_any_words_has_no_outputs():
    spans = (Span("r1", "1", 0, 5), Span("r2", "1", 0, 5))
    given = ReferenceFile("r", (("a",), ("b",)), ("u1", "u2"), spans=spans)
    words = TimedWords("h", ((Span("r1", "1", 1, 2), "a"),))
    with pytest.raises(UserError, match=r"\('u2'\) only in r; .*--missing"):
        match([words], [given])
    assert match([words], [given], "skip").references == (("a",),)


def test_words_go_to_the_utterance_of_their_middle_or_the_nearest():
    """Against a search over all utterances, for words and utterances at random times."""
    draw = random.Random(1)
    spans, time = [], 0.0
    for _ in range(20):
        start = time + draw.uniform(0, 2)
        time = start + draw.uniform(0.2, 3)
        spans.append(Span("rec", "A", start, time))
    words = []
    for number in range(200):
        start = draw.uniform(0, time)
        words.append((Span("rec", "1", start, start + draw.uniform(0, 1)), f"w{number}"))
    target = ReferenceFile("r", (("x",),) * 20, tuple(map(str, range(20))), spans=tuple(spans))
    examples = match([TimedWords("h", tuple(words))], [target])
    expected = [[] for _ in spans]
    for span, word in sorted(words, key=lambda pair: pair[0].middle):
        middle = (span.start + span.end) / 2
        gaps = [max(each.start - middle, 0, middle - each.end) for each in spans]
        expected[gaps.index(min(gaps))].append(word)
    assert examples.systems[0].texts == tuple(" ".join(each) for each in expected)
    assert "200 words of h to 20 utterances by time" in examples.notes[0]


def test_words_in_what_is_not_scored_are_left_out():
    target = ReferenceFile(
        "r",
        (("a",),),
        ("u",),
        spans=(Span("rec", "A", 0, 2),),
        ignored=(Span("rec", "A", 2, 4),),
    )
    words = ((Span("rec", "A", 0.5, 1.0), "a"), (Span("rec", "A", 2.5, 3.0), "noise"))
    assert match([TimedWords("h", words)], [target]).systems[0].texts == ("a",)


def test_words_of_another_recording_are_refused():
    target = ReferenceFile("r", (("a",),), ("u",), spans=(Span("rec", "A", 0, 2),))
    other = TimedWords("h", ((Span("other", "A", 0, 1), "a"),))
    with pytest.raises(UserError, match=r"recordings in r \('rec' A\), got some of 'other' A in h"):
        match([other], [target])


def test_words_are_joined_by_recording_where_references_have_no_times():
    words = (
        (Span("b", "1", 3, 4), "late"),
        (Span("b", "1", 0, 1), "early"),
        (Span("a", "1", 0, 1), "x"),
    )
    examples = match([TimedWords("h", words)], [references(a="x", b="early late")])
    assert dict(zip(examples.ids, examples.systems[0].texts, strict=True)) == {
        "a": "x",
        "b": "early late",
    }
