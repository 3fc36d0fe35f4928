"""Text to ids and back, exactly; subword sampling against its definitions, worked out in full."""

from __future__ import annotations

import gzip
import itertools
import json
import math
import os
import pickle
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import pre_tokenizers

from multiattn.data.byte_pieces import bytes_of_pieces
from multiattn.data.tokenizer import Tokenizer
from multiattn.errors import UserError
from multiattn.recipe.settings import TokenizerSettings
from multiattn.symbols import BOS, EOS, PAD, UNK
from multiattn.unicode import normalise_unicode

KINDS = ["char", "word", "bpe", "byte", "unigram"]
DATA = Path(os.environ.get("MULTIATTN_DATA") or Path(__file__).parents[3] / "shared" / "data")
TEXTS = [
    "the dogs and the dog are dogs",
    "a t @-@ shirt , &quot; yes &quot; it &apos;s a dog &#91; sic &#93;",
    "Zwei süße Hündchen (weiß) sind im Büro, z.B. heute...",
    "the < pad > the <pad> <unk> </s> ▁the a▁b <s>",
    "dogs",
]


def trained(kind: str, texts=TEXTS, size: int = 300, **settings) -> Tokenizer:
    return Tokenizer.train(texts, TokenizerSettings(kind=kind, size=size, **settings))


@pytest.mark.parametrize("kind", KINDS)
def test_texts_that_trained_a_tokenizer_come_back_exactly(kind):
    tokenizer = trained(kind)
    assert [tokenizer.decode(tokenizer.encode(text)) for text in TEXTS] == TEXTS


@pytest.mark.parametrize("kind", KINDS)
@given(texts=st.lists(st.text(min_size=1), min_size=1, max_size=5))
def test_any_text_at_all_comes_back_with_its_white_space_normalised(kind, texts):
    normalised = [" ".join(text.split()) for text in texts]
    if not any(normalised):
        return
    tokenizer = trained(kind, texts, unicode="none")
    ids = [tokenizer.encode(text) for text in texts]
    assert [tokenizer.decode(row) for row in ids] == normalised
    assert all(index > UNK for row in ids for index in row)


@given(text=st.text(), seed=st.integers(0, 9))
def test_with_a_vocabulary_of_bytes_no_text_at_all_has_an_unknown_symbol(text, seed):
    for unicode, expected in (("none", text), ("nfc", normalise_unicode(text))):
        tokenizer = trained("byte", unicode=unicode, sampling=0.3)
        for ids in (tokenizer.encode(text), tokenizer.encode(text, random.Random(seed))):
            assert UNK not in ids
            assert tokenizer.decode(ids) == " ".join(expected.split())
            assert " ".join(word for word, _, _ in tokenizer.words(ids)) == tokenizer.decode(ids)
            shown = "".join(tokenizer.pieces(ids)).replace("▁", " ")
            assert shown.strip() == tokenizer.decode(ids).replace("▁", " ").strip()


@given(ids=st.lists(st.integers(0, 299), max_size=20))
def test_pieces_of_any_bytes_join_to_what_is_decoded(ids):
    tokenizer = trained("byte", ["dogs äöü ☃ 日本 dogs äöü ☃ 日本"] * 3)
    ids = [index for index in ids if UNK < index < tokenizer.size]
    shown = "".join(tokenizer.pieces(ids)).replace("▁", " ")
    assert " ".join(shown.split()) == tokenizer.decode(ids)


def test_every_byte_has_one_character_in_the_alphabet_of_the_library():
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    assert sorted(bytes_of_pieces(alphabet)) == [chr(byte) for byte in range(256)]


