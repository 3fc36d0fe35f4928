"""A trained run as a function: inputs in; text, score, tokens and attention out.

    predictor = multiattn.load("runs/translation")
    prediction = predictor("A dog runs .")
    prediction.text, prediction.score, prediction.attention["en"]        # (T + 1, S)

It refuses to know where inputs come from (``inputs.py``) and how attention is drawn.

Letters: T output tokens, S memory slots.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from numpy.typing import NDArray

from multiattn.data import Collator
from multiattn.errors import UserError
from multiattn.hypotheses import Hypothesis
from multiattn.losses import memory_errors
from multiattn.memory import Layout
from multiattn.plugins import Host, load_host
from multiattn.preparation import System, open_system
from multiattn.rendering import AttentionRecord, join_columns, join_rows, label_spans
from multiattn.rows import Row
from multiattn.runfolder import RunFolder

REMEDY = "lower search.batch_size or search.beam, or give a shorter input"
Source = str | Path | Mapping[str, str | Path | None]


@dataclass(frozen=True, eq=False)
class Prediction:
    """One output for one input.

    score: what the search ranked it by. log_probability: the model's own, its end included.
    tokens: its T pieces as a person may read them. words: (word, first, end) over the tokens.
    attention: per source (T + 1, S): where each token, and the end, looked; each row sums to 1.
    labels: per source a name for each of the S slots. layouts: per source what the slots are.
    alternatives: the next best, where ``search.n_best`` asks for them.
    """

    inputs: Mapping[str, str]
    text: str
    score: float
    log_probability: float
    tokens: tuple[str, ...]
    words: tuple[tuple[str, int, int], ...]
    attention: Mapping[str, NDArray[np.float32]]
    labels: Mapping[str, tuple[str, ...]]
    layouts: Mapping[str, Layout]
    alternatives: tuple[Prediction, ...] = ()

    def records(self) -> Iterator[AttentionRecord]:
        """What a renderer draws: per source, output words by slots (by words of a text)."""
        for source, weights in self.attention.items():
            rows, labels = join_rows(weights, self.words), self.labels[source]
            if self.layouts[source].kind == "tokens":
                spans = label_spans(labels)
                rows = join_columns(rows, spans)
                labels = tuple(label for label, _, _ in spans)
            words = tuple(word for word, _, _ in self.words)
            value, layout = self.inputs[source], self.layouts[source]
            yield AttentionRecord(source, value, labels, words, rows, layout)

    def as_json(self) -> dict[str, Any]:
        """The input, the output and its score; attention is in the records."""
        found = {
            "input": dict(self.inputs),
            "text": self.text,
            "score": self.score,
            "log_probability": self.log_probability,
            "tokens": list(self.tokens),
        }
        if self.alternatives:
            found["n_best"] = [
                {"text": other.text, "score": other.score} for other in (self, *self.alternatives)
            ]
        return found


class Predictor:
    """A run, ready to write; its outputs do not depend on what else is asked for."""

    def __init__(self, system: System, device: torch.device) -> None:
        self.system = system
        self.device = device
        system.model.to(device)
        self._writer = system.writer()
        self._collate = Collator(system.sides.readers)

    @property
    def sources(self) -> tuple[str, ...]:
        """The names of what one input consists of."""
        return tuple(self.system.settings.sources)

    def __call__(self, source: Source = "", *, prefix: str = "") -> Prediction:
        """Write for one input: a text or path, or one per source name (None: it lacks that one).

        prefix: what the output must begin with. Raises UserError for an unknown source.
        """
        (prediction,) = self.each([source], prefix=prefix)
        return prediction

    def each(self, sources: Iterable[Source], *, prefix: str = "") -> Iterator[Prediction]:
        """Write for many inputs, in their order, ``search.batch_size`` at a time."""
        size = self.system.settings.search.batch_size
        rows = (
            Row(f"input {number}", self._named(source))
            for number, source in enumerate(sources, start=1)
        )
        while group := list(islice(rows, size)):
            yield from self._write(group, prefix)

    def _write(self, rows: Sequence[Row], prefix: str) -> list[Prediction]:
        batch = self._collate(rows)
        with memory_errors(batch, REMEDY):
            memories = self._writer.encode(batch.to(self.device))
            outputs = self._writer.search_in(memories, batch.ids, prefix)
        layouts = {name: memory.layout for name, memory in memories.items()}
        return [
            self._prediction(row, best, layouts) for row, best in zip(rows, outputs, strict=True)
        ]

    def _prediction(
        self, row: Row, best: Sequence[Hypothesis], layouts: Mapping[str, Layout]
    ) -> Prediction:
        inputs = {name: value for name, value in row.sources.items() if value is not None}
        readers = self.system.sides.readers
        labels = {name: tuple(readers[name].labels(value)) for name, value in inputs.items()}
        tokenizer = self.system.sides.tokenizer
        predictions = [
            Prediction(
                inputs=inputs,
                text=tokenizer.decode(found.tokens),
                score=found.score,
                log_probability=found.log_probability,
                tokens=tuple(tokenizer.pieces(found.tokens)),
                words=tuple(tokenizer.words(found.tokens)),
                attention={
                    name: found.attention[name].float().cpu().numpy()
                    for name in inputs
                    if name in found.attention
                },
                labels=labels,
                layouts=layouts,
            )
            for found in best
        ]
        first, *others = predictions
        return replace(first, alternatives=tuple(others))

    def _named(self, source: Source) -> dict[str, str | None]:
        names = self.sources
        if not isinstance(source, Mapping):
            if len(names) > 1:
                raise UserError(
                    f"expected a value for each of the sources {', '.join(names)}, got one value; "
                    f"give {names[0]}=… and the others by name"
                )
            return {name: self._checked(name, source) for name in names}
        unknown = [name for name in source if name not in names]
        if unknown:
            raise UserError(
                f"expected values of the sources {', '.join(names)}, got {unknown[0]!r}; "
                "call the source as the recipe does"
            )
        given = {name: source.get(name) for name in names}
        return {
            name: None if value is None else self._checked(name, value)
            for name, value in given.items()
        }

    def _checked(self, name: str, value: object) -> str:
        if not isinstance(value, str | Path) or not str(value).strip():
            raise UserError(
                f"expected a text or a path for the source {name!r}, got {value!r}; give one input "
                "per call, or many to `each`"
            )
        return str(value)


def load(
    run: str | Path,
    *,
    overrides: Sequence[str] = (),
    device: str | torch.device | None = None,
    host: Host | None = None,
) -> Predictor:
    """Open a run folder to write with it.

    overrides: ``("search.beam=1",)``, checked like the recipe. device: else the first accelerator
    there is. Raises UserError for a folder that holds no whole run.
    """
    system = open_system(RunFolder(Path(run)), host or load_host(), overrides)
    return Predictor(system, torch.device(device) if device else PartialState().device)
