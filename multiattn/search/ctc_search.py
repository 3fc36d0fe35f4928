"""CTC search: a CTC head proposes outputs, the decoder and the scorers rescore them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from multiattn.engine.memory import Memory
from multiattn.search import beam
from multiattn.search.candidates import Candidates, TopCandidates
from multiattn.search.ctc import CTCPosteriors, CTCPrefix, CTCPrefixState
from multiattn.search.history import SearchHistory
from multiattn.search.hypotheses import Hypothesis
from multiattn.search.panel import Panel, StepScores
from multiattn.search.scorers import Scorer
from multiattn.search.task import SearchTask
from multiattn.symbols import EOS, PAD


@torch.no_grad()
def ctc_search(task: SearchTask) -> list[list[Hypothesis]]:
    """Find ``beam`` outputs with a CTC head alone, and rank them as ``beam_search`` would.

    The decoder and the scorers only rescore these outputs. The head is that of the scorer ``ctc``,
    whose weight then counts as in beam search; without that scorer it is the head on the only
    source. Raises the errors of ``beam_search``, and UserError for a model without such a head.
    """
    settings, memories, constraints = task.settings, task.primary_memories, task.constraints()
    head = CTCHeadScorer(ctc_proposer(task.scorers))
    start = beam.begin(head, memories, task.heads, constraints, settings.beam)
    history = SearchHistory(start.constraints, settings.beam, settings.beam, start.totals)
    unpenalised = beam.Ranking(0.0, head.ceiling)  # CTC itself models the length
    beam.run(head, TopCandidates(settings.beam), unpenalised, start, history)
    weight = sum(weight for scorer, weight in task.scorers if scorer is head.scorer)
    rescoring = Rescoring.of(history.read(memories), weight, start.totals)
    panel = Panel(task.decoder, [pair for pair in task.scorers if pair[0] is not head.scorer])
    start = beam.begin(panel, task.memories, task.heads, constraints, rescoring.width)
    history = SearchHistory(start.constraints, rescoring.width, settings.n_best, start.totals)
    ranking = beam.Ranking(settings.length_penalty, math.inf)  # rescore all, stop none early
    beam.run(panel, rescoring, ranking, start, history)
    return history.read(memories)


def ctc_proposer(scorers: Sequence[tuple[Scorer, float]]) -> CTCPrefix:
    """The CTC scorer that proposes the outputs of ``ctc_search``."""
    return next((scorer for scorer, _ in scorers if isinstance(scorer, CTCPrefix)), CTCPrefix())


# Score of a token that the decoder or a scorer rules out; finite, so that rescoring ranks its
# hypothesis last instead of losing it.
RULED_OUT = -1e30


class CTCHeadScorer:
    """A CTC head as the only scorer of a search: a panel without a decoder."""

    ceiling = 0.0

    def __init__(self, scorer: CTCPrefix) -> None:
        self.scorer = scorer

    def begin(
        self, memories: Mapping[str, Memory], heads: Mapping[str, nn.Module], batch_size: int
    ) -> tuple[CTCPosteriors, None]:
        """The same as the scorer's ``start``."""
        return self.scorer.start(memories, heads, batch_size)

    def step(
        self, tokens: Tensor, state: CTCPrefixState | None, shared: CTCPosteriors
    ) -> StepScores:
        """Read tokens (B, N)."""
        additions, after = self.scorer.score(tokens, {}, state, shared)
        additions = additions.to(shared.shares)  # the precision of the search
        return StepScores(additions, additions, after, {})

    def finish(self, state: Any, shared: Any) -> float:
        """No final terms."""
        return 0.0


@dataclass(frozen=True)
class Rescoring:
    """The rescoring selector: each hypothesis is extended with the next token of a given output.

    The outputs of an input are sorted by decreasing length, so that the search, which moves ended
    hypotheses to the end, keeps each at its index. Each starts from its weighted CTC score.
    """

    tokens: Tensor  # (inputs of the search, K, T), EOS last, then PAD
    earned: Tensor  # (inputs of the search, K)

    @classmethod
    def of(cls, outputs: Sequence[Sequence[Hypothesis]], weight: float, like: Tensor) -> Rescoring:
        """Rescore the hypotheses of each input; totals begin with ``weight`` times their score."""
        longest = max(len(each.tokens) for row in outputs for each in row)
        shape = (len(outputs), max(len(row) for row in outputs))
        tokens, earned = torch.full((*shape, longest + 1), PAD), torch.zeros(shape)
        for index, row in enumerate(outputs):
            for rank, each in enumerate(sorted(row, key=lambda one: -len(one.tokens))):
                tokens[index, rank, : len(each.tokens) + 1] = torch.tensor([*each.tokens, EOS])
                earned[index, rank] = weight * each.score
        return cls(tokens.to(like.device), earned.to(like))

    @property
    def width(self) -> int:
        return self.tokens.shape[1]

    def choose(
        self, scored: StepScores, totals: Tensor, rows: Tensor, step: int | Tensor
    ) -> Candidates:
        count = totals.shape[1] if step else self.width
        tokens = self.tokens[rows, :count, step]  # (B, K)
        parents = torch.arange(count, device=rows.device) if step else rows.new_zeros(count)
        parents = parents.expand_as(tokens)
        positions = parents * scored.scores.shape[2] + tokens
        own = scored.log_probabilities.flatten(1).gather(1, positions)
        scores = scored.scores.flatten(1).gather(1, positions)
        scores = scores.masked_fill(scores == -math.inf, RULED_OUT)
        before = totals.gather(1, parents) if step else totals + self.earned[rows].to(totals)
        totals = before + scores.masked_fill(tokens == PAD, -math.inf)
        return Candidates(tokens, parents, own, totals)
