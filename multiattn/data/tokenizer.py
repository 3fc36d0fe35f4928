"""Convert text to ids and back: a thin layer over the ``tokenizers`` library.

Whitespace, and with ``unicode: nfc`` the form of letters, are normalised first. A space is then an
ordinary character at the start of a word's first piece (`` the``, `` transl``, ``ation``). No piece
has a space inside, so ``decode(encode(text)) == text`` for every normalised text whose characters
were seen in training, and for every normalised text at all with the kind ``byte``.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any, Self

import tokenizers
from tokenizers import Regex, models, pre_tokenizers, trainers

from multiattn.data.byte_pieces import (
    BYTES,
    bytes_of_pieces,
    escaped,
    shared_out,
    to_bytes,
    to_text,
)
from multiattn.data.subword_sampling import _CACHED_SEGMENTS, _BpeDropout, _UnigramSampling
from multiattn.errors import UserError, shown
from multiattn.files import write_json
from multiattn.recipe.settings import TokenizerSettings
from multiattn.symbols import UNK
from multiattn.unicode import normalise_unicode

# Spelled with a space inside, which no piece has, so that no text can encode to one of them.
_SPECIALS = ["< pad >", "< s >", "</ s >", "< unk >"]
_DISPLAYED = ["<pad>", "<s>", "</s>", "<unk>"]

# Each match is a segment that the model is trained on or applied to. Subwords never join letters
# and punctuation; an entity such as "&quot;", as the Moses tokeniser writes it, stays whole.
_SUBWORD_SEGMENT = (
    r" ?&#?[\p{L}\p{N}]+;| ?[\p{L}\p{M}\p{N}]+| ?[^ \p{L}\p{M}\p{N}]+"  # entity, word, the rest
)
_SEGMENTS = {"char": ".", "word": " [^ ]+"}  # of the other kinds: _SUBWORD_SEGMENT
_SAMPLED_KINDS = ("bpe", "byte", "unigram")


# The library's threads bring no speed-up here, and it warns whenever a data loader forks.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

_Sampler = Callable[[str, random.Random], Sequence[int]]


class Tokenizer:
    """A trained tokenizer. Ids 0 to 3 are padding, beginning, end and unknown.

    Training ``char``, ``word`` or ``bpe`` twice on the same texts gives identical files. Training
    ``unigram`` does not: the library's scores and pieces differ from process to process.
    """

    def __init__(self, library: tokenizers.Tokenizer, settings: TokenizerSettings) -> None:
        if settings.sampling and settings.kind not in _SAMPLED_KINDS:
            raise UserError(
                f"expected sampling 0 with the tokenizer kind {settings.kind!r}, which splits a "
                f"text in only one way, got {settings.sampling}; use bpe, byte or unigram, or "
                "remove it"
            )
        self.settings = settings
        self._library = library
        self._texts = _texts(library.get_vocab(), settings)
        self._best = lru_cache(_CACHED_SEGMENTS)(self._best_uncached)
        self._sampled = self._sampler()

    def __reduce__(self) -> tuple[type[Self], tuple[tokenizers.Tokenizer, TokenizerSettings]]:
        return type(self), (self._library, self.settings)

    @classmethod
    def train(cls, texts: Iterable[str], settings: TokenizerSettings) -> Self:
        """Learn a vocabulary of at most ``settings.size`` pieces, specials included.

        Raises UserError if there is no text, for a lone surrogate, or if ``size`` cannot hold every
        character (``bpe`` and ``unigram``; ``char`` and ``word`` leave out rare pieces) or every
        byte (``byte``).
        """
        lines = [line for text in texts if (line := _normalise(_require_utf8(text), settings))]
        if not lines:
            raise UserError(
                "expected at least one text to train a tokenizer on, got none; "
                "check the split and the field that the recipe names"
            )
        _check_size(settings, lines)
        model, trainer = _untrained(settings)
        library = tokenizers.Tokenizer(model)
        pattern = Regex(_SEGMENTS.get(settings.kind, _SUBWORD_SEGMENT))
        library.pre_tokenizer = pre_tokenizers.Split(pattern, "isolated")
        if settings.kind == "byte":
            as_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
            steps = [library.pre_tokenizer, as_bytes]
            library.pre_tokenizer = pre_tokenizers.Sequence(steps)
        library.train_from_iterator(lines, trainer)
        return cls(library, settings)

    @property
    def size(self) -> int:
        """The number of ids, specials included."""
        return len(self._texts)

    @property
    def vocabulary(self) -> tuple[str, ...]:
        r"""The readable form of every id, in order; a byte that is no character as ``\xff``."""
        if self.settings.kind != "byte":
            return tuple(self.pieces(range(self.size)))
        shown = (escaped(text).replace(" ", "▁") for text in self._texts[len(_DISPLAYED) :])
        return (*_DISPLAYED, *shown)

    def encode(self, text: str, generator: random.Random | None = None) -> list[int]:
        """Turn a text into ids, without BOS and EOS.

        A generator turns on subword sampling as set in ``settings.sampling``; the result depends
        only on the text and on the generator. Raises UserError for a lone surrogate.
        """
        line = _normalise(_require_utf8(text), self.settings)
        spans = self._library.pre_tokenizer.pre_tokenize_str(line)
        segments = [segment for segment, _ in spans]
        if generator is None or self._sampled is None:
            return [piece for segment in segments for piece in self._best(segment)]
        sampled = self._sampled
        return [piece for segment in segments for piece in sampled(segment, generator)]

    def decode(self, ids: Iterable[int]) -> str:
        """Turn ids into a text; padding, BOS and EOS add nothing to it.

        Bytes that are not UTF-8 are shown as U+FFFD.
        """
        text = "".join(self._texts[index] for index in ids)
        return " ".join((to_text(text) if self.settings.kind == "byte" else text).split())

    def pieces(self, ids: Iterable[int]) -> list[str]:
        """The readable form of each id: ``▁`` marks a word's start; specials are in brackets.

        A character whose bytes are in several pieces is shown with the first.
        """
        pieces = []
        for special, group in groupby(ids, key=lambda index: index < len(_DISPLAYED)):
            if special:
                pieces += [_DISPLAYED[index] for index in group]
            else:
                texts = [self._texts[index] for index in group]
                shown = shared_out(texts) if self.settings.kind == "byte" else texts
                pieces += [piece.replace(" ", "▁") for piece in shown]
        return pieces

    def normalised(self, text: str) -> str:
        """The text as the tokenizer reads it: white space, Unicode form and case."""
        return _normalise(text, self.settings).strip(" ")

    @property
    def spellings(self) -> tuple[str, ...]:
        """What each id adds to a string as ``spelling`` returns it; nothing for PAD, BOS, EOS."""
        return tuple(self._texts)

    def spelling(self, text: str) -> str:
        """The text as pieces spell it: normalised, with one space at its end if it had any.

        With the kind ``byte`` each character stands for one byte. Raises UserError for a lone
        surrogate.
        """
        line = self.normalised(_require_utf8(text))
        if line and text[-1:].isspace():
            line += " "
        return to_bytes(line) if self.settings.kind == "byte" else line

    def unknown_symbols(self, text: str) -> tuple[list[str], int]:
        """The symbols of a text that encode to UNK, in order, and the number of all its symbols.

        Symbols are words with the kind ``word``, else characters other than spaces.
        """
        words = self.normalised(text).split()
        symbols = words if self.settings.kind == "word" else [*"".join(words)]
        unknown = {symbol for symbol in set(symbols) if UNK in self.encode(symbol)}
        return [symbol for symbol in symbols if symbol in unknown], len(symbols)

    def words(self, ids: Iterable[int]) -> list[tuple[str, int, int]]:
        """Join subwords into words: (word, position of its first id, position after its last).

        The words joined by spaces are what ``decode`` returns. Ids that add nothing to a word
        (specials, the spaces of a ``char`` tokenizer) are outside every range or inside one.
        """
        words: list[tuple[str, int, int]] = []
        open_word = False
        for position, index in enumerate(ids):
            text = self._texts[index]
            open_word = open_word and not text.startswith(" ")
            letters = text.strip(" ")
            if letters and open_word:
                word, first, _ = words[-1]
                words[-1] = (word + letters, first, position + 1)
            elif letters:
                words.append((letters, position, position + 1))
                open_word = True
        if self.settings.kind == "byte":
            return [(to_text(word), first, end) for word, first, end in words]
        return words

    def save(self, path: Path) -> None:
        """Write one JSON file atomically. Raises UserError if it cannot be written."""
        library = json.loads(self._library.to_str())
        write_json(path, {"settings": self.settings.model_dump(), "library": library})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what ``save`` wrote. Raises UserError naming the file if it is anything else."""
        try:
            saved = json.loads(path.read_text(encoding="utf-8"))
            # before it was a setting, texts were left as they were
            settings = TokenizerSettings.model_validate({"unicode": "none", **saved["settings"]})
            library = tokenizers.Tokenizer.from_str(json.dumps(saved["library"]))
        except OSError as error:
            raise UserError(
                f"expected a tokenizer in {path}, got {error.strerror}; check the run folder"
            ) from error
        except (
            Exception
        ) as error:  # the library raises bare Exception for a file that it did not write
            raise UserError(
                f"expected a tokenizer written by multiattn in {path}, got something else; "
                "the file is damaged or from another version: restore it or train again"
            ) from error
        return cls(library, settings)

    def _best_uncached(self, segment: str) -> tuple[int, ...]:
        return tuple(token.id for token in self._library.model.tokenize(segment))

    def _sampler(self) -> _Sampler | None:
        if not self.settings.sampling:
            return None
        model = json.loads(self._library.to_str())["model"]
        if self.settings.kind == "unigram":
            return _UnigramSampling(model, self.settings.sampling, self._best)
        return _BpeDropout(model, self.settings.sampling)


