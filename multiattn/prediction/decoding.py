"""Decode rows: batches through the model and the search, outputs with times and doubts.

Letters: T output tokens, S memory slots.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import torch

from multiattn.data.collation import Collator
from multiattn.data.rows import Row
from multiattn.data.tokenizer import Tokenizer
from multiattn.engine.batch import out_of_memory_as_user_error
from multiattn.engine.memory import Memory
from multiattn.errors import UserError
from multiattn.prediction.doubts import (
    looping_warnings,
    skipped_warnings,
    too_few_warnings,
    unread_warnings,
)
from multiattn.prediction.prediction import Prediction
from multiattn.prediction.source_use import source_use, weighs
from multiattn.prediction.unknown_symbols import unknown_symbol_warnings
from multiattn.prediction.word_times import Aligner, Evidence, TimedWord, single_row
from multiattn.recipe.by_layout import aligner_of
from multiattn.recipe.settings import SourceSettings
from multiattn.registry.host import Host
from multiattn.runs.source_sizes import SourceSizes
from multiattn.runs.system import System
from multiattn.search.diagnostics.reading import readings
from multiattn.search.diagnostics.skipped import CTCOutput, ctc_outputs
from multiattn.search.hypotheses import Hypothesis
from multiattn.search.panel import primary_memories

if TYPE_CHECKING:
    from multiattn.prediction.viewer.view import Views

OUT_OF_MEMORY_REMEDY = "lower search.batch_size or search.beam, or give a shorter input"


class RowDecoder:
    """Decodes rows with a run's model; each output is independent of the other rows."""

    def __init__(
        self, system: System, device: torch.device, sizes: Mapping[str, SourceSizes]
    ) -> None:
        self.system = system
        self.device = device
        self._generator = _with_spare_hypotheses(system).generator()
        self._sizes = sizes
        self._aligner = cache(partial(_build_aligner, system))
        self._weighs = weighs(system.model.decoder)
        self._viewer = partial(_views, system.settings.sources, system.host)

    def decode(self, rows: Sequence[Row], prefix: str) -> list[Prediction | UserError]:
        """Decode rows; if this fails, retry their halves to isolate a bad input or save memory."""
        if not rows:
            return []
        try:
            return [*self._write(rows, prefix)]
        except UserError as error:
            if len(rows) == 1:
                return [error]
        half = len(rows) // 2  # outside the except block, so that the error's memory is freed
        return self.decode(rows[:half], prefix) + self.decode(rows[half:], prefix)

    @torch.inference_mode()
    def _write(self, rows: Sequence[Row], prefix: str) -> list[Prediction]:
        batch = Collator(self.system.processors.readers)(rows)
        with out_of_memory_as_user_error(batch, OUT_OF_MEMORY_REMEDY):
            encoded = self._generator.encode(batch.to(self.device))
            outputs = self._generator.search(encoded, batch.ids, prefix)
        limits = self._generator.limits(encoded, batch.size, prefix)
        memories = primary_memories(encoded)
        ctc = ctc_outputs(memories, dict(self.system.model.heads))
        return [
            self._prediction(
                row,
                best,
                {name: single_row(memory, index) for name, memory in memories.items()},
                {name: each[index] for name, each in ctc.items()},
                limits[index],
            )
            for index, (row, best) in enumerate(zip(rows, outputs, strict=True))
        ]

    def _prediction(
        self,
        row: Row,
        best: Sequence[Hypothesis],
        memories: Mapping[str, Memory],
        ctc: Mapping[str, CTCOutput],
        limit: int,
    ) -> Prediction:
        """The first hypothesis, with what it says of the input, and the others."""
        inputs = {name: value for name, value in row.sources.items() if value is not None}
        readers = self.system.processors.readers
        labels = {name: tuple(readers[name].labels(value)) for name, value in inputs.items()}
        distinct = _distinct(best, self.system.processors.tokenizer)
        search = self.system.settings.search
        first, *others = (
            self._output(hypothesis, inputs, labels, memories, ctc, limit)
            for hypothesis in distinct[: search.n_best]
        )
        doubts = (*first.doubts, *too_few_warnings(1 + len(others), search))
        return replace(first, alternatives=tuple(others), doubts=doubts)

    def _output(
        self,
        hypothesis: Hypothesis,
        inputs: Mapping[str, Any],
        labels: Mapping[str, tuple[str, ...]],
        memories: Mapping[str, Memory],
        ctc: Mapping[str, CTCOutput],
        limit: int,
    ) -> Prediction:
        tokenizer = self.system.processors.tokenizer
        layouts = {name: memory.layout for name, memory in memories.items()}
        due = {
            name: self._sizes[name].tokens_per_slot if name in self._sizes else None
            for name in inputs
        }
        missing = [
            *_truncation_warnings(hypothesis, limit),
            *unread_warnings(hypothesis, layouts, labels, self._sizes),
            *skipped_warnings(hypothesis, layouts, labels, ctc),
            *looping_warnings(hypothesis, layouts, tokenizer.words(hypothesis.tokens)),
        ]
        times, attention_times = self._times(hypothesis, memories, tuple(inputs))
        return Prediction(
            inputs=inputs,
            text=tokenizer.decode(hypothesis.tokens),
            score=hypothesis.score,
            log_probability=hypothesis.log_probability,
            tokens=tuple(tokenizer.pieces(hypothesis.tokens)),
            words=tuple(tokenizer.words(hypothesis.tokens)),
            attention={
                name: hypothesis.attention[name].float().cpu().numpy()
                for name in inputs
                if name in hypothesis.attention
            },
            labels=labels,
            layouts=layouts,
            times=times,
            doubts=(*missing, *self._unknown_symbols(inputs, labels)),
            incomplete=bool(missing),
            token_log_probabilities=hypothesis.token_log_probabilities,
            readings=readings(hypothesis, layouts, due, ctc),
            attention_times=attention_times,
            source_use=(
                partial(source_use, self.system.model.decoder, memories, hypothesis.tokens)
                if self._weighs
                else None
            ),
            viewer=self._viewer,
        )

    def _unknown_symbols(
        self, inputs: Mapping[str, Any], labels: Mapping[str, tuple[str, ...]]
    ) -> Iterator[str]:
        """A warning per source with symbols that its tokenizer does not know."""
        for name, value in inputs.items():
            tokenizer = self.system.processors.tokenizer_of(name)
            yield from unknown_symbol_warnings(name, value, labels[name], tokenizer)

    def _times(
        self, hypothesis: Hypothesis, memories: Mapping[str, Memory], present: Sequence[str]
    ) -> tuple[dict[str, tuple[TimedWord, ...]], dict[str, tuple[TimedWord, ...]]]:
        """Word times of every source that has an aligner, and without the model's heads.

        There are no second ones for a model without heads. An aligner that fails is logged once.
        """
        times, without_heads = {}, {}
        for source in present:
            evidence = Evidence(
                source,
                memories,
                dict(self.system.model.heads),
                hypothesis.tokens,
                self.system.processors.tokenizer.words(hypothesis.tokens),
                hypothesis.token_log_probabilities,
                hypothesis.attention.get(source),
            )
            try:
                aligner = self._aligner(source, memories[source].layout.kind)
                if aligner is not None:
                    times[source] = tuple(aligner.align(evidence))
                    if evidence.heads:
                        without_heads[source] = tuple(aligner.align(replace(evidence, heads={})))
            except (Exception, SystemExit) as error:
                cause = None if isinstance(error, UserError) else error
                reason = error if cause is None else f"{type(error).__name__}: {error}"
                complaint = f"no times of the words over {source!r}: {reason}"
                self.system.host.complain(f"aligner of {source}", complaint, cause)
        return times, without_heads


