"""A trained run as a function: from inputs to text, score, tokens and attention.

    predictor = multiattn.load("runs/translation")
    prediction = predictor("A dog runs .")
    prediction.text, prediction.score, prediction.attention["en"]        # (T + 1, S)

Letters: T output tokens, S memory slots.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.utils import parse_flag_from_env
from numpy.typing import NDArray

from multiattn.data.collation import Collator, ObjectReader
from multiattn.data.rows import Row
from multiattn.data.tokenizer import Tokenizer
from multiattn.engine.batch import out_of_memory_as_user_error
from multiattn.engine.memory import Memory
from multiattn.errors import UserError, shown
from multiattn.prediction.doubts import too_few_warnings, unread_warnings
from multiattn.prediction.prediction import Prediction
from multiattn.prediction.size_limits import SizeLimits
from multiattn.prediction.unknown_symbols import unknown_symbol_warnings
from multiattn.prediction.word_times import Aligner, Evidence, TimedWord, single_row
from multiattn.recipe.by_layout import aligner_of
from multiattn.registry.host import Host, load_host
from multiattn.run_folder import RunFolder
from multiattn.runs.source_sizes import SourceSizes
from multiattn.runs.system import System, open_system
from multiattn.search.hypotheses import Hypothesis
from multiattn.search.panel import primary_memories
from multiattn.unicode import drop_invisible

OUT_OF_MEMORY_REMEDY = "lower search.batch_size or search.beam, or give a shorter input"
InputValue = (
    Any  # a text, a path, any other value that a reader accepts, or source names mapped to these
)


class Predictor:
    """A run that is ready to decode; each output is independent of the other inputs."""

    def __init__(self, system: System, device: torch.device) -> None:
        self.system = system
        self.device = device
        system.model.to(device)
        self._generator = _with_spare_hypotheses(system).generator()
        self._sizes = SourceSizes.read(system.run)
        self._limits = SizeLimits(system, self._sizes)
        self._aligner = cache(partial(_build_aligner, system))

    @property
    def sources(self) -> tuple[str, ...]:
        """The names of the sources that make up one input."""
        return tuple(self.system.settings.sources)

    def __call__(self, source: InputValue = "", *, prefix: str = "") -> Prediction:
        """Decode one input: a text or path, or one per source name (None for a missing source).

        prefix: text that the output must start with; a word at its end may go on, unless a space
        follows it. Raises UserError for an unknown source.
        """
        (prediction,) = self.each([source], prefix=prefix)
        return prediction

    def each(self, sources: Iterable[InputValue], *, prefix: str = "") -> Iterator[Prediction]:
        """Decode many inputs, in order, ``search.batch_size`` at a time.

        Raises UserError at an invalid input, after yielding the predictions before it.
        """
        for outcome in self.attempts(sources, prefix=prefix):
            if isinstance(outcome, UserError):
                raise outcome
            yield outcome

    def attempts(
        self, sources: Iterable[InputValue], *, prefix: str = ""
    ) -> Iterator[Prediction | UserError]:
        """As ``each``, but yield the error of an invalid input and continue with the next.

        An error among the inputs is yielded in its place.
        """
        if isinstance(sources, str | Path):
            raise UserError(
                f"expected a list of inputs, got {shown(sources)}; call the predictor with it"
            )
        numbered = enumerate(sources, start=1)
        while group := list(islice(numbered, self.system.settings.search.batch_size)):
            rows = [self._row(number, source) for number, source in group]
            valid = [row for row in rows if isinstance(row, Row)]
            written = iter(self._attempt(valid, prefix))
            yield from (next(written) if isinstance(row, Row) else row for row in rows)

    def _row(self, number: int, source: InputValue) -> Row | UserError:
        """One input as a row, or the reason why it cannot be decoded."""
        if isinstance(source, UserError):
            return source
        try:
            row = Row(f"input {number}", self._named(source))
            self._limits.check(row.sources)
        except UserError as error:
            return error
        return row

    def _attempt(self, rows: Sequence[Row], prefix: str) -> list[Prediction | UserError]:
        """Decode rows; if this fails, retry their halves to isolate a bad input or save memory."""
        if not rows:
            return []
        try:
            return [*self._write(rows, prefix)]
        except UserError as error:
            if len(rows) == 1:
                return [error]
        half = len(rows) // 2  # outside the except block, so that the error's memory is freed
        return self._attempt(rows[:half], prefix) + self._attempt(rows[half:], prefix)

    @torch.inference_mode()
    def _write(self, rows: Sequence[Row], prefix: str) -> list[Prediction]:
        batch = Collator(self.system.processors.readers)(rows)
        with out_of_memory_as_user_error(batch, OUT_OF_MEMORY_REMEDY):
            encoded = self._generator.encode(batch.to(self.device))
            outputs = self._generator.search(encoded, batch.ids, prefix)
        limits = self._generator.limits(encoded, batch.size, prefix)
        memories = primary_memories(encoded)
        return [
            self._prediction(
                row,
                best,
                {name: single_row(memory, index) for name, memory in memories.items()},
                limits[index],
            )
            for index, (row, best) in enumerate(zip(rows, outputs, strict=True))
        ]

    def _prediction(
        self, row: Row, best: Sequence[Hypothesis], memories: Mapping[str, Memory], limit: int
    ) -> Prediction:
        inputs = {name: value for name, value in row.sources.items() if value is not None}
        readers = self.system.processors.readers
        labels = {name: tuple(readers[name].labels(value)) for name, value in inputs.items()}
        tokenizer = self.system.processors.tokenizer
        layouts = {name: memory.layout for name, memory in memories.items()}
        hypotheses = _distinct(best, tokenizer)[: self.system.settings.search.n_best]
        unknown = [
            sentence
            for name, value in inputs.items()
            for sentence in unknown_symbol_warnings(
                name, value, labels[name], self.system.processors.tokenizer_of(name)
            )
        ]
        predictions = [
            Prediction(
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
                times=self._times(hypothesis, memories, tuple(inputs)),
                doubts=(
                    *_truncation_warnings(hypothesis, limit),
                    *unknown,
                    *unread_warnings(hypothesis, layouts, labels, self._sizes),
                ),
            )
            for hypothesis in hypotheses
        ]
        first, *others = predictions
        doubts = (*first.doubts, *too_few_warnings(len(predictions), self.system.settings.search))
        return replace(first, alternatives=tuple(others), doubts=doubts)

    def _times(
        self, hypothesis: Hypothesis, memories: Mapping[str, Memory], present: Sequence[str]
    ) -> dict[str, tuple[TimedWord, ...]]:
        """Word times of every source that has an aligner; one that fails is logged once."""
        times = {}
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
            except (Exception, SystemExit) as error:
                cause = None if isinstance(error, UserError) else error
                reason = error if cause is None else f"{type(error).__name__}: {error}"
                complaint = f"no times of the words over {source!r}: {reason}"
                self.system.host.complain(f"aligner of {source}", complaint, cause)
        return times

    def _named(self, source: InputValue) -> dict[str, Any]:
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
                f"expected values of the sources {', '.join(names)}, got {shown(unknown[0])}; "
                "use the names in the recipe"
            )
        given = {name: source.get(name) for name in names}
        if names and not source:
            raise UserError(
                f"expected a value for at least one of the sources {', '.join(names)}, got none; "
                "give one"
            )
        return {
            name: None if value is None else self._checked(name, value)
            for name, value in given.items()
        }

    def _checked(self, name: str, value: object) -> object:
        """A text or a path as a string; any other type that the reader ``accepts``, unchanged."""
        reader = self.system.processors.readers[name]
        accepted = reader.accepts if isinstance(reader, ObjectReader) else ()
        if isinstance(value, accepted) and not isinstance(value, str | Path):
            return value
        if not isinstance(value, str | Path) or not drop_invisible(str(value)).strip():
            others = "".join(f" or {kind.__name__}" for kind in accepted)
            raise UserError(
                f"expected a text or a path{others} for the source {shown(name)}, got "
                f"{shown(value)}; give one input per call, or pass many to `each`"
            )
        return str(value)


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


def load(
    run: str | Path,
    *,
    overrides: Sequence[str] = (),
    device: str | torch.device | None = None,
    host: Host | None = None,
) -> Predictor:
    """Load a run folder for prediction.

    overrides: ``("search.beam=1",)``, checked like the recipe. device: by default the first
    accelerator available, or the CPU where ACCELERATE_USE_CPU=1 asks for it. Raises UserError for a
    folder without a complete run.
    """
    if isinstance(overrides, str):
        given = shown(overrides)
        raise UserError(f"expected a list of overrides, got {given}; write [{given}]")
    chosen = _available_device(device) if device else _default_device()
    return Predictor(open_system(RunFolder(Path(run)), host or load_host(), overrides), chosen)


def _default_device() -> torch.device:
    if parse_flag_from_env("ACCELERATE_USE_CPU"):
        return torch.device("cpu")
    return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")


def _available_device(device: str | torch.device) -> torch.device:
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:
        raise UserError(
            f"expected a device that PyTorch has here, got {shown(device)}; leave it out, or "
            "give cpu"
        ) from error


def attention_images(
    system: System, inputs: Mapping[str, Any], device: torch.device
) -> dict[str, NDArray[np.uint8]]:
    """Attention maps of the output for one example, by their names in a log.

    A source that cannot be drawn is logged once, and has none.
    """
    from multiattn.prediction.rendering import Renderers  # matplotlib takes a third of a second

    renderers = Renderers(system.settings.sources, system.host)
    images = {}
    for record in Predictor(system, device)(inputs).records():
        try:
            images[f"attention/{record.source}"] = renderers.image(record)
        except UserError as error:
            label = f"renderer of {record.source}"
            system.host.complain(label, str(error), error.__cause__)
    return images
