"""Conformance checks of encoders whose first part may be frozen, and of what they say of sizes."""

from __future__ import annotations

from typing import Any
from unittest import SkipTest

import torch
from torch import Tensor

from multiattn.engine.memory import Memory
from multiattn.engine.model import FeatureEncoder, SlotCountingEncoder
from multiattn.registry.host import Component, Host
from multiattn.testing.encoders import encoder_of, example_of, parts
from multiattn.testing.fixtures import build, expect, expect_close
from multiattn.testing.readers import example_reader


def features_and_the_rest_equal_the_encoder(host: Host, row: Component) -> None:
    """``forward`` is ``features``, then ``forward_features``: a cache changes no memory."""
    encoder = encoder_of(host, row)
    if not isinstance(encoder, FeatureEncoder):
        return
    inputs, lengths = example_of(encoder)
    cached: Memory = encoder.forward_features(encoder.features(inputs, lengths))
    whole: Memory = encoder(inputs, lengths)  # type: ignore[operator]
    sentence = "expected forward to equal forward_features(features(...))"
    for actual, wanted in zip(parts(cached), parts(whole), strict=True):
        expect_close(actual, wanted, sentence)
    expect(torch.equal(cached.mask, whole.mask), f"{sentence}, got another mask")


def frozen_features_learn_nothing(host: Host, row: Component) -> None:
    """With ``frozen = True`` no parameter that is trained has a part in the features."""
    encoder = _frozen(host, row)
    if encoder is None:
        return
    encoder.train()
    features: Tensor = encoder.features(*example_of(encoder))
    expect(
        not features.requires_grad,
        "expected features without a gradient, as the encoder says that they are frozen, got "
        "features that depend on parameters to be trained; set requires_grad_(False) for these, "
        "or frozen = False",
    )


def frozen_features_are_the_same_in_training(host: Host, row: Component) -> None:
    """What is frozen neither drops out nor normalises by the batch: it is cached once for all."""
    encoder = _frozen(host, row)
    if encoder is None:
        return
    inputs, lengths = example_of(encoder)
    with torch.no_grad():
        wanted = encoder.features(inputs, lengths)
        encoder.train()
        actual = encoder.features(inputs, lengths)
    expect_close(
        actual.double(),
        wanted.double(),
        "expected the features of a frozen part to be the same in training mode; override train so "
        "that this part stays in evaluation mode",
    )


def _frozen(host: Host, row: Component) -> Any:
    """The encoder, if it says that its features are frozen, else None."""
    encoder: Any = encoder_of(host, row)
    return encoder if isinstance(encoder, FeatureEncoder) and encoder.frozen else None


def slots_counts_the_slots_of_the_memory(host: Host, row: Component) -> None:
    """``slots(size)`` is at least as many as the memory has, and few more; ``size`` as measured.

    Without it nobody learns before training that an output does not fit a shortened memory.
    """
    encoder = encoder_of(host, row)
    memory_length = _slots(encoder, *example_of(encoder))
    if not isinstance(encoder, SlotCountingEncoder):
        lengths = example_of(encoder)[1].tolist()
        shorter = any(own < length for own, length in zip(memory_length, lengths, strict=True))
        expect(
            not shorter,
            f"expected a method slots(size) of an encoder that makes {memory_length} slots of "
            f"inputs of lengths {lengths}, got none; give it one",
        )
        return
    consumes = getattr(row.record, "consumes", "")
    for other in host.records("reader"):
        if getattr(other.record, "produces", "") == consumes:
            _expect_slots_of_values(host, row, other)
            return
    raise SkipTest(f"no reader produces {consumes!r}, so that the sizes of inputs are not known")


def _expect_slots_of_values(host: Host, row: Component, reader: Component) -> None:
    """The slots of what the reader reads, against the count for what it measures."""
    with example_reader(host, reader) as example:
        encoder = build(host, "encoder", row.full_name, example.reader.spec)
        for value in example.values:
            inputs, lengths = example.reader.collate([example.reader.read(value)])
            inputs = inputs.double() if inputs.is_floating_point() else inputs
            (actual,) = _slots(encoder, inputs, lengths)
            size = example.reader.measure(value)
            counted = encoder.slots(size)
            expect(
                actual <= counted <= actual + max(2, actual // 10),
                f"expected slots({size}) to be the {actual} slots of the memory of {value!r}, or "
                f"a few more, got {counted}",
            )


def _slots(encoder: Any, inputs: Tensor, lengths: Tensor) -> list[int]:
    with torch.no_grad():
        counts: list[int] = encoder(inputs, lengths).mask.sum(1).tolist()
    return counts


CHECKS = (
    features_and_the_rest_equal_the_encoder,
    frozen_features_learn_nothing,
    frozen_features_are_the_same_in_training,
)
SLOT_CHECKS = (slots_counts_the_slots_of_the_memory,)