def test_a_character_of_several_pieces_is_shown_with_the_first():
    tokenizer = trained("byte", ["a t-shirt is a shirt"] * 2)
    ids = tokenizer.encode("a ☃")
    assert tokenizer.pieces([*ids, EOS]) == ["▁a", "▁", "☃", "", "", "</s>"]
    assert tokenizer.pieces(ids[:-1]) == ["▁a", "▁", "\ufffd", ""]
    assert tokenizer.words(ids) == [("a", 0, 1), ("☃", 2, 5)]
    assert len(set(tokenizer.vocabulary)) == tokenizer.size
    assert {r"\xe2", "a", "▁a"} <= set(tokenizer.vocabulary)


def test_texts_that_look_alike_are_encoded_alike():
    decomposed = "Zwei su\u0308\u00dfe\u200b Hu\u0308nd\u00adchen \ufeff(wei\u00df\x07)"
    for kind in KINDS:
        tokenizer = trained(kind)
        ids = tokenizer.encode("Zwei süße Hündchen (weiß)")
        assert UNK not in ids
        assert tokenizer.encode(decomposed) == ids
        assert tokenizer.spelling(decomposed) == tokenizer.spelling("Zwei süße Hündchen (weiß)")
    assert UNK in trained("char", unicode="none").encode(decomposed)


def test_joiners_stay_because_they_change_how_a_word_is_written():
    text = "می\u200cخواهم क्\u200dष"
    for kind in KINDS:
        tokenizer = trained(kind, [text])
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_a_tokenizer_from_before_the_setting_leaves_texts_as_they_are(tmp_path):
    path = tmp_path / "tokenizer.json"
    trained("char", ["u\u0308 u"], unicode="none").save(path)
    saved = json.loads(path.read_text())
    del saved["settings"]["unicode"]
    path.write_text(json.dumps(saved))
    tokenizer = Tokenizer.load(path)
    assert tokenizer.settings.unicode == "none"
    assert tokenizer.decode(tokenizer.encode("u\u0308")) == "u\u0308"


@pytest.mark.parametrize("variant", ["", "tok"])
@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_multi30k_comes_back_exactly_in_both_languages(kind, variant):
    folder = DATA / "multi30k" / variant
    if not folder.is_dir():
        pytest.skip(f"no Multi30k in {folder}; set MULTIATTN_DATA to where corpora lie")
    files = [folder / f"train.{language}.gz" for language in ("en", "de")]
    lines = [line for file in files for line in gzip.decompress(file.read_bytes()).splitlines()]
    texts = [" ".join(line.decode().split()) for line in lines[:: 3 if kind == "bpe" else 10]]
    tokenizer = trained(kind, texts, size=8000, sampling=0.1)
    generator = random.Random(3)
    assert all(tokenizer.decode(tokenizer.encode(text)) == text for text in texts)
    assert all(tokenizer.decode(tokenizer.encode(text, generator)) == text for text in texts[::10])


def test_a_lowercasing_tokenizer_returns_lower_case():
    tokenizer = trained("bpe", lowercase=True)
    assert tokenizer.decode(tokenizer.encode("Zwei  SÜSSE dogs")) == "zwei süsse dogs"


@pytest.mark.parametrize("kind", KINDS)
def test_special_ids_are_fixed_and_say_nothing_when_decoded(kind):
    tokenizer = trained(kind)
    assert (PAD, BOS, EOS, UNK) == (0, 1, 2, 3)
    assert tokenizer.pieces([PAD, BOS, EOS, UNK]) == ["<pad>", "<s>", "</s>", "<unk>"]
    ids = tokenizer.encode("the dogs")
    assert tokenizer.decode([BOS, *ids, EOS, PAD, PAD]) == "the dogs"


def test_an_unseen_character_is_unknown_and_its_neighbours_are_not():
    for kind in ("char", "bpe", "unigram"):
        tokenizer = trained(kind)
        assert tokenizer.decode(tokenizer.encode("dog☃s")) == "dog<unk>s"


@pytest.mark.parametrize("kind", KINDS)
def test_half_a_character_is_refused(kind):
    with pytest.raises(UserError, match=r"valid Unicode text, got 'dog.*' with a lone surrogate"):
        trained(kind).encode("dog\ud83d")


