"""The corpora in ``data/``: the scripts reproduce them, and they have the stated properties."""

from __future__ import annotations

import gzip
import importlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from multiattn.data.corpus import open_corpus
from multiattn.data.dataset import Dataset
from multiattn.data.splits import Splits
from multiattn.engine.layouts import Grid
from multiattn.prediction.attention_records import AttentionRecord
from multiattn.recipe.loading import load_recipe, shipped
from multiattn.registry.host import load_host
from multiattn.runs.processors import fit_processors

DATA = shipped("data")
SPLITS = ("train", "validation", "test")


def lines(name: str) -> list[str]:
    path = DATA / name
    packed = path.with_name(path.name + ".gz")
    text = path.read_bytes() if path.exists() else gzip.decompress(packed.read_bytes())
    return text.decode("utf-8").splitlines()


def mails(split: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in lines(f"summarization/{split}.jsonl")]


def recordings(split: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines(f"speech/{split}.jsonl")]


def scenes(split: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines(f"scenes/{split}.jsonl")]


def content(path: Path) -> bytes:
    # a .gz of another zlib may differ where the text does not
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def test_the_script_reproduces_the_files(tmp_path):
    script = [sys.executable, "-B", str(DATA / "make.py"), str(tmp_path)]
    subprocess.run(script, check=True)
    written = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.*"))
    shipped_files = [
        path.relative_to(DATA)
        for folder in ("translation", "summarization")
        for path in (DATA / folder).iterdir()
    ]
    assert written == sorted(shipped_files)
    different = [str(name) for name in written if content(tmp_path / name) != content(DATA / name)]
    assert different == []


def test_speech_and_scenes_take_under_six_megabytes_each_and_the_rest_under_one():
    sizes = {"speech": 0, "scenes": 0, "rest": 0}
    for path in DATA.rglob("*"):
        folder, *_ = path.relative_to(DATA).parts
        if "__pycache__" not in path.parts and path.is_file():
            sizes[folder if folder in sizes else "rest"] += path.stat().st_size
    assert sizes["speech"] < 6_000_000
    assert sizes["scenes"] < 6_000_000
    assert sizes["rest"] < 1_000_000


def test_the_readme_gives_the_numbers_of_rows():
    readme = (DATA / "README.md").read_text("utf-8")
    table = re.findall(r"^\| `(\w+)/` \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \|", readme, re.MULTILINE)
    stated = {
        folder: [int(count.replace(",", "")) for count in counts] for folder, *counts in table
    }
    assert stated == {
        "translation": [len(lines(f"translation/{split}.de")) for split in SPLITS],
        "summarization": [len(mails(split)) for split in SPLITS],
        "speech": [len(recordings(split)) for split in SPLITS],
        "scenes": [len(scenes(split)) for split in SPLITS],
    }


def test_the_examples_in_the_readme_are_in_the_test_files():
    quoted = re.findall(r"^> (.+)$", (DATA / "README.md").read_text("utf-8"), re.MULTILINE)
    pairs = zip(lines("translation/test.en"), lines("translation/test.de"), strict=True)
    assert tuple(quoted[:2]) in set(pairs)
    assert tuple(quoted[2:4]) in {(mail["body"], mail["subject"]) for mail in mails("test")}
    assert set(quoted[4:6]) <= {row["text"] for row in recordings("test")}
    assert quoted[6:] in [row["captions"] for row in scenes("test")]


def test_no_english_sentence_occurs_twice():
    all_lines = [line for split in SPLITS for line in lines(f"translation/{split}.en")]
    assert len(all_lines) == len(set(all_lines))


def test_every_line_has_its_translation():
    for split in SPLITS:
        english, german = (lines(f"translation/{split}.{side}") for side in ("en", "de"))
        assert len(english) == len(german)
        assert [line[-1] for line in english] == [line[-1] for line in german]  # . or ?


