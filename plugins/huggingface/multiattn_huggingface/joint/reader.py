"""Reads a text as the pieces of the target's tokenizer and as those of a pretrained model.

Letters: S pieces of the target's tokenizer, P of the model's, L the greater of both, B texts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import PositiveInt
from torch import Generator, Tensor
from torch.nn.utils.rnn import pad_sequence

from multiattn import EOS, UNK, Tokenizer, UserError
from multiattn_huggingface.families import TextModelSpec
from multiattn_huggingface.text_reader import TextReader

NOTHING = -1  # in a row of the tensor
ALIGNABLE = ("bpe", "unigram", "char")  # kinds whose ids spell characters, an unknown one each


@dataclass(frozen=True)
class JointTextSpec(TextModelSpec):
    """As ``TextModelSpec``, with the number of pieces of the target's tokenizer."""

    target_size: int = 16


class JointTextReader(TextReader):
    """Reads a text as ids of the target's tokenizer, which is trained on it too, beside a model's.

    model, revision, max_tokens: see ``hf-text``; what is cut off is cut off for the model alone.
    """

    joint = True

    def __init__(
        self, *, model: str, revision: str = "main", max_tokens: PositiveInt | None = None
    ) -> None:
        super().__init__(model=model, revision=revision, max_tokens=max_tokens)
        self._target: Tokenizer

    def fit(self, values: Iterable[str], target: Tokenizer) -> None:
        """Keep the target's tokenizer and open the model's. Raises UserError."""
        super().fit(values, target)
        self._take(target)

    def save(self, folder: Path) -> None:
        """Copy what the model's reader needs, and the target's tokenizer: features depend on it."""
        super().save(folder)
        self._target.save(folder / "target.json")

    def load(self, folder: Path, target: Tokenizer) -> None:
        """Open what ``save`` wrote."""
        super().load(folder, target)
        self._take(target)

    @property
    def spec(self) -> JointTextSpec:
        """What the encoder is built from."""
        config = json.dumps(self._config)
        return JointTextSpec(config, self._model, self._revision, self._target.size)

    def measure(self, value: str) -> int:
        """Count the target's pieces, EOS included. Raises UserError if the model's are too many."""
        super().measure(self._target.normalised(value))
        return len(self._symbols(value))

    def read(self, value: str, generator: Generator | None = None) -> NDArray[np.int64]:
        """Read a text as (L, 4); -1 where there is nothing.

        In each row: a piece of the model; a piece of the target's tokenizer; the first of the
        model's pieces that it shares characters with, and the position after the last.
        """
        line, symbols = self._target.normalised(value), self._symbols(value)
        encoded = self._encode(line, return_offsets_mapping=True)
        pieces = encoded["input_ids"]
        rows = np.full((max(len(pieces), len(symbols)), 4), NOTHING, np.int64)
        rows[: len(pieces), 0], rows[: len(symbols), 1] = pieces, symbols
        offsets = np.array(encoded["offset_mapping"], np.int64)
        rows[: len(symbols), 2:] = _shared_pieces(self._ends(symbols), offsets)
        return rows

    def collate(self, items: Sequence[NDArray[np.int64]]) -> tuple[Tensor, Tensor]:
        """Pad a batch of texts: (B, L, 4), lengths (B,)."""
        lengths = torch.tensor([len(item) for item in items])
        rows = [torch.from_numpy(item) for item in items]
        return pad_sequence(rows, batch_first=True, padding_value=NOTHING), lengths

    def labels(self, value: str) -> list[str]:
        """Name each slot: the pieces of the text, then EOS."""
        return self._target.pieces(self._symbols(value))

    def _symbols(self, value: str) -> list[int]:
        return [*self._target.encode(value), EOS]

    def _ends(self, symbols: Sequence[int]) -> NDArray[np.int64]:
        """Where each piece ends in the text, in characters; EOS is empty, at the end."""
        spellings = self._target.spellings
        lengths = [1 if symbol == UNK else len(spellings[symbol]) for symbol in symbols]
        before = 0 if self._target.settings.kind == "char" else 1  # a space precedes the text
        return np.cumsum(lengths) - before

    def _take(self, target: Tokenizer) -> None:
        if target.settings.kind not in ALIGNABLE:
            raise UserError(
                f"expected a target tokenizer of a kind {', '.join(ALIGNABLE)} for the reader "
                f"hf-joint-text, got {target.settings.kind}; change target.tokenizer.kind"
            )
        self._target = target


def _shared_pieces(ends: NDArray[np.int64], offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """The range of the model's pieces that share characters with each slot: (S, 2).

    ends: (S,) of the slots. offsets: (P, 2) first character and end of the model's pieces; special
    tokens, at either end, are empty.
    """
    real = np.flatnonzero(offsets[:, 0] < offsets[:, 1])  # in one stretch
    starts, stops = offsets[real].T
    before = np.concatenate([[0], ends[:-1]])
    first = np.searchsorted(stops, before, "right")
    end = np.searchsorted(starts, ends, "left")
    skipped = real[0] if len(real) else 0
    return np.stack([first, np.maximum(first, end)], 1) + skipped