def test_an_unseen_word_is_unknown_and_stays_a_word():
    tokenizer = trained("word")
    assert tokenizer.decode(tokenizer.encode("the snowman dogs")) == "the <unk> dogs"


def test_nothing_encodes_to_nothing():
    for kind in KINDS:
        assert trained(kind).encode("  ") == []
        assert trained(kind).decode([]) == ""


def test_a_vocabulary_of_words_or_characters_keeps_the_frequent_ones():
    tokenizer = trained("word", ["a a a b b c"], size=6)
    assert tokenizer.vocabulary[4:] == ("▁a", "▁b")
    tokenizer = trained("char", ["aaa bb", "ab c"], size=7)
    assert tokenizer.vocabulary[4:] == ("a", "b", "▁")


def test_subwords_never_join_letters_and_punctuation_but_keep_entities_whole():
    tokenizer = trained("bpe", ["dogs. dogs, (dogs) &quot; &quot;"] * 5, size=100)
    assert tokenizer.pieces(tokenizer.encode("dogs. dogs, (dogs) &quot;")) == [
        *["▁dogs", ".", "▁dogs", ",", "▁(", "dogs", ")", "▁&quot;"]
    ]


def test_training_bpe_twice_gives_the_same_bytes(tmp_path):
    script = (
        "import sys; from pathlib import Path; from multiattn import Tokenizer, TokenizerSettings;"
        "texts = [f'{a}{b}{c} {c}{a}' for a in 'abcdefg' for b in 'abcdefg' for c in 'abcdefg'];"
        "Tokenizer.train(texts, TokenizerSettings(size=200)).save(Path(sys.argv[1]));"
        "assert 'torch' not in sys.modules, 'the tokenizer imported torch'"
    )
    paths = [tmp_path / "first" / "tokenizer.json", tmp_path / "second" / "tokenizer.json"]
    for seed, path in enumerate(paths):
        environment = {**os.environ, "PYTHONHASHSEED": str(seed)}
        subprocess.run([sys.executable, "-c", script, str(path)], check=True, env=environment)
    assert paths[0].read_bytes() == paths[1].read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_tokenizer_is_the_same_tokenizer(kind, tmp_path):
    sampling = 0.5 if kind in ("bpe", "byte", "unigram") else 0.0
    tokenizer = trained(kind, sampling=sampling)
    tokenizer.save(tmp_path / "target" / "tokenizer.json")
    assert [path.name for path in (tmp_path / "target").iterdir()] == ["tokenizer.json"]
    for copy in (
        Tokenizer.load(tmp_path / "target" / "tokenizer.json"),
        pickle.loads(pickle.dumps(tokenizer)),
    ):
        assert copy.settings == tokenizer.settings
        assert copy.vocabulary == tokenizer.vocabulary
        for text in TEXTS:
            assert copy.encode(text) == tokenizer.encode(text)
            assert copy.encode(text, random.Random(5)) == tokenizer.encode(text, random.Random(5))


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"settings": {}, "library": {}}', '{"settings": {"kind": "x"}}']
)
def test_a_file_that_is_no_tokenizer_is_named(tmp_path, content):
    path = tmp_path / "tokenizer.json"
    path.write_text(content)
    with pytest.raises(UserError, match=r"tokenizer\.json.*damaged"):
        Tokenizer.load(path)


def test_a_missing_or_undecodable_tokenizer_is_named(tmp_path):
    with pytest.raises(UserError, match=r"none\.json, got No such file"):
        Tokenizer.load(tmp_path / "none.json")
    (tmp_path / "latin.json").write_bytes(b'{"settings": "\xfc"}')
    with pytest.raises(UserError, match=r"latin\.json"):
        Tokenizer.load(tmp_path / "latin.json")