def test_copying_the_source_scores_almost_nothing():
    metrics = pytest.importorskip("sacrebleu.metrics")
    english, german = lines("translation/test.en"), lines("translation/test.de")
    assert metrics.BLEU().corpus_score(english, [german]).score < 1


def test_translating_word_by_word_scores_little():
    """Even with the best German word for each English word, found in the training pairs."""
    metrics = pytest.importorskip("sacrebleu.metrics")
    seen: dict[str, dict[str, float]] = {}
    common: dict[str, int] = {}
    pairs = zip(lines("translation/train.en"), lines("translation/train.de"), strict=True)
    for english, german in pairs:
        for word in set(german.split()):
            common[word] = common.get(word, 0) + 1
        for word in set(english.split()):
            counts = seen.setdefault(word, {})
            for other in set(german.split()):
                counts[other] = counts.get(other, 0) + 1
    best = {
        word: max(counts, key=lambda other: counts[other] ** 2 / common[other])
        for word, counts in seen.items()
    }
    test, references = lines("translation/test.en"), lines("translation/test.de")
    outputs = [" ".join(best.get(word, word) for word in line.split()) for line in test]
    assert metrics.BLEU().corpus_score(outputs, [references]).score < 25


@pytest.mark.parametrize(
    ("english", "german"),
    [
        ("put the", "gestellt"),
        ("put the", "gelegt"),
        ("put the", "gehängt"),
        ("does not", "keinen"),
        ("thirty-five euros", "fünfunddreißig Euro"),
        ("half past seven", "halb acht"),
        ("The student who", "Der Student, der"),
    ],
)
def test_the_corpus_has_the_constructions_of_its_readme(english, german):
    pairs = zip(lines("translation/train.en"), lines("translation/train.de"), strict=True)
    assert any(english in source and german in target for source, target in pairs)


def test_german_inflection(monkeypatch):
    monkeypatch.syspath_prepend(str(DATA))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    from generators.translation import german, noun_phrases, words

    boy = words.parse_noun("boy", "der Junge, Jungen, weak")
    forms = [german.inflect_noun(boy, False, case) for case in german.CASES]
    assert forms == ["Junge", "Jungen", "Jungen", "Jungen"]
    house = words.parse_noun("house", "das Haus, Häuser")
    assert german.inflect_noun(house, False, "gen") == "Hauses"
    assert german.inflect_noun(house, True, "dat") == "Häusern"
    old = [("old", "alt")]
    table = {
        ("the", "der"): ["der alte Junge", "den alten Jungen", "dem alten Jungen"],
        ("a", "ein"): ["ein alter Junge", "einen alten Jungen", "einem alten Jungen"],
        ("our", "unser"): ["unser alter Junge", "unseren alten Jungen", "unserem alten Jungen"],
    }
    for article, expected in table.items():
        phrase = noun_phrases.noun_phrase(boy, article, old)
        assert [phrase.german(case) for case in ("nom", "acc", "dat")] == expected
    three = noun_phrases.noun_phrase(house, ("three", ""), old, plural=True)
    assert [three.german(case) for case in ("nom", "dat")] == [
        "drei alte Häuser",
        "drei alten Häusern",
    ]
    numbers = {1: "eins", 16: "sechzehn", 21: "einundzwanzig", 70: "siebzig", 300: "dreihundert"}
    assert {value: german.german_number(value) for value in numbers} == numbers


def test_unknown_words_in_test_subjects_can_be_copied_from_the_mail():
    known = {
        word for mail in mails("train") for word in re.findall(r"\w+", " ".join(mail.values()))
    }
    unseen = 0
    for mail in mails("test"):
        new = [word for word in re.findall(r"\w+", mail["subject"]) if word not in known]
        assert all(word in mail["body"] for word in new)
        unseen += bool(new)
    assert unseen > 0.6 * len(mails("test"))


def test_no_two_splits_share_an_invented_name():
    # the place in both of these templates is always an invented one
    place = re.compile(r"(?:weather in|[a-z] for) ([A-Z]\w+) (?:was lovely|arrived)")
    train, validation, test = (
        {name for mail in mails(split) for name in place.findall(mail["body"])} for split in SPLITS
    )
    assert min(len(train), len(validation), len(test)) > 20
    assert not train & validation | train & test | validation & test