def _normalise(text: str, settings: TokenizerSettings) -> str:
    text = text.lower() if settings.lowercase else text
    line = " ".join((normalise_unicode(text) if settings.unicode == "nfc" else text).split())
    return line if settings.kind == "char" or not line else f" {line}"


def _require_utf8(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UserError(
            f"expected valid Unicode text, got {shown(' '.join(text.split()))} with a lone "
            "surrogate; give it as UTF-8"
        ) from error
    return text


def _check_size(settings: TokenizerSettings, lines: Sequence[str]) -> None:
    """Raise UserError if the vocabulary cannot hold what each text is made of."""
    if settings.kind not in _SAMPLED_KINDS:
        return
    parts = BYTES if settings.kind == "byte" else len(set().union(*lines))
    needed = parts + len(_SPECIALS)
    if settings.size < needed:
        what = "byte" if settings.kind == "byte" else "character of the training text"
        raise UserError(
            f"expected a tokenizer size of at least {needed}, one piece for each {what} and "
            f"{len(_SPECIALS)} more, got {settings.size}; raise size"
        )


def _texts(vocabulary: dict[str, int], settings: TokenizerSettings) -> list[str]:
    """List what each id adds to a decoded text."""
    texts = sorted(vocabulary, key=vocabulary.__getitem__)
    if settings.kind == "byte":
        texts = bytes_of_pieces(texts)
    unknown = " <unk>" if settings.kind == "word" else "<unk>"
    return ["", "", "", unknown, *texts[len(_SPECIALS) :]]


def _untrained(settings: TokenizerSettings) -> tuple[models.Model, trainers.Trainer]:
    shared: dict[str, Any] = {
        "vocab_size": settings.size,
        "special_tokens": _SPECIALS,
        "show_progress": False,
    }
    unknown = _SPECIALS[UNK]
    if settings.kind == "byte":
        shared["initial_alphabet"] = pre_tokenizers.ByteLevel.alphabet()
    if settings.kind in ("bpe", "byte"):  # a pair seen only once is not worth a merge
        return models.BPE(unk_token=unknown), trainers.BpeTrainer(min_frequency=2, **shared)
    if settings.kind == "unigram":
        return models.Unigram(), trainers.UnigramTrainer(unk_token=unknown, **shared)
    return models.WordLevel(unk_token=unknown), trainers.WordLevelTrainer(**shared)
