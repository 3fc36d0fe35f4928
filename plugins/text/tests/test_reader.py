"""The text reader: ids, end of sequence, padding, slot labels, sampling, saving."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from multiattn import EOS, PAD, Tokenizer
from multiattn.recipe.settings import TokenizerSettings
from multiattn_text.reader import Text, TextSpec

TEXTS = ["the dogs and the cats", "two cats are dogs", "a cat"]
SETTINGS = TokenizerSettings(size=60)


@pytest.fixture
def target() -> Tokenizer:
    return Tokenizer.train(["der Hund und die Katzen"], SETTINGS)


@pytest.fixture
def reader(target: Tokenizer) -> Text:
    reader = Text(tokenizer=SETTINGS)
    reader.fit(TEXTS, target)
    return reader


def test_a_text_is_read_as_its_tokens_and_eos(reader):
    own = Tokenizer.train(TEXTS, SETTINGS)
    ids = reader.read("two  dogs")
    assert ids.dtype == np.int64
    assert ids.tolist() == [*own.encode("two dogs"), EOS]
    assert reader.spec == TextSpec(own.size, joint=False)
    assert not reader.joint


def test_every_slot_is_counted_and_labelled(reader):
    for text in TEXTS:
        labels = reader.labels(text)
        assert len(reader.read(text)) == reader.measure(text) == len(labels)
        assert "".join(labels) == "▁" + text.replace(" ", "▁") + "</s>"


def test_an_empty_text_is_just_eos(reader):
    assert reader.read("").tolist() == [EOS]
    assert reader.measure("") == 1


def test_a_joint_reader_uses_the_ids_of_the_target(target):
    reader = Text(tokenizer="target")
    assert reader.joint
    reader.fit(TEXTS, target)
    assert reader.spec == TextSpec(target.size, joint=True)
    assert reader.read("der Hund").tolist() == [*target.encode("der Hund"), EOS]


@pytest.mark.parametrize("joint", [False, True])
def test_a_loaded_reader_reads_like_the_saved_one(tmp_path, target, joint):
    settings = "target" if joint else SETTINGS
    reader, loaded = Text(tokenizer=settings), Text(tokenizer=settings)
    reader.fit(TEXTS, target)
    reader.save(tmp_path)
    loaded.load(tmp_path, target)
    assert (tmp_path / "tokenizer.json").exists() is not joint
    assert loaded.spec == reader.spec
    assert [loaded.read(text).tolist() for text in TEXTS] == [
        reader.read(text).tolist() for text in TEXTS
    ]


def test_ids_decode_to_the_text(reader):
    text = "a green hat"
    assert reader.tokenizer.decode(reader.read(text).tolist()) == text


def test_subwords_are_sampled_only_in_training_and_reproducibly(target):
    reader = Text(tokenizer=SETTINGS.model_copy(update={"sampling": 0.5}))
    reader.fit(TEXTS, target)
    plain = reader.read(TEXTS[0]).tolist()
    assert reader.read(TEXTS[0]).tolist() == plain
    draws = [
        [tuple(reader.read(TEXTS[0], torch.Generator().manual_seed(seed))) for seed in range(9)]
        for _ in range(2)
    ]
    assert draws[0] == draws[1]
    assert len(set(draws[0])) > 3


def test_a_batch_is_padded_at_the_end_of_each_text(reader):
    items = [reader.read(text) for text in TEXTS]
    inputs, lengths = reader.collate(items)
    assert lengths.tolist() == [len(item) for item in items]
    assert inputs.shape == (3, max(lengths))
    for row, item in zip(inputs, items, strict=True):
        assert row[: len(item)].tolist() == item.tolist()
        assert (row[len(item) :] == PAD).all()