def _views(sources: Mapping[str, SourceSettings], host: Host) -> Views:
    from multiattn.prediction.rendering import Renderers  # matplotlib takes a third of a second
    from multiattn.prediction.viewer.view import Views

    return Views(Renderers(sources, host))


def _build_aligner(system: System, source: str, layout: str) -> Aligner | None:
    """The aligner of a source whose memory has this layout. Raises UserError."""
    chosen = aligner_of(source, system.settings.sources[source], layout, system.host)
    return None if chosen is None else system.host.build("aligner", chosen)


def _with_spare_hypotheses(system: System) -> System:
    """Let a search for several outputs keep all that end in its beam: some may spell one text."""
    search = system.settings.search
    if search.n_best == 1 or search.method == "sample":
        return system
    spare = search.model_copy(update={"n_best": search.beam})
    return replace(system, settings=system.settings.model_copy(update={"search": spare}))


def _distinct(best: Sequence[Hypothesis], tokenizer: Tokenizer) -> list[Hypothesis]:
    """The best hypothesis of each text, best first."""
    by_text: dict[str, Hypothesis] = {}
    for hypothesis in best:
        by_text.setdefault(tokenizer.decode(hypothesis.tokens), hypothesis)
    return list(by_text.values())


def _truncation_warnings(hypothesis: Hypothesis, limit: int) -> Iterator[str]:
    if len(hypothesis.tokens) >= limit:
        yield (
            f"the output has {limit} tokens, the maximum, and may be cut off; raise "
            "search.max_length (and search.max_length_ratio, if the recipe has one)"
        )