def test_no_two_splits_share_a_sentence_or_a_voice():
    texts = [row["text"] for split in SPLITS for row in recordings(split)]
    assert len(texts) == len(set(texts))
    train, validation, test = (
        {row["speaker"].split("+")[1] for row in recordings(split)} for split in SPLITS
    )
    assert not train & validation | train & test | validation & test


def test_every_word_and_accent_in_evaluation_occurs_in_training():
    train = recordings("train")
    words = {word for row in train for word in row["text"].split()}
    accents = {row["speaker"].split("+")[0] for row in train}
    for row in recordings("validation") + recordings("test"):
        assert set(row["text"].split()) <= words
        assert row["speaker"].split("+")[0] in accents


def test_every_recording_exists_and_has_the_stated_length():
    soundfile = pytest.importorskip("soundfile")
    rows = [row for split in SPLITS for row in recordings(split)]
    files = {path.relative_to(DATA / "speech") for path in (DATA / "speech/audio").iterdir()}
    assert files == {Path(row["audio"]) for row in rows}
    for row in rows:
        header = soundfile.info(DATA / "speech" / row["audio"])
        assert (header.samplerate, header.channels) == (8_000, 1)
        assert header.frames / header.samplerate == row["seconds"]
        assert 0.5 < row["seconds"] < 3.5


def test_three_recordings_are_reproduced_exactly(monkeypatch):
    pytest.importorskip(
        "espeakng_loader", reason="only making speech needs it: pip install espeakng-loader"
    )
    if not sys.platform.startswith("linux"):
        pytest.skip("espeak-ng gives other samples on other systems; the speech was made on Linux")
    soundfile = pytest.importorskip("soundfile")
    pytest.importorskip("soxr")
    monkeypatch.syspath_prepend(str(DATA))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    from generators.speech import corpus as speech

    for split, utterances in speech.plan_utterances().items():
        utterance = utterances[len(utterances) // 2]
        path = DATA / "speech/audio" / f"{utterance.id}.flac"
        shipped_samples, _ = soundfile.read(path, dtype="int16")
        recording = speech.make_recording(utterance.sentence)
        assert (recording == shipped_samples).all(), (split, utterance)


@pytest.fixture(scope="module")
def composed_scenes() -> list[tuple[str, str, Any, list[str]]]:
    """Compose all scenes: split, id, scene and captions."""
    pytest.importorskip("PIL.Image", reason="only making and reading images needs pillow")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(DATA))
        patch.setattr(sys, "dont_write_bytecode", True)
        return list(importlib.import_module("generators.scenes.corpus").captioned_scenes())


def test_scenes_are_reproduced_with_the_same_pixels_captions_and_boxes(composed_scenes):
    pillow = importlib.import_module("PIL.Image")
    generator = importlib.import_module("generators.scenes.corpus")
    rows = {row["id"]: row for split in SPLITS for row in scenes(split)}
    names = []
    for _, name, scene, captions in composed_scenes:
        names.append(name)
        image, boxes = generator.draw(scene)
        row = rows[name]
        assert row["captions"] == captions
        assert [tuple(thing["box"]) for thing in row["objects"]] == boxes
        with pillow.open(DATA / "scenes" / row["image"]) as shipped_image:
            assert shipped_image.tobytes() == image.tobytes(), name
    assert sorted(names) == sorted(rows)
    files = {path.name for path in (DATA / "scenes/images").iterdir()}
    assert files == {f"{name}.png" for name in rows}


def test_every_evaluation_image_has_a_combination_that_no_training_image_has(composed_scenes):
    generator = importlib.import_module("generators.scenes.corpus")
    seen: dict[str, list[set[Any]]] = {split: [] for split in SPLITS}
    for split, _, scene, _ in composed_scenes:
        seen[split].append(generator.combinations(scene))
    trained = set().union(*seen["train"])
    assert all(not parts <= trained for parts in seen["validation"] + seen["test"])
    validated = set().union(*seen["validation"])
    assert all(not parts <= trained | validated for parts in seen["test"])


