"""Conformance checks of encoders whose first part may be frozen, and of what they say of sizes."""

from __future__ import annotations

from typing import Any
from unittest import SkipTest

import torch
from torch import Tensor

from multiattn.engine.memory import Memory, length_mask
from multiattn.engine.model import (
    FeatureEncoder,
    SequenceFeatureEncoder,
    SlotCountingEncoder,
)
from multiattn.registry.host import Component, Host
from multiattn.testing.encoders import encoder_of, example_of
from multiattn.testing.fixtures import build, expect, expect_close
from multiattn.testing.readers import example_reader

FEATURE_ENCODERS = (FeatureEncoder, SequenceFeatureEncoder)


def features_and_the_rest_equal_the_encoder(host: Host, row: Component) -> None:
    """``forward`` is the features, then the rest: a cache changes no memory."""
    encoder = encoder_of(host, row)
    if not isinstance(encoder, FEATURE_ENCODERS):
        return
    inputs, lengths = example_of(encoder)
    cached = _memory_of_features(encoder, _features(encoder, inputs, lengths))
    whole: Memory = encoder(inputs, lengths)  # type: ignore[operator]
    names = _names(encoder)
    sentence = f"expected forward to equal {names[1]} of what {names[0]} gives"
    slots = min(cached.mask.size(1), whole.mask.size(1))
    expect(
        torch.equal(cached.mask[:, :slots], whole.mask[:, :slots])
        and not cached.mask[:, slots:].any()
        and not whole.mask[:, slots:].any(),
        f"{sentence}, got another mask",
    )
    expect_close(cached.values[:, :slots], whole.values[:, :slots], sentence)
    if whole.summary is not None and cached.summary is not None:
        expect_close(cached.summary, whole.summary, f"{sentence}, the summary too")


def frozen_features_learn_nothing(host: Host, row: Component) -> None:
    """With ``frozen = True`` no parameter that is trained has a part in the features."""
    encoder = _frozen(host, row)
    if encoder is None:
        return
    features, *_ = _features(encoder.train(), *example_of(encoder))
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
    with torch.no_grad():
        wanted, *_ = _features(encoder, *example_of(encoder))
        actual, *_ = _features(encoder.train(), *example_of(encoder))
    expect_close(
        actual.double(),
        wanted.double(),
        "expected the features of a frozen part to be the same in training mode; override train so "
        "that this part stays in evaluation mode",
    )


def _frozen(host: Host, row: Component) -> Any:
    """The encoder, if it says that its features are frozen, else None."""
    encoder: Any = encoder_of(host, row)
    return encoder if isinstance(encoder, FEATURE_ENCODERS) and encoder.frozen else None


def _names(encoder: Any) -> tuple[str, str]:
    """The methods for the features and for the rest."""
    if isinstance(encoder, SequenceFeatureEncoder):
        return "sequence_features", "forward_sequence"
    return "features", "forward_features"


def _features(encoder: Any, inputs: Tensor, lengths: Tensor) -> tuple[Tensor, ...]:
    """Features (B, …); or features (B, S, …), zero past each length as in a cache, and lengths."""
    made = getattr(encoder, _names(encoder)[0])(inputs, lengths)
    if not isinstance(encoder, SequenceFeatureEncoder):
        return (made,)
    features, counts = made
    past = ~length_mask(counts, features.size(1))
    return features.masked_fill(past.reshape(*past.shape, *[1] * (features.dim() - 2)), 0), counts


def _memory_of_features(encoder: Any, features: tuple[Tensor, ...]) -> Memory:
    memory: Memory = getattr(encoder, _names(encoder)[1])(*features)
    return memory


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