def test_training_on_nothing_or_with_too_small_a_size_says_what_is_needed():
    with pytest.raises(UserError, match="at least one text"):
        trained("bpe", ["", "  "])
    for kind in ("bpe", "unigram"):
        with pytest.raises(UserError, match=r"size of at least 8.*got 7"):
            trained(kind, ["abc"], size=7)  # a, b, c, the space before them, four specials
        tokenizer = trained(kind, ["abc"], size=8)
        assert tokenizer.decode(tokenizer.encode("abc")) == "abc"


def test_a_vocabulary_of_bytes_has_room_for_every_byte():
    with pytest.raises(UserError, match=r"size of at least 260, one piece for each byte.*got 259"):
        trained("byte", size=259)
    assert trained("byte", size=260).size == 260


def test_sampling_where_nothing_can_be_sampled_is_refused():
    for kind in ("char", "word"):
        with pytest.raises(UserError, match=r"expected sampling 0.*use bpe, byte or unigram"):
            trained(kind, sampling=0.1)


@pytest.mark.parametrize("kind", ["bpe", "byte", "unigram"])
def test_sampling_is_a_function_of_the_generator_and_off_without_one(kind):
    tokenizer = trained(kind, sampling=0.5)
    text = TEXTS[0]
    assert tokenizer.encode(text) == tokenizer.encode(text)
    draws = {tuple(tokenizer.encode(text, random.Random(seed))) for seed in range(20)}
    again = {tuple(tokenizer.encode(text, random.Random(seed))) for seed in range(20)}
    assert draws == again
    assert len(draws) > 5
    assert {tokenizer.decode(ids) for ids in draws} == {text}


def test_a_generator_does_nothing_where_sampling_is_off():
    tokenizer, generator = trained("bpe"), random.Random(1)
    state = generator.getstate()
    assert tokenizer.encode(TEXTS[0], generator) == tokenizer.encode(TEXTS[0])
    assert generator.getstate() == state


def test_dropout_that_never_drops_merges_as_the_library_does():
    words = ["".join(letters) for letters in itertools.product("abc", repeat=5)]
    texts = [" ".join(words), "abcab cabca abcab aaaaa aaaa aaa", *TEXTS]
    tokenizer = trained("bpe", texts, size=150, sampling=1e-300)
    for text in [*texts, "unseen ☃ wörds aabbaaccaab"]:
        assert tokenizer.encode(text, random.Random(0)) == tokenizer.encode(text)


def test_a_word_of_20000_letters_is_sampled_in_a_second():
    tokenizer = trained("bpe", ["abab ab abab cab"] * 3, size=14, sampling=0.3)
    word = "".join(random.Random(1).choices("abc", k=20_000))
    started = time.process_time()
    assert tokenizer.decode(tokenizer.encode(word, random.Random(2))) == word
    assert time.process_time() - started < 3


def test_dropout_has_the_distribution_of_its_paper(tmp_path):
    """Provilkov 2020: every possible merge is dropped with p, the best that is left is done."""
    probability = 0.3
    tokenizer = trained("bpe", ["abab ab abab cab"] * 3, size=14, sampling=probability)
    tokenizer.save(tmp_path / "tokenizer.json")
    merges = json.loads((tmp_path / "tokenizer.json").read_text())["library"]["model"]["merges"]

    def outcomes(pieces: tuple[str, ...]) -> Counter[tuple[str, ...]]:
        possible = [
            (merges.index([left, right]), place)
            for place, (left, right) in enumerate(itertools.pairwise(pieces))
            if [left, right] in merges
        ]
        found: Counter[tuple[str, ...]] = Counter()
        for kept in itertools.product([True, False], repeat=len(possible)):
            chance = math.prod(1 - probability if keep else probability for keep in kept)
            left = [merge for merge, keep in zip(possible, kept, strict=True) if keep]
            if not left:
                found[pieces] += chance
                continue
            _, place = min(left)
            merged = (*pieces[:place], pieces[place] + pieces[place + 1], *pieces[place + 2 :])
            for result, rest in outcomes(merged).items():
                found[result] += chance * rest
        return found

    expected = outcomes(tuple(" abab"))
    generator, count = random.Random(1), 20_000
    drawn = Counter(
        tuple(piece.replace("▁", " ") for piece in tokenizer.pieces(ids))
        for ids in (tokenizer.encode("abab", generator) for _ in range(count))
    )
    assert len(expected) > 6
    assert sum(expected.values()) == pytest.approx(1)
    for pieces in expected | drawn:
        spread = math.sqrt(expected[pieces] * (1 - expected[pieces]) / count)
        assert drawn[pieces] / count == pytest.approx(expected[pieces], abs=4 * spread + 1e-9)


