"""A search as replays of one recorded step; ``run`` finds what ``beam.run`` finds, or declines.

The host runs ahead of the device: it asks how many inputs are unfinished after each step in which
one may end, and looks at the answer when the next step is under way. When few are left they move
to the buffers of a smaller batch.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from multiattn.search.candidates import CandidateSelector, FixedShapeSelector
from multiattn.search.fixed_shape.beams import FixedBeams
from multiattn.search.fixed_shape.buckets import batch_bucket, compacted_bucket
from multiattn.search.fixed_shape.captured import RecordedSearches, searches_of
from multiattn.search.fixed_shape.step import HELD, FixedShapeSearch, Phase
from multiattn.search.history import SearchHistory, Stretch
from multiattn.search.panel import Panel, StepScorer

if TYPE_CHECKING:
    from multiattn.search.beam import Beam, Ranking

log = logging.getLogger("multiattn.search.fixed_shape")
_said: set[str] = set()


@torch.inference_mode(False)
@torch.no_grad()
def run(
    scorer: StepScorer,
    selector: CandidateSelector,
    ranking: Ranking,
    beam: Beam,
    history: SearchHistory,
) -> bool:
    """Search as ``beam.run`` does and return True, or leave ``history`` alone and return False.

    It declines for what cannot be recorded, which is logged once.
    """
    if not isinstance(scorer, Panel) or not isinstance(selector, FixedShapeSelector):
        _say("a CTC head proposes the outputs")
        return False
    if reason := _obstacle(beam):
        _say(reason)
        return False
    searches = searches_of(scorer, beam.rows.device)
    start = FixedBeams.of(beam, selector, history.n_best)
    size = batch_bucket(len(beam.rows))
    try:
        search = searches.find(start, size, ranking, scorer)
        if search is None:
            return False
        constraints = beam.constraints
        earliest = min(constraints.min_length, constraints.soonest)
        steps = [
            Phase(step == 0, step >= earliest, step >= constraints.soonest)
            for step in range(history.steps)
        ]
        found = _Run(search, searches, scorer, ranking, _Results.of(start, size))
        found.run(start, steps)
    except RuntimeError as error:
        searches.refuse(error)
        _say(" ".join(str(error).split())[:300])
        return False
    found.results.write(history, len(beam.rows))
    return True


def _obstacle(beam: Beam) -> str:
    """Why a search is not of fixed shape; empty if it is."""
    if beam.prefixes is not None:
        return "outputs have a prefix"
    if beam.generated is not None:
        return "n-grams are blocked"
    if torch.is_autocast_enabled(beam.rows.device.type):
        return "autocast is on"
    return ""


def _say(reason: str) -> None:
    if reason not in _said:
        _said.add(reason)
        log.warning("search runs without CUDA graphs, which is slower: %s", reason)


@dataclass
class _Results:
    """What a search has found: its steps, and per input of the bucket the best that ended."""

    scores: Tensor  # (B, n_best)
    ends: Tensor  # (B, n_best)
    stretches: list[Stretch] = field(default_factory=list)

    @classmethod
    def of(cls, start: FixedBeams, size: int) -> _Results:
        shape = size, start.scores.shape[1]
        return cls(start.scores.new_zeros(shape), start.ends.new_zeros(shape))

    def add(self, search: FixedShapeSearch, steps: int) -> None:
        """Add the steps that a search holds, and what has ended so far."""
        if steps:
            self.stretches.append(search.take(steps))
        beams = search.beams
        self.scores.index_copy_(0, beams.rows, beams.scores)
        self.ends.index_copy_(0, beams.rows, beams.ends)

    def write(self, history: SearchHistory, inputs: int) -> None:
        """Hand everything to the history of a search of so many inputs."""
        for stretch in self.stretches:
            history.append(stretch)
        history.settle(self.scores[:inputs], self.ends[:inputs])


@dataclass
class _Run:
    """One search, from its start to its end, in one bucket after another."""

    search: FixedShapeSearch
    searches: RecordedSearches
    panel: Panel
    ranking: Ranking
    results: _Results
    held: int = 0
    considered: set[int] = field(default_factory=set)

    def run(self, start: FixedBeams, steps: list[Phase]) -> None:
        """Take these steps, or as many as it takes to finish every input."""
        self.search.load(start)
        self.search.restart()
        pending: Callable[[], int] | None = None
        for phase in steps:
            if self.held == HELD:
                self.results.stretches.append(self.search.take(HELD))
                self.held = 0
            self.search.advance(phase, self.panel)
            self.held += 1
            if phase.may_end:
                answer, pending = pending, ask(self.search.live)
                unfinished = self.search.size if answer is None else answer()
                if unfinished == 0:
                    break
                self._compact(unfinished)
        self.results.add(self.search, self.held)

    def _compact(self, unfinished: int) -> None:
        """Move to a smaller bucket if few inputs are unfinished."""
        size = compacted_bucket(self.search.size, unfinished)
        if size is None or size in self.considered:
            return
        self.considered.add(size)
        beams = self.search.beams
        order = (beams.totals[:, 0] == -math.inf).byte().argsort(stable=True)[:size]
        moved = beams.gather(order)
        self.results.add(self.search, self.held)  # the smaller batch may use the same buffers
        self.held = 0
        smaller = self.searches.find(moved, size, self.ranking, self.panel)
        if smaller is not None:
            self.search = smaller
            smaller.load(moved)


def ask(value: Tensor) -> Callable[[], int]:
    """Start to copy an integer from its device; the result waits for the copy and returns it."""
    if value.device.type != "cuda":
        kept = value.clone()
        return lambda: int(kept)
    there = torch.empty(value.shape, dtype=value.dtype, device="cpu", pin_memory=True)
    there.copy_(value, non_blocking=True)
    event = torch.cuda.Event()  # type: ignore[no-untyped-call]
    event.record()

    def answer() -> int:
        event.synchronize()
        return int(there)

    return answer
