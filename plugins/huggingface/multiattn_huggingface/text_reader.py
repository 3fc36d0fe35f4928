"""Reads a text with the tokenizer of a pretrained model."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import PositiveInt
from torch import Generator, Tensor
from torch.nn.utils.rnn import pad_sequence

from multiattn import Tokenizer, UserError
from multiattn_huggingface.families import TextModelSpec, check_family
from multiattn_huggingface.model_files import (
    check_vocabulary,
    copy_settings,
    find_settings,
    read_json,
)

NO_LIMIT = 1_000_000  # tokenizers without a limit state a number above this
OFFSET_POSITIONS = ("roberta", "xlm-roberta", "mpnet")  # count positions from the padding's id on


class TextReader:
    """Reads a text as the ids of a model's own tokenizer, with its special tokens.

    model: a folder, absolute or below the data root, or a name on the Hugging Face hub.
    revision: branch, tag or commit of a model on the hub.
    max_tokens: a longer text loses its end; None: it is refused where the model has a limit.
    """

    random = False

    def __init__(
        self, *, model: str, revision: str = "main", max_tokens: PositiveInt | None = None
    ) -> None:
        self._model = model
        self._revision = revision
        self._max_tokens = max_tokens
        self._data_root = Path()
        self._folder = Path()
        self._config: Mapping[str, Any] = {}
        self._pieces: Any = None

    def start_from(self, data_root: Path) -> None:
        """Look for the model below this folder; called before ``fit``."""
        self._data_root = data_root

    def fit(self, values: Iterable[str], target: Tokenizer) -> None:
        """Open the model's tokenizer; nothing is learned. Raises UserError."""
        self._open(find_settings(self._model, self._revision, self._data_root))
        last = max(self._pieces.get_vocab().values(), default=0)
        embeddings = self._config.get("vocab_size")
        if embeddings is not None and last >= embeddings:
            raise UserError(
                f"expected a tokenizer with ids below {embeddings}, the embeddings that "
                f"{self._model} has, got one with ids up to {last}; take the tokenizer and the "
                "config.json of one model"
            )

    def save(self, folder: Path) -> None:
        """Copy the model's configuration and tokenizer."""
        copy_settings(self._folder, folder)

    def load(self, folder: Path, target: Tokenizer) -> None:
        """Open what ``save`` wrote."""
        self._open(folder)

    @property
    def spec(self) -> TextModelSpec:
        """What the encoder is built from."""
        return TextModelSpec(json.dumps(self._config), self._model, self._revision)

    def measure(self, value: str) -> int:
        """Count the ids, special ones included. Raises UserError for a text that is too long."""
        return len(self._ids(value))

    def read(self, value: str, generator: Generator | None = None) -> NDArray[np.int64]:
        """Encode a text: (L,) ids. Raises UserError for a text that is too long."""
        return np.array(self._ids(value), np.int64)

    def collate(self, items: Sequence[NDArray[np.int64]]) -> tuple[Tensor, Tensor]:
        """Pad a batch of texts with the model's padding: ids (B, L), lengths (B,)."""
        lengths = torch.tensor([len(item) for item in items])
        ids = [torch.from_numpy(item) for item in items]
        padding = self._pieces.pad_token_id
        return pad_sequence(ids, batch_first=True, padding_value=padding), lengths

    def example_values(self, folder: Path) -> list[str]:
        """Three texts, one of which has letters that few models know."""
        return ["a dog runs", "two birds", "naïve cats sat , quietly , on the old mat ."]

    def labels(self, value: str) -> list[str]:
        """Name each slot: a piece as it stands in the text, ``▁`` before a word's first one.

        Special tokens are in angle brackets, as label joining expects them.
        """
        encoded = self._encode(value, return_offsets_mapping=True, return_special_tokens_mask=True)
        names = self._pieces.convert_ids_to_tokens(encoded["input_ids"])
        labels: list[str] = []
        end = 0
        columns = (names, encoded["offset_mapping"], encoded["special_tokens_mask"])
        for name, (first, last), special in zip(*columns, strict=True):
            if special:
                labels.append(f"<{name.strip('[]<>').lower()}>" if name[0] == "[" else name)
                continue
            piece = value[max(first, end) : last]
            begins = piece[:1].isspace() or not value[:first].strip() or value[first - 1].isspace()
            opened = bool(labels) and labels[-1] == "▁"
            labels.append(("▁" if begins and not opened else "") + piece.strip())
            end = last
        return labels

    def _ids(self, value: str) -> list[int]:
        ids: list[int] = self._encode(value)["input_ids"]
        limit = self._limit()
        if self._max_tokens is None and limit is not None and len(ids) > limit:
            raise UserError(
                f"expected a text of at most {limit} pieces, which is all that {self._model} "
                f"takes, got one of {len(ids)} ({value[:30]!r} …); shorten it, or set max_tokens "
                f"of the reader to {limit}, so that longer texts lose their end"
            )
        return ids

    def _encode(self, value: str, **wanted: bool) -> Mapping[str, Any]:
        cut = self._max_tokens is not None
        encoded: Mapping[str, Any] = self._pieces(
            value, truncation=cut, max_length=self._max_tokens, verbose=False, **wanted
        )
        return encoded

    def _limit(self) -> int | None:
        """The pieces that the model takes, as its configuration and its tokenizer say."""
        stated = [self._positions(), self._pieces.model_max_length]
        return min((each for each in stated if each and each < NO_LIMIT), default=None)

    def _positions(self) -> int | None:
        """The positions for which the model has embeddings; None: any number."""
        positions: int | None = self._config.get("max_position_embeddings")
        if positions is not None and self._config["model_type"] in OFFSET_POSITIONS:
            return positions - int(self._config.get("pad_token_id", 1)) - 1
        return positions

    def _open(self, folder: Path) -> None:
        config = read_json(folder / "config.json")
        check_family(config, "text", self._model)
        self._pieces = _tokenizer(folder, self._model)
        self._folder, self._config = folder, config
        positions = self._positions()
        if self._max_tokens is not None and positions is not None and self._max_tokens > positions:
            raise UserError(
                f"expected max_tokens of at most {positions}, which is all that {self._model} "
                f"takes, got {self._max_tokens}; lower it"
            )


def _tokenizer(folder: Path, model: str) -> Any:
    """The tokenizer in a folder. Raises UserError for one that cannot be used."""
    from transformers import AutoTokenizer

    if "auto_map" in read_json(folder / "tokenizer_config.json"):
        raise UserError(
            f"expected a tokenizer that transformers itself implements, got that of {model}, which "
            "asks for code of its own (auto_map), and that is never run; choose another model"
        )
    check_vocabulary(folder)
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            folder, trust_remote_code=False, local_files_only=True
        )
    except Exception as error:  # many kinds, from files that are damaged or not there
        read_json(folder / "tokenizer.json")
        raise UserError(
            f"expected a tokenizer and a config.json that transformers can read in {folder}, got "
            f"{' '.join(str(error).split())}; copy both from where the model comes from"
        ) from error
    if not tokenizer.is_fast:
        raise UserError(
            f"expected tokenizer.json in {folder}, got a tokenizer in Python only; convert it with "
            "`AutoTokenizer.from_pretrained(…).save_pretrained(…)`"
        )
    if tokenizer.pad_token_id is None:
        raise UserError(
            f"expected a tokenizer with a padding token in {folder}, got none; name one as "
            "pad_token in tokenizer_config.json"
        )
    return tokenizer
