"""Kaldi text and trn are recognised, plain text stays plain, and doubt is an error."""

import itertools

import pytest

from multiattn import UserError
from multiattn.scoring.forms.contents import SystemOutputs
from multiattn.scoring.forms.recognition import form_of_lines
from multiattn.scoring.forms.table import Source, certain_form

PLAIN, KALDI, TRN, DOUBT = "plain", "kaldi", "trn", "in doubt"
WORDS = ["".join(letters) for letters in itertools.product("bdfgk", "aeiou", "lmnr")]


def form_of(*texts, known=()):
    sources = [Source(f"file{number}", text) for number, text in enumerate(texts)]
    try:
        return form_of_lines(sources, known).name
    except UserError as error:
        return DOUBT if "--format" in str(error) else str(error)


def lines(*texts):
    return "\n".join(texts) + "\n"


@pytest.mark.parametrize(
    ("expected", "hyp", "ref"),
    [
        # ids in another order
        (KALDI, lines("u2 good", "u1 hello word"), lines("u1 hello world", "u2 good")),
        # ids that look like ids, in the same order; an utterance without words; tabs; CR LF
        (KALDI, lines("u1 hello", "u2"), lines("u1 hello world", "u2 good")),
        (KALDI, lines("s1-0001\ta b", "s1-0002\tc"), lines("s1-0001\ta", "s1-0002\td")),
        (KALDI, "u1 a b\r\nu2 c\r\n", lines("u1 a", "u2 c")),
        (KALDI, lines("0001 a b", "0002 c"), lines("0001 a", "0002 c")),
        (KALDI, lines("an_a a b", "an_b c"), lines("an_a a", "an_b c")),
        # names for ids, or sentences that begin alike: "A dog", "The cat" and "The dog", "A cat"
        (DOUBT, lines("bob yes sir", "amy no"), lines("amy no", "bob yes")),
        # missing and other ids: matching names them
        (KALDI, lines("u1 a", "u2 b", "u3 c"), lines("u1 a", "u2 b")),
        (KALDI, lines("u1 a", "u2 b"), lines("v1 a", "v2 b")),
        # a repeated id: reading names it
        (KALDI, lines("u1 a", "u1 b", "u2 c"), lines("u1 a", "u2 b")),
        # a line that was broken in two
        (KALDI, *[lines("and on", *(f"u{n} a b" for n in range(10)))] * 2),
        (TRN, lines("a b (s1-u1)", "(s1-u2)"), lines("a (s1-u1)", "b (s1-u2)")),
        (TRN, lines("b (amy)", "a (bob)"), lines("a (bob)", "b (amy)")),
        (TRN, lines(";; comment", "a (x-a)", "b (x-b)"), lines("a (x-a)", "b (x-b)")),
        # sentences
        (PLAIN, lines("the cat sat", "a dog ran"), lines("the cat sat", "a dog runs")),
        (PLAIN, lines("Hello word", "Good day"), lines("Hello world", "Good morning all")),
        (PLAIN, lines("A cat sat", "The dog ran"), lines("The cat sat", "The dog runs")),
        (PLAIN, lines("hello world"), lines("hello word")),
        (PLAIN, lines("2 dogs run"), lines("2 dogs ran")),
        (PLAIN, lines("Lives in Bern (Switzerland)"), lines("Lives in Bern (Switzerland)")),
        (PLAIN, lines("", "a b", ""), lines("a", "a b", "")),
        # other words at the beginning, numbers in one file alone, single words
        (PLAIN, lines("2 dogs run", "3 cats sit"), lines("Two dogs run", "Three cats sit")),
        (PLAIN, lines("he ran", "we sat", "it is"), lines("she ran", "we sat", "it is")),
        (PLAIN, lines("u1", "u2"), lines("u1", "u2")),
        (PLAIN, lines(*WORDS), lines(*WORDS)),
        (PLAIN, *[lines(*(f"{word} is a word" for word in WORDS[:30]))] * 2),
        (PLAIN, lines("COVID-19 cases rise"), lines("Cases of COVID-19 rise")),
        # ids in one file alone, numbers or many distinct words in both: it may be either
        (DOUBT, lines("u1 hello", "u2 good"), lines("hello world", "good morning")),
        (DOUBT, lines("u1 a", "", "u2 b"), lines("u1 a", "", "u2 b")),
        (DOUBT, *[lines("no id", *(f"a b (s-{n})" for n in range(10)))] * 2),
        (DOUBT, lines("1 hello", "2 good"), lines("1 hello", "2 good")),
        (DOUBT, lines("1. hello", "2. good"), lines("1. hello", "2. good")),
        (DOUBT, lines("u1 hello"), lines("u1 hello world")),
        (DOUBT, lines("a (Bern)", "b (Rome)"), lines("a (Bern)", "b (Rome)")),
        (DOUBT, *[lines(*(f"{word} is a word" for word in WORDS))] * 2),
    ],
)
def test_the_form_follows_from_both_files(expected, hyp, ref):
    assert form_of(hyp, ref) == expected
    assert form_of(ref, hyp) == expected


def test_one_of_three_files_in_another_form_is_doubt():
    kaldi = lines("u1 a b", "u2 c d")
    assert form_of(kaldi, kaldi, kaldi) == KALDI
    assert form_of(kaldi, kaldi, lines("a b", "c d")) == DOUBT


def test_known_ids_tell_kaldi_text_from_plain_text():
    known = [SystemOutputs("a.jsonl", ("x", "y"), ("one", "two"))]
    assert form_of(lines("one hello", "two you"), known=known) == KALDI
    assert form_of(lines("hello you", "good day"), known=known) == PLAIN
    assert form_of(lines("hello (one)", "you (two)"), known=known) == TRN
    nameless = [SystemOutputs("a.jsonl", ("x", "y"))]
    assert form_of(lines("hello you", "good day"), known=nameless) == PLAIN
    assert form_of(lines("u1 hello", "u2 good"), known=nameless) == DOUBT


def test_a_name_or_json_tells_the_form_of_a_file_alone():
    forms = {
        ("a.jsonl", "x"): "jsonl",
        ("a.json.gz", "x"): "coco",
        ("a.trn", "x"): "trn",
        ("a", '{"text": "b"}\n{"text": "c", "id": "d"}\n'): "jsonl",
        ("a", '[{"image_id": 1, "caption": "b"}]'): "coco",
        ("a", '{"annotations": [{"image_id": 1, "caption": "b"}]}'): "coco",
        ("a", '{"text": 1}'): None,
        ("a", "{b}"): None,
        ("a.txt", "[b] c"): None,
    }
    for (name, text), expected in forms.items():
        form = certain_form(Source(name, text))
        assert (form and form.name) == expected, (name, text)
