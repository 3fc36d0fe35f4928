"""Reads a text as token ids."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor
from torch.nn.utils.rnn import pad_sequence

from multiattn import EOS, PAD, Tokenizer, TokenizerSettings

DEFAULT_TOKENIZER = TokenizerSettings()


@dataclass(frozen=True)
class TextSpec:
    """What an encoder must know about its input.

    vocabulary_size: number of different ids.
    joint: whether the ids are those of the target's tokenizer.
    """

    vocabulary_size: int
    joint: bool = False


class Text:
    """Reads a text as the ids of its tokens, followed by EOS.

    tokenizer: settings of a tokenizer for this source, or ``target`` to share the target's
        (*joint*: it is trained on these texts too, and the decoder may copy from this source).
    """

    def __init__(
        self, *, tokenizer: TokenizerSettings | Literal["target"] = DEFAULT_TOKENIZER
    ) -> None:
        self.joint = tokenizer == "target"
        self._settings = tokenizer
        self._tokenizer: Tokenizer | None = None

    def fit(self, values: Iterable[str], target: Tokenizer) -> None:
        """Train a tokenizer on the training texts, or keep the target's."""
        if isinstance(self._settings, TokenizerSettings):
            self._tokenizer = Tokenizer.train(values, self._settings)
        else:
            self._tokenizer = target

    def save(self, folder: Path) -> None:
        """Write ``tokenizer.json``, unless the tokenizer is the target's."""
        if not self.joint:
            self.tokenizer.save(folder / "tokenizer.json")

    def load(self, folder: Path, target: Tokenizer) -> None:
        """Load what ``save`` wrote, or keep the target's tokenizer."""
        self._tokenizer = target if self.joint else Tokenizer.load(folder / "tokenizer.json")

    @property
    def spec(self) -> TextSpec:
        """The specification from which the encoder is built."""
        return TextSpec(self.tokenizer.size, self.joint)

    @property
    def random(self) -> bool:
        """Whether reading is random, because the tokenizer samples subwords."""
        return self.tokenizer.settings.sampling > 0

    def measure(self, value: str) -> int:
        """Count the ids, including EOS. With subword sampling a text may have more."""
        return len(self.tokenizer.encode(value)) + 1

    def read(self, value: str, generator: Generator | None = None) -> NDArray[np.int64]:
        """Encode a text: (L,) ids, the last one EOS.

        A generator is given in training; the tokenizer samples subwords with it.
        """
        sampler = None
        if generator is not None:
            seed = torch.randint(2**62, (), generator=generator)
            sampler = random.Random(int(seed))  # noqa: S311
        return np.array([*self.tokenizer.encode(value, sampler), EOS], np.int64)

    def collate(self, items: Sequence[NDArray[np.int64]]) -> tuple[Tensor, Tensor]:
        """Pad a batch of texts: ids (B, L), lengths (B,)."""
        lengths = torch.tensor([len(item) for item in items])
        ids = [torch.from_numpy(item) for item in items]
        return pad_sequence(ids, batch_first=True, padding_value=PAD), lengths

    def labels(self, value: str) -> list[str]:
        """Name each slot: the subwords of the text, then EOS."""
        return self.tokenizer.pieces([*self.tokenizer.encode(value), EOS])

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer, once the reader is fitted or loaded."""
        assert self._tokenizer is not None, "fit or load the reader before it reads"  # noqa: S101
        return self._tokenizer
