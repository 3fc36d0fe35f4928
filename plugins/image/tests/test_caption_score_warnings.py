"""Captions in other languages than English, and captioning metrics where they are undefined."""

import numpy as np
import pytest
from sacrebleu.tokenizers import tokenizer_ko_mecab

from multiattn import UserError
from multiattn.registry import records
from multiattn.scoring import intervals
from multiattn_image.captioning_metrics.metrics import (
    Cider,
    CocoBleu1,
    CocoBleu4,
    CocoRougeL,
    Meteor,
)

CHINESE = ["猫坐在垫子上", "我喜欢苹果。"]


def score_of(metric, hypotheses, references):
    record = records.Metric(
        name="any", target="x:X", summary="…", higher_is_better=True, unit="0-1"
    )
    return next(iter(intervals.score(record, metric, hypotheses, references).values()))


def own(texts):
    return [[text] for text in texts]


def test_cider_of_a_single_picture_says_that_it_is_zero_by_definition():
    texts = ["a cat sits on the mat"]
    score = score_of(Cider(), texts, own(texts))
    assert score.value == 0
    (warning,) = score.warnings
    assert "1 of 1 examples" in warning
    assert "larger set" in warning


def test_cider_counts_the_pictures_whose_ngrams_occur_with_all_others():
    # every n-gram of the first is in the second too, but not the other way round
    texts = ["a dog runs", "a dog runs fast"]
    score = score_of(Cider(), texts, own(texts))
    assert "1 of 2 examples" in score.warnings[0]
    assert Cider().statistics(texts, own(texts))[0] == 0
    shared = ["a dog runs", "a dog runs", "a dog runs"]
    assert "3 of 3 examples" in score_of(Cider(), shared, own(shared)).warnings[0]


def test_cider_of_different_pictures_needs_no_warning():
    texts = ["a dog runs", "a cat sleeps on a mat"]
    assert score_of(Cider(), texts, own(texts)).warnings == ()


def test_coco_bleu_says_that_there_are_no_ngrams_of_its_order():
    texts = ["a dog", "two black cats"]
    assert "as many as 4 tokens" in score_of(CocoBleu4(), texts, own(texts)).warnings[0]
    assert score_of(CocoBleu1(), texts, own(texts)).warnings == ()


@pytest.mark.parametrize("metric", [Cider, CocoBleu4, CocoRougeL])
def test_chinese_captions_are_cut_by_the_chosen_tokenizer(metric):
    by_hand = ["猫 坐 在 垫 子 上", "我 喜 欢 苹 果"]
    cut = score_of(metric(tokenize="zh"), CHINESE, own(CHINESE[::-1]))
    assert cut.warnings == ()
    assert cut.value == score_of(metric(tokenize="none"), by_hand, own(by_hand[::-1])).value
    assert "case:lc|punct:no|tok:zh-sacrebleu-" in cut.signature
    assert score_of(metric(tokenize="zh"), CHINESE, own(CHINESE)).value >= 1 - 1e-9


def test_chinese_captions_by_cocos_tokenizer_are_said_to_be_uncut():
    warnings = score_of(CocoRougeL(), CHINESE, own(CHINESE)).warnings
    assert any("does not divide" in warning and "zh" in warning for warning in warnings)


def test_thai_captions_are_cut_into_characters_with_their_vowel_signs():
    assert CocoRougeL(tokenize="char").tokens(["ที่!"]) == [["ท", "\u0e35", "\u0e48"]]


def test_english_is_tokenised_as_before_and_signed_so():
    assert Cider().signature() == Cider(tokenize="ptb").signature()
    assert Cider().signature().startswith("case:lc|punct:no|tok:ptb-corenlp-3.4.1|df:scored-set|")


def test_a_fitted_cider_keeps_the_tokenizer():
    metric = Cider(tokenize="zh")
    fitted = metric.fitted(own(CHINESE))
    rows = metric.statistics(CHINESE, own(CHINESE))
    assert fitted.statistics(CHINESE, own(CHINESE)).tolist() == rows.tolist()
    assert "tok:zh-" in fitted.signature()
    assert np.all(rows > 0)


@pytest.mark.parametrize("metric", [Cider, CocoBleu1, CocoRougeL, Meteor])
def test_a_tokenizer_without_its_package_is_one_sentence(metric, monkeypatch):
    monkeypatch.setattr(tokenizer_ko_mecab, "MeCab", None)
    with pytest.raises(UserError, match=r"'ko-mecab' needs.*'sacrebleu\[ko\]'") as caught:
        metric(tokenize="ko-mecab")
    assert "\n" not in str(caught.value)