def test_every_word_in_evaluation_captions_occurs_in_training():
    words = {
        split: {word for row in scenes(split) for text in row["captions"] for word in text.split()}
        for split in SPLITS
    }
    assert words["validation"] | words["test"] <= words["train"]
    assert len(words["train"]) < 60


def test_every_scene_has_five_captions_that_name_its_objects():
    for row in (row for split in SPLITS for row in scenes(split)):
        assert len(set(row["captions"])) == 5
        for caption in row["captions"]:
            for thing in row["objects"]:
                assert re.search(rf"\b{thing['name']}(s|es)?\b", caption), row["id"]


def test_objects_in_scenes_are_small_and_do_not_overlap():
    for row in (row for split in SPLITS for row in scenes(split)):
        boxes = [thing["box"] for thing in row["objects"]]
        for index, (left, top, right, bottom) in enumerate(boxes):
            assert 0 <= left < right <= 128
            assert 0 <= top < bottom <= 128
            assert 0.01 < (right - left) * (bottom - top) / 128**2 < 0.08  # as data/README.md says
            for other in boxes[:index]:
                beside = right <= other[0] or other[2] <= left
                assert beside or bottom <= other[1] or other[3] <= top, row["id"]


def test_the_attention_probe_measures_uniform_and_pointed_attention(monkeypatch):
    pytest.importorskip("PIL.Image")
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    probe = importlib.import_module("probe_scenes")
    mask = probe.box_mask([(32, 0, 64, 16), (100, 100, 128, 128)], (128, 128))
    uniform = np.full((7, 7), 1 / 49)
    assert probe.mass_on(mask, uniform) == pytest.approx(mask.mean())
    point = np.zeros((4, 4))
    point[0, 1] = 1.0  # 32 x 32 pixels, half of them in the first box
    assert probe.mass_on(mask, point) == pytest.approx(0.5)
    assert not probe.points_at(mask, point)
    point = np.zeros((8, 8))
    point[0, 2] = 1.0
    assert probe.mass_on(mask, point) == pytest.approx(1.0)
    assert probe.points_at(mask, point)


def test_the_attention_probe_matches_nouns_by_number_and_colour(monkeypatch):
    pytest.importorskip("PIL.Image")
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    probe = importlib.import_module("probe_scenes")
    objects = [
        {"name": "red cross", "box": [0, 0, 64, 64]},
        {"name": "blue cross", "box": [64, 64, 128, 128]},
    ]
    words = ("two", "blue", "crosses", "above", "a", "green", "star", "and", "crosses")
    weights = np.zeros((len(words), 4))
    weights[:, 3] = 1.0
    record = AttentionRecord("photo", "a.png", (), words, weights, Grid(2, 2))
    coloured, either = probe.noun_attention(0, record, objects, (128, 128))
    assert (coloured.mass, coloured.area) == (1.0, 0.25)
    assert (either.mass, either.area) == (1.0, 0.5)
    assert probe.singular("crosses", {"cross", "star"}) == "cross"
    assert probe.singular("green", {"cross", "star"}) is None


@pytest.mark.parametrize("recipe", ["translation", "summarization", "asr"])
def test_the_bound_on_sources_leaves_out_no_row_of_the_corpus_of_its_recipe(recipe):
    pytest.importorskip("multiattn_text")
    pytest.importorskip("multiattn_audio")
    host = load_host()
    settings = load_recipe(recipe, host=host)
    splits = Splits(open_corpus(settings.corpus, host, shipped("data")), settings)
    processors = fit_processors(settings.sources, settings.target, host, splits, None)
    train = Dataset.training(
        splits, processors.readers, processors.tokenizer, settings.training, settings.seed
    )
    assert settings.training.max_source.keys() == settings.sources.keys()
    assert train.report.too_long == {}