def test_unigram_sampling_has_the_distribution_of_its_paper(tmp_path):
    """Kudo 2018: P(segmentation) ** α, normalised; here drawn in three of four encodings."""
    probability, alpha = 0.75, 0.2
    tokenizer = trained("unigram", ["abab ab abab cab"] * 3, size=14, sampling=probability)
    tokenizer.save(tmp_path / "tokenizer.json")
    saved = json.loads((tmp_path / "tokenizer.json").read_text())
    scores = dict(saved["library"]["model"]["vocab"])
    text = " abab"
    weights: dict[tuple[str, ...], float] = {}
    for count in range(len(text)):
        for cuts in itertools.combinations(range(1, len(text)), count):
            bounds = itertools.pairwise((0, *cuts, len(text)))
            pieces = tuple(text[start:end] for start, end in bounds)
            if all(piece in scores for piece in pieces):
                weights[pieces] = math.exp(alpha * sum(scores[piece] for piece in pieces))
    best = max(weights, key=weights.__getitem__)
    total = sum(weights.values())
    expected = {
        pieces: probability * weight / total + (1 - probability) * (pieces == best)
        for pieces, weight in weights.items()
    }
    generator, count = random.Random(1), 20_000
    drawn = Counter(
        tuple(piece.replace("▁", " ") for piece in tokenizer.pieces(ids))
        for ids in (tokenizer.encode("abab", generator) for _ in range(count))
    )
    assert len(expected) > 3
    assert set(drawn) <= set(expected)
    for pieces, chance in expected.items():
        spread = math.sqrt(chance * (1 - chance) / count)
        assert drawn[pieces] / count == pytest.approx(chance, abs=4 * spread)


def test_unigram_sampling_survives_characters_it_never_saw():
    tokenizer = trained("unigram", sampling=0.9)
    for seed in range(20):
        ids = tokenizer.encode("dog☃☃s", random.Random(seed))
        assert UNK in ids
        assert tokenizer.decode(index for index in ids if index != UNK) == "dogs"


@pytest.mark.parametrize("kind", KINDS)
def test_words_are_the_decoded_text_and_where_each_was_written(kind):
    sampling = 0.5 if kind in ("bpe", "byte", "unigram") else 0.0
    tokenizer = trained(kind, sampling=sampling)
    for seed, text in enumerate(TEXTS):
        ids = [BOS, *tokenizer.encode(text, random.Random(seed)), EOS, PAD]
        words = tokenizer.words(ids)
        assert [word for word, _, _ in words] == text.split()
        for word, first, end in words:
            assert tokenizer.decode(ids[first:end]) == word
        assert all(end <= first for (*_, end), (_, first, _) in itertools.pairwise(words))


def test_pieces_show_where_words_begin():
    tokenizer = trained("bpe", ["low lower lowest"] * 3, size=40)
    assert "".join(tokenizer.pieces(tokenizer.encode("lower low"))) == "▁lower▁low"
    tokenizer = trained("char")
    assert tokenizer.pieces(tokenizer.encode("a dog")) == ["a", "▁", "d", "o", "g"]
