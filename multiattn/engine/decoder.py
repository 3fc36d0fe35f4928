"""The LSTM attention decoder: begin, step, forward. Words are ids; inputs are memories.

    begin(memories, batch_size) -> (shared, state)     shared leaves (B, …), state leaves (B, 1, …)
    step(tokens (B, N), state, shared) -> scores (B, N, V), state, weights (B, N, S) per source
    forward(targets, memories, feeding, keep) -> DecoderOutput    scores per real target token

``step`` and ``forward`` compute the same function (a test requires agreement to 1e-9). Hypotheses
are reordered by indexing the state; ``shared`` is never repeated per hypothesis. Nothing is
computed for padding: rows are sorted by decreasing length and leave the loop when their target
ends.

Letters: B batch, N hypotheses, T target steps, M real target tokens, E embedding, H hidden,
S slots, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple, Protocol

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from multiattn.engine import fast
from multiattn.engine.attention import Additive, AttentionFactory
from multiattn.engine.batch import Packing, Targets
from multiattn.engine.fusion import Concat, NoSource
from multiattn.engine.memory import Memory, MemorySpec
from multiattn.engine.output_layer import Linear, OutputFactory, at_least_float32
from multiattn.engine.recurrence import InputFeeding, LSTMState
from multiattn.engine.trees import first_rows
from multiattn.registry.schema import Probability, Slot


@dataclass(frozen=True)
class DecoderOutput:
    """Scores (M, V) of the real target tokens; row m is step ``steps[m]`` of input ``rows[m]``.

    kept: what ``keep`` named: "weights", per source (B, T, S), zero past each target's end.
    """

    scores: Tensor
    rows: Tensor
    steps: Tensor
    kept: Mapping[str, Mapping[str, Tensor]]


class Feeding(Protocol):
    """Chooses the token fed to predict the next one: the gold token or the model's own."""

    def choose(self, gold: Tensor, scores: Tensor) -> Tensor:
        """Gold (n,) and the scores (n, V) of the step that predicted it -> fed (n,)."""


@dataclass(frozen=True)
class ScheduledSampling:
    """Feed the model's own sample with probability ``rate``, else gold. Bengio et al. 2015."""

    rate: float

    def choose(self, gold: Tensor, scores: Tensor) -> Tensor:
        sampled = torch.multinomial(
            torch.softmax(at_least_float32(scores.detach()), -1), 1
        ).squeeze(1)
        return torch.where(torch.rand(gold.shape, device=gold.device) < self.rate, sampled, gold)


class Shared(NamedTuple):
    """What all steps of an input share: prepared keys; symbols (B, S) of the copyable sources."""

    keys: Any
    symbols: dict[str, Tensor]


RecurrenceFactory = Annotated[Callable[..., Any], Slot("recurrence")]
FusionFactory = Annotated[Callable[..., Any], Slot("fusion")]


class InitialState(nn.Module):
    """The decoder's initial state: zeros, or tanh(W m) of the memories' means or summaries.

    Bahdanau et al. 2015, A.2.2 (summary); Xu et al. 2015, section 3.1.2 (mean). A source without
    a summary contributes its mean; one that the input lacks contributes zeros.
    """

    def __init__(
        self,
        memories: Mapping[str, MemorySpec],
        hidden_dim: int,
        layers: int,
        kind: Literal["zero", "mean", "summary"],
    ) -> None:
        super().__init__()
        self.hidden_dim, self.layers = hidden_dim, layers
        self.summarised = {
            name: kind == "summary" and spec.summary_dim > 0 for name, spec in memories.items()
        }
        width = sum(
            spec.summary_dim if self.summarised[name] else spec.dim
            for name, spec in memories.items()
        )
        self.bridge = None
        if kind != "zero" and memories:
            self.bridge = nn.Linear(width, 2 * layers * hidden_dim)

    def forward(self, memories: Mapping[str, Memory], batch_size: int, like: Tensor) -> LSTMState:
        """Hidden and cell of every layer, each (B, 1, H)."""
        if self.bridge is None:
            zero = like.new_zeros(batch_size, 1, self.hidden_dim)
            return ((zero, zero),) * self.layers
        seen = [self._view(name, memories[name]) for name in self.summarised]
        start = torch.tanh(self.bridge(torch.cat(seen, -1))).unsqueeze(1)  # (B, 1, 2LH)
        parts = torch.split(start, self.hidden_dim, -1)
        return tuple(zip(parts[::2], parts[1::2], strict=True))

    def _view(self, name: str, memory: Memory) -> Tensor:
        if self.summarised[name] and memory.summary is not None:
            return memory.summary
        count = memory.mask.sum(1, keepdim=True).clamp(min=1)
        return memory.values.sum(1) / count


