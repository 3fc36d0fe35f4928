"""A trained run as a function: from inputs to text, score, tokens and attention.

    predictor = multiattn.load("runs/translation")
    prediction = predictor("A dog runs .")
    prediction.text, prediction.score, prediction.attention["en"]        # (T + 1, S)

Letters: T output tokens, S memory slots.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.utils import parse_flag_from_env
from numpy.typing import NDArray

from multiattn.data.collation import ObjectReader
from multiattn.data.rows import Row
from multiattn.errors import UserError, shown
from multiattn.prediction.batches import decode_in_order
from multiattn.prediction.decoding import RowDecoder
from multiattn.prediction.long_inputs.cutter import Cut, Cutter, ProgressOfCuts
from multiattn.prediction.long_inputs.joining import Decoded, joined
from multiattn.prediction.prediction import Prediction
from multiattn.prediction.size_limits import SizeLimits
from multiattn.registry.host import Host, load_host
from multiattn.run_folder import RunFolder
from multiattn.runs.source_sizes import SourceSizes
from multiattn.runs.system import System, open_system
from multiattn.unicode import drop_invisible

MOST_CUTS = 3  # how often an input is cut before what is doubtful is left as it is
InputValue = (
    Any  # a text, a path, any other value that a reader accepts, or source names mapped to these
)


class Predictor:
    """A run that is ready to decode; each output is independent of the other inputs."""

    def __init__(self, system: System, device: torch.device) -> None:
        self.system = system
        self.device = device
        system.model.to(device)
        sizes = SourceSizes.read(system.run)
        self._limits = SizeLimits(system, sizes)
        self._cutter = Cutter(system, sizes)
        self._decoder = RowDecoder(system, device, sizes)

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

        An error among the inputs is yielded in its place. Inputs are read ahead, unless they are
        ``Arriving``.
        """
        if isinstance(sources, str | Path):
            raise UserError(
                f"expected a list of inputs, got {shown(sources)}; call the predictor with it"
            )
        begun: deque[Row | UserError] = deque()

        def groups() -> Iterator[Iterator[Cut | UserError]]:
            for number, source in enumerate(sources, start=1):
                begun.append(self._row(number, source))
                yield self._cuts(begun[-1], whole=bool(prefix))

        batch_size = self.system.settings.search.batch_size
        with ProgressOfCuts() as progress:
            backend = _Cuts(self._decoder, self._cutter, prefix, progress)
            for decoded in decode_in_order(groups(), backend, batch_size, sources):
                row = begun.popleft()
                progress.finish(row)
                yield joined(row, [one for each in decoded for one in each])

    def _row(self, number: int, source: InputValue) -> Row | UserError:
        """One input as a row, or the reason why it cannot be decoded."""
        if isinstance(source, UserError):
            return source
        try:
            return Row(f"input {number}", self._named(source))
        except UserError as error:
            return error

    def _cuts(self, row: Row | UserError, *, whole: bool) -> Iterator[Cut | UserError]:
        """What is decoded of an input; an error ends it."""
        if isinstance(row, UserError):
            yield row
            return
        try:
            for cut in [Cut(row, row.id)] if whole else self._cutter.cuts(row):
                self._limits.check(cut.row.sources)
                yield cut
        except UserError as error:
            yield error

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


@dataclass(frozen=True)
class _Cuts:
    """Decodes what inputs are cut into. What seems incomplete is decoded again in smaller pieces.

    prefix: what the outputs begin with. progress: told what is decoded.
    """

    decoder: RowDecoder
    cutter: Cutter
    prefix: str
    progress: ProgressOfCuts

    def size(self, item: Cut | UserError) -> float:
        """What the items of a batch have nearly in common."""
        return 0 if isinstance(item, UserError) else self.cutter.size(item)

    def decode(self, items: Sequence[Cut | UserError]) -> list[list[Decoded]]:
        """For each item its output, or those of its pieces."""
        cuts = [item for item in items if isinstance(item, Cut)]
        outcomes = iter(self.decoder.decode([cut.row for cut in cuts], self.prefix))
        decoded: list[list[Decoded]] = [
            self._improved(item, next(outcomes)) if isinstance(item, Cut) else [(None, item)]
            for item in items
        ]
        self.progress.add(cuts)
        return decoded

    def _improved(self, cut: Cut, outcome: Prediction | UserError) -> list[Decoded]:
        """The outputs of smaller pieces if any of them is complete, where this one is not."""
        kept: list[Decoded] = [(cut, outcome)]
        if isinstance(outcome, UserError) or not outcome.incomplete or self.prefix:
            return kept
        smaller = self.cutter.smaller(cut) if cut.depth < MOST_CUTS else []
        decoded = [one for each in self.decode(smaller) for one in each]
        complete = [isinstance(one, Prediction) and not one.incomplete for _, one in decoded]
        return decoded if any(complete) else kept


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
