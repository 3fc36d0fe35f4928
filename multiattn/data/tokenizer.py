"""Text <-> ids, a thin layer over the ``tokenizers`` library. It refuses to know what texts say.

Text is whitespace-normalised before anything else. A space is then an ordinary character that opens
the piece which starts a word (`` the``, `` transl``, ``ation``): a space cannot occur inside a
word, so ``decode(encode(text)) == text`` for every text whose characters were seen in training.
"""

from __future__ import annotations

import json
import math
import os
import random
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, Self

import tokenizers
from tokenizers import Regex, models, pre_tokenizers, trainers

from multiattn.errors import UserError
from multiattn.recipe.settings import TokenizerSettings
from multiattn.run_folder import write_json

PAD, BOS, EOS, UNK = 0, 1, 2, 3

# Spelled with a space inside, which no piece has: no text, whatever it says, becomes one of them.
_SPECIALS = ["< pad >", "< s >", "</ s >", "< unk >"]
_SHOWN = ["<pad>", "<s>", "</s>", "<unk>"]

# What the model is trained on and applied to, one match at a time. Subwords never join letters and
# punctuation; "&quot;", as the Moses tokeniser writes it, stays whole.
_SUBWORD_SEGMENT = (
    r" ?&#?[\p{L}\p{N}]+;| ?[\p{L}\p{M}\p{N}]+| ?[^ \p{L}\p{M}\p{N}]+"  # entity, word, the rest
)
_SEGMENTS = {"char": ".", "word": " [^ ]+", "bpe": _SUBWORD_SEGMENT, "unigram": _SUBWORD_SEGMENT}

_CACHED_SEGMENTS = 2**16

# The library's threads gain nothing here, and warn whenever a data loader forks.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

_Sampler = Callable[[str, random.Random], Sequence[int]]