class LSTMDecoder(nn.Module):
    """Embedding, initial state, recurrence with its attention, output.

    ``recurrence`` sets the order of cell and attention; ``output`` scores the vocabulary.
    ``dropout`` applies to the embedded words; the output has its own.
    """

    def __init__(
        self,
        vocabulary_size: int,
        memories: Mapping[str, MemorySpec],
        *,
        embedding_dim: PositiveInt = 256,
        hidden_dim: PositiveInt = 512,
        recurrence: RecurrenceFactory = InputFeeding,
        attention: AttentionFactory = Additive,
        fusion: FusionFactory = Concat,
        initial_state: Literal["zero", "mean", "summary"] = "summary",
        output: OutputFactory = Linear,
        dropout: Probability = 0.0,
    ) -> None:
        super().__init__()
        self.vocabulary_size = vocabulary_size

        def fuse(query_dim: int) -> Any:
            return fusion(query_dim, memories, attention) if memories else NoSource()

        self.embedding = nn.Embedding(vocabulary_size, embedding_dim)
        nn.init.normal_(self.embedding.weight, std=embedding_dim**-0.5)
        self.recurrence = recurrence(embedding_dim, hidden_dim, fuse)
        self.initial_state = InitialState(
            memories, hidden_dim, self.recurrence.layers, initial_state
        )
        self.output = output(self.recurrence.features_dim, self.embedding)
        self.dropout = nn.Dropout(dropout)
        self.captured = fast.Captured("the decoder")

    def begin(self, memories: Mapping[str, Memory], batch_size: int) -> tuple[Shared, Any]:
        """Return what all steps of an input share, and the state before the first word."""
        layers = self.initial_state(memories, batch_size, self.embedding.weight)
        shared = Shared(self.recurrence.prepare(memories), _symbols(memories))
        return shared, self.recurrence.begin(layers)

    def step(
        self, tokens: Tensor, state: Any, shared: Shared
    ) -> tuple[Tensor, Any, dict[str, Tensor]]:
        """Read tokens (B, N); return next-token scores (B, N, V), state, attention weights."""
        embedded = self.dropout(self.embedding(tokens))  # (B, N, E)
        features, state, weights = self.recurrence(embedded, state, shared.keys)
        copies = [(weights[name], symbols.unsqueeze(1)) for name, symbols in shared.symbols.items()]
        return self.output(features, embedded, copies), state, weights

    def forward(
        self,
        targets: Targets,
        memories: Mapping[str, Memory],
        feeding: Feeding | None = None,
        keep: tuple[str, ...] = (),
    ) -> DecoderOutput:
        """Scores of every real target token, with teacher forcing or tokens chosen by ``feeding``.

        keep: only "weights" may be named; raises ValueError for anything else.
        """
        if unknown := set(keep) - {"weights"}:
            raise ValueError(f"expected to keep weights or nothing, got {', '.join(unknown)}")
        packing = targets.packing or Packing.of(targets.lengths)
        if feeding is None:
            scores, weights = self._taught(targets, packing, memories, "weights" in keep)
        else:
            scores, weights = self._fed(targets, packing, memories, feeding)
        kept = {"weights": _unpacked(weights, packing)} if "weights" in keep else {}
        return DecoderOutput(scores, packing.rows, packing.steps, kept)

    def _taught(
        self,
        targets: Targets,
        packing: Packing,
        memories: Mapping[str, Memory],
        keep_weights: bool,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Run all steps with teacher forcing: scores (M, V) and per source weights (M, S)."""
        symbols = _symbols(memories)
        if self.captured.applies(targets.tokens.device):
            features, embedded, weights = fast.unroll_batch(
                self, self.captured, targets, packing, memories, keep_weights or bool(symbols)
            )
        else:
            shared, state = self._begin_in_order(packing, memories)
            fed = targets.inputs()[packing.rows, packing.steps]  # (M,)
            embedded = self.dropout(self.embedding(fed))  # (M, E)
            features, weights = fast.unroll(
                self.recurrence, embedded, packing.counts, state, shared.keys
            )
        copies = [(weights[name], each[packing.rows]) for name, each in symbols.items()]
        return self.output(features, embedded, copies), weights

    def _begin_in_order(
        self, packing: Packing, memories: Mapping[str, Memory]
    ) -> tuple[Shared, Any]:
        """Begin with the rows in the order of the packing."""
        ordered = {name: memory.select(packing.order) for name, memory in memories.items()}
        return self.begin(ordered, len(packing.order))

    def _fed(
        self,
        targets: Targets,
        packing: Packing,
        memories: Mapping[str, Memory],
        feeding: Feeding,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Run step by step, with ``feeding`` choosing each token fed after the first."""
        shared, state = self._begin_in_order(packing, memories)
        gold = targets.inputs()[packing.rows, packing.steps]  # (M,)
        scores: list[Tensor] = []
        step_weights: list[dict[str, Tensor]] = []
        for step_gold in torch.split(gold, list(packing.counts)):
            alive = step_gold.size(0)
            state, shared = first_rows((state, shared), alive)
            tokens = feeding.choose(step_gold, scores[-1][:alive]) if scores else step_gold
            step_scores, state, weights = self.step(tokens.unsqueeze(1), state, shared)
            scores.append(step_scores.squeeze(1))
            step_weights.append({name: leaf.squeeze(1) for name, leaf in weights.items()})
        return torch.cat(scores), fast.concatenate_weights(step_weights)


def _symbols(memories: Mapping[str, Memory]) -> dict[str, Tensor]:
    """The symbols (B, S) of the copyable sources."""
    return {name: memory.symbols for name, memory in memories.items() if memory.symbols is not None}


def _unpacked(weights: Mapping[str, Tensor], packing: Packing) -> dict[str, Tensor]:
    """Per source (M, S) -> (B, T, S), zero past each target's end."""
    shape = len(packing.order), len(packing.counts)
    return {
        name: leaf.new_zeros(*shape, leaf.size(-1)).index_put((packing.rows, packing.steps), leaf)
        for name, leaf in weights.items()
    }
