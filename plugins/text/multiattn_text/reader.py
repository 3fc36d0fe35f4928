"""Text -> ids with an end. It refuses to know how ids are encoded, or who made the text."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Generator, Tensor
from torch.nn.utils.rnn import pad_sequence

from multiattn.data.tokenizer import Tokenizer
from multiattn.recipe.settings import TokenizerSettings
from multiattn.symbols import EOS, PAD

OWN = TokenizerSettings()


@dataclass(frozen=True)
class TextSpec:
    """What an encoder must know of a text: how many ids, and whether they are the target's."""

    vocabulary_size: int
    joint: bool = False


class Text:
    """Reads a text as the ids of a tokenizer, closed by the end sign.

    tokenizer: settings of a tokenizer of its own, or ``target`` to share the target's (*joint*:
        the texts also train that one, and the decoder may copy from this source).
    """

    def __init__(self, *, tokenizer: TokenizerSettings | Literal["target"] = OWN) -> None:
        self.joint = tokenizer == "target"
        self._settings = tokenizer
        self._tokenizer: Tokenizer | None = None

    def fit(self, values: Iterable[str], target: Tokenizer) -> None:
        """Learn a tokenizer from training values, or keep the target's."""
        if isinstance(self._settings, TokenizerSettings):
            self._tokenizer = Tokenizer.train(values, self._settings)
        else:
            self._tokenizer = target

    def save(self, folder: Path) -> None:
        """Write ``tokenizer.json``; a joint reader has nothing of its own to write."""
        if not self.joint:
            self.tokenizer.save(folder / "tokenizer.json")

    def load(self, folder: Path, target: Tokenizer) -> None:
        """Read what ``save`` wrote, or keep the target's tokenizer."""
        self._tokenizer = target if self.joint else Tokenizer.load(folder / "tokenizer.json")

    @property
    def spec(self) -> TextSpec:
        """What the encoder is built from."""
        return TextSpec(self.tokenizer.size, self.joint)

    @property
    def random(self) -> bool:
        """Whether a text may be read in another way every time."""
        return self.tokenizer.settings.sampling > 0

    def measure(self, value: str) -> int:
        """Count the ids, the end sign among them. Subword sampling may read it longer."""
        return len(self.tokenizer.encode(value)) + 1

    def read(self, value: str, generator: Generator | None = None) -> Tensor:
        """Encode a text: (L,) ids, the last one EOS.

        A generator means training; it chooses the subwords where the tokenizer samples them.
        """
        chooser = None
        if generator is not None:
            seed = torch.randint(2**62, (), generator=generator)
            chooser = random.Random(int(seed))  # noqa: S311
        return torch.tensor([*self.tokenizer.encode(value, chooser), EOS])

    def collate(self, items: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Pad ids to a batch: (B, L), lengths (B,)."""
        lengths = torch.tensor([len(item) for item in items])
        return pad_sequence(list(items), batch_first=True, padding_value=PAD), lengths

    def labels(self, value: str) -> list[str]:
        """Name each slot: the pieces of the text, then the end sign."""
        return self.tokenizer.pieces([*self.tokenizer.encode(value), EOS])

    @property
    def tokenizer(self) -> Tokenizer:
        """What turns a text into ids, once the reader was fitted or loaded."""
        assert self._tokenizer is not None, "fit or load the reader before it reads"  # noqa: S101
        return self._tokenizer