class Tokenizer:
    """A trained tokenizer. Ids 0 to 3 are padding, beginning, end and unknown.

    Training ``char``, ``word`` and ``bpe`` twice on the same texts gives the same bytes. Training
    ``unigram`` does not: the library's scores and pieces differ from process to process.
    """

    def __init__(self, library: tokenizers.Tokenizer, settings: TokenizerSettings) -> None:
        if settings.sampling and settings.kind not in ("bpe", "unigram"):
            raise UserError(
                f"expected sampling 0 with the tokenizer kind {settings.kind!r}, whose splits have "
                f"no alternatives, got {settings.sampling}; use bpe or unigram, or remove sampling"
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

        Raises UserError without any text, or where ``size`` cannot hold every character (``bpe``
        and ``unigram``; ``char`` and ``word`` leave out what is rare).
        """
        lines = [line for text in texts if (line := _prepared(text, settings))]
        if not lines:
            raise UserError(
                "expected at least one text to train a tokenizer on, got none; "
                "check the split and the field that the recipe names"
            )
        needed = len(set().union(*lines)) + len(_SPECIALS)
        if settings.kind in ("bpe", "unigram") and settings.size < needed:
            raise UserError(
                f"expected a tokenizer size of at least {needed}, one piece for each character of "
                f"the training text and {len(_SPECIALS)} more, got {settings.size}; raise size"
            )
        model, trainer = _untrained(settings)
        library = tokenizers.Tokenizer(model)
        pattern = Regex(_SEGMENTS[settings.kind])
        library.pre_tokenizer = pre_tokenizers.Split(pattern, "isolated")
        library.train_from_iterator(lines, trainer)
        return cls(library, settings)

    @property
    def size(self) -> int:
        """How many ids there are, specials included."""
        return len(self._texts)

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """Every id as a person may read it, in their order."""
        return tuple(self.pieces(range(self.size)))

    def encode(self, text: str, generator: random.Random | None = None) -> list[int]:
        """Turn a text into ids, without beginning and end.

        A generator asks for subword sampling as ``settings.sampling`` says; the result is a
        function of the text and of what the generator draws. Raises UserError for half a character.
        """
        line = _prepared(text, self.settings)
        try:
            found = self._library.pre_tokenizer.pre_tokenize_str(line)
        except UnicodeEncodeError as error:
            raise UserError(
                f"expected text of whole characters, got {line.strip()!r} with a lone surrogate; "
                "give it as UTF-8"
            ) from error
        segments = [segment for segment, _ in found]
        if generator is None or self._sampled is None:
            return [piece for segment in segments for piece in self._best(segment)]
        sampled = self._sampled
        return [piece for segment in segments for piece in sampled(segment, generator)]

    def decode(self, ids: Iterable[int]) -> str:
        """Turn ids into a text; padding, beginning and end say nothing."""
        return " ".join("".join(self._texts[index] for index in ids).split())

    def pieces(self, ids: Iterable[int]) -> list[str]:
        """Each id as a person may read it: ``▁`` opens a word, specials stand in brackets."""
        return [
            _SHOWN[index] if index < len(_SHOWN) else self._texts[index].replace(" ", "▁")
            for index in ids
        ]

    def words(self, ids: Iterable[int]) -> list[tuple[str, int, int]]:
        """Subwords joined to words: (word, position of its first id, position after its last).

        The words joined by spaces are what ``decode`` returns. Ids that add nothing to a word
        (specials, the space between spelled words) lie in no range or inside one.
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
        return words

    def save(self, path: Path) -> None:
        """Write one JSON file, beside and renamed. Raises UserError when the disk refuses."""
        library = json.loads(self._library.to_str())
        write_json(path, {"settings": self.settings.model_dump(), "library": library})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what ``save`` wrote. Raises UserError naming the file when it is not that."""
        try:
            saved = json.loads(path.read_text(encoding="utf-8"))
            settings = TokenizerSettings.model_validate(saved["settings"])
            library = tokenizers.Tokenizer.from_str(json.dumps(saved["library"]))
        except OSError as error:
            raise UserError(
                f"expected a tokenizer in {path}, got {error.strerror}; check the run folder"
            ) from error
        except Exception as error:  # the library raises bare Exception on what is not its own
            raise UserError(
                f"expected a tokenizer written by multiattn in {path}, got something else; "
                "the file is damaged or of another version: restore it or train again"
            ) from error
        return cls(library, settings)

    def _best_uncached(self, segment: str) -> tuple[int, ...]:
        return tuple(token.id for token in self._library.model.tokenize(segment))

    def _sampler(self) -> _Sampler | None:
        if not self.settings.sampling:
            return None
        model = json.loads(self._library.to_str())["model"]
        if self.settings.kind == "bpe":
            return _BpeDropout(model, self.settings.sampling)
        return _UnigramSampling(model, self.settings.sampling, self._best)


class _BpeDropout:
    """BPE-dropout (Provilkov et al. 2020, algorithm 1): at every step each merge may be missed."""

    def __init__(self, model: dict[str, Any], probability: float) -> None:
        self._ids: dict[str, int] = model["vocab"]
        self._ranks = {tuple(pair): rank for rank, pair in enumerate(model["merges"])}
        self._probability = probability
        self._merges = lru_cache(_CACHED_SEGMENTS)(self._merges_uncached)

    def __call__(self, segment: str, generator: random.Random) -> list[int]:
        """Do the best merge that is not missed, until none is left or all are missed.

        Drawing best first, until one is kept, has the distribution of drawing for all at once.
        """
        pieces, missed, draw = tuple(segment), self._probability, generator.random
        while True:
            for place in self._merges(pieces):
                if draw() >= missed:
                    merged = pieces[place] + pieces[place + 1]
                    pieces = (*pieces[:place], merged, *pieces[place + 2 :])
                    break
            else:
                return [self._ids.get(piece, UNK) for piece in pieces]

    def _merges_uncached(self, pieces: tuple[str, ...]) -> tuple[int, ...]:
        """Places of adjacent pieces that may be merged, the earliest-learned merge first."""
        ranks = self._ranks
        found = [
            (ranks[pair], place) for place, pair in enumerate(pairwise(pieces)) if pair in ranks
        ]
        return tuple(place for _, place in sorted(found))


class _UnigramSampling:
    """Subword regularisation (Kudo 2018, section 3): forward filtering, backward sampling.

    With the given probability a segment is drawn from P(segmentation) ** smoothing, over all of
    its segmentations; otherwise it is the best one.
    """

    smoothing = 0.2  # Kudo 2018, section 5.1: α of the small corpora (IWSLT), all segmentations
    unknown_penalty = 10.0  # below the rarest piece, as in the library and in sentencepiece

    def __init__(
        self, model: dict[str, Any], probability: float, best: Callable[[str], Sequence[int]]
    ) -> None:
        self._ids = {piece: index for index, (piece, _) in enumerate(model["vocab"])}
        self._scores = {piece: float(score) for piece, score in model["vocab"]}
        self._unknown = min(self._scores.values()) - self.unknown_penalty
        self._longest = max(map(len, self._scores))
        self._probability = probability
        self._best = best
        self._columns = lru_cache(_CACHED_SEGMENTS)(self._columns_uncached)

    def __call__(self, segment: str, generator: random.Random) -> Sequence[int]:
        if generator.random() >= self._probability:
            return self._best(segment)
        columns, end, ids = self._columns(segment), len(segment), []
        while end:
            starts, weights = columns[end - 1]
            (start,) = generator.choices(starts, cum_weights=weights)
            ids.append(self._ids.get(segment[start:end], UNK))
            end = start
        return ids[::-1]

    def _columns_uncached(self, segment: str) -> list[tuple[list[int], list[float]]]:
        """For each end: where its last piece may start, and the cumulative weight of each start."""
        forward = [0.0]  # log of the summed weight of all segmentations of segment[:end]
        columns = []
        for end in range(1, len(segment) + 1):
            logs = {
                start: forward[start] + self.smoothing * score
                for start in range(max(0, end - self._longest), end)
                if (score := self._score(segment[start:end])) is not None
            }
            top = max(logs.values())
            weights = list(accumulate(math.exp(log - top) for log in logs.values()))
            forward.append(top + math.log(weights[-1]))
            columns.append((list(logs), weights))
        return columns

    def _score(self, piece: str) -> float | None:
        return self._scores.get(piece, self._unknown if len(piece) == 1 else None)


def _prepared(text: str, settings: TokenizerSettings) -> str:
    line = " ".join((text.lower() if settings.lowercase else text).split())
    return line if settings.kind == "char" or not line else f" {line}"


def _texts(vocabulary: dict[str, int], settings: TokenizerSettings) -> list[str]:
    """List what each id adds to a decoded text."""
    texts = sorted(vocabulary, key=vocabulary.__getitem__)
    unknown = " <unk>" if settings.kind == "word" else "<unk>"
    return ["", "", "", unknown, *texts[len(_SPECIALS) :]]


def _untrained(settings: TokenizerSettings) -> tuple[models.Model, trainers.Trainer]:
    shared: dict[str, Any] = {
        "vocab_size": settings.size,
        "special_tokens": _SPECIALS,
        "show_progress": False,
    }
    unknown = _SPECIALS[UNK]
    if settings.kind == "bpe":  # a merge that happened once is a memory of one text
        return models.BPE(unk_token=unknown), trainers.BpeTrainer(min_frequency=2, **shared)
    if settings.kind == "unigram":
        return models.Unigram(), trainers.UnigramTrainer(unk_token=unknown, **shared)
    return models.WordLevel(unk_token=unknown), trainers.WordLevelTrainer(**shared)
