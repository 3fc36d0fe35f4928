"""What scores say of texts that a metric misses, and ROUGE in other scripts than Latin."""

import itertools
import json
import unicodedata

import pytest
from click.testing import CliRunner

from multiattn.cli import app
from multiattn.registry import records
from multiattn.scoring import intervals
from multiattn_text.masked_recall import MaskedRecall
from multiattn_text.metrics import Bleu, Chrf, Ter
from multiattn_text.rouge import Rouge1, Rouge2, RougeL

SPANISH, ARABIC, CHINESE = "El niño come mañana", "قطة تجلس على الحصيرة", "猫坐在垫子上"


def score_of(metric, hypotheses, references=None):
    """The first value of a metric; by default each text is its own reference."""
    record = records.Metric(
        name="any", target="x:X", summary="…", higher_is_better=True, unit="0-1"
    )
    references = [[text] for text in references or hypotheses]
    return next(iter(intervals.score(record, metric, hypotheses, references).values()))


def test_rouge_says_which_share_of_the_letters_its_tokenizer_drops():
    # 16 letters of which 2 are lost, and 17 and 6 of which none is kept: 25 of 39
    score = score_of(Rouge1(), [SPANISH, ARABIC, CHINESE])
    assert score.value == pytest.approx(1 / 3)
    assert "drops 64.1 % of the letters" in score.warnings[0]
    assert "in 4 of 6 texts; set its tokenize to another of rouge-score, 13a" in score.warnings[0]
    assert "2 of 3 examples have no reference with a token" in score.warnings[1]


def test_a_rare_accent_needs_no_warning():
    texts = ["naïve", *["the cat sat on the mat and slept"] * 20]
    assert score_of(Rouge1(), texts).warnings == ()


@pytest.mark.parametrize("tokenize", ["13a", "intl", "none", "char", "zh"])
@pytest.mark.parametrize("metric", [Rouge1, Rouge2, RougeL])
def test_rouge_with_another_tokenizer_keeps_the_letters_of_every_script(metric, tokenize):
    metric = metric(tokenize=tokenize, stemmer=False)
    score = score_of(metric, [SPANISH, ARABIC, "猫 坐 在 垫子 上", "แมวนั่ง บนเสื่อ"])
    assert (score.value, score.warnings) == (1.0, ())
    assert f"|tok:{tokenize}-sacrebleu-" in score.signature


def test_rouge_in_chinese_counts_characters_without_punctuation():
    score = score_of(Rouge1(tokenize="zh"), ["猫坐在垫子上。"], ["狗坐在垫子上！"])
    assert score.value == pytest.approx(5 / 6)


@pytest.mark.parametrize("metric", [Rouge1, Rouge2, RougeL])
def test_rouge_with_a_tokenizer_of_sacrebleu_stems_as_by_default(metric):
    texts = ["Many meetings, were held"], ["the meeting holds many people"]
    assert score_of(metric(tokenize="13a"), *texts).value == score_of(metric(), *texts).value


@pytest.mark.parametrize("metric", [Bleu(), Ter(), RougeL(tokenize="intl")])
def test_text_without_spaces_that_is_not_divided_is_said(metric):
    found = score_of(metric, ["猫坐在垫子上", "我喜欢苹果"]).warnings
    assert any("(5.5 letters a token)" in warning for warning in found)


@pytest.mark.parametrize("metric", [Bleu(tokenize="zh"), Bleu(tokenize="char"), Chrf()])
def test_divided_text_needs_no_warning(metric):
    score = score_of(metric, ["猫坐在垫子上", "我喜欢苹果"])
    assert (score.value, score.warnings) == (pytest.approx(100), ())


def test_bleu_says_that_it_needs_four_tokens():
    score = score_of(Bleu(), ["yes it is", "no"])
    assert score.value == pytest.approx(0)
    assert "no output has 4 tokens" in score.warnings[0]


def test_rouge_2_says_that_it_needs_pairs():
    score = score_of(Rouge2(), ["yes", "no it is"])
    assert score.value == 0.5
    assert "1 of 2 examples have references of one word" in score.warnings[0]


def test_masked_recall_says_that_there_is_nothing_to_recall():
    (warning,) = score_of(MaskedRecall(), ["ohne solches"]).warnings
    assert "nothing to recall" in warning


@pytest.mark.parametrize("metric", [Bleu(), Chrf(), Ter(), Rouge1()])
def test_an_empty_reference_is_said(metric):
    (warning,) = score_of(metric, ["a cat sat on the mat", ""]).warnings
    assert "1 of 2 examples have no reference with a token (the first is example 2)" in warning


def test_identical_text_in_two_unicode_forms_scores_as_equal(tmp_path, monkeypatch):
    monkeypatch.setenv("MULTIATTN_PLUGINS", "multiattn-text")
    monkeypatch.chdir(tmp_path)
    composed = ["Schöne grüne Äpfel für Zoë im Café", "Über größere Bäume flögen sie später"]
    forms = {
        "nfc": composed,
        "nfd": [unicodedata.normalize("NFD", text) for text in composed],
        "dirty": [text.replace("e", "\u200be\ufeff") for text in composed],
    }
    for name, lines in forms.items():
        (tmp_path / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    for hyp, ref in itertools.product(forms, forms):
        words = ["score", "bleu", "chrf", "ter", "--hyp", hyp, "--ref", ref, "--json"]
        scores = json.loads(CliRunner().invoke(app, words).stdout)
        values = [score["value"] for score in scores.values()]
        assert values == pytest.approx([100, 100, 0])
        changed = not hyp == ref == "nfc"
        for score in scores.values():
            assert ("|unicode:nfc|" in score["signature"]) is changed
            assert ("warnings" in score) is changed
