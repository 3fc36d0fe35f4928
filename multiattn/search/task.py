"""What a search is asked to do: one frozen description that beam, CTC search and sampling share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import nn

from multiattn.engine.memory import Memory
from multiattn.recipe.settings import SearchSettings
from multiattn.search.constraints import Constraints, PrefixAutomaton, make_constraints
from multiattn.search.panel import primary_memories
from multiattn.search.scorers import Decoder, Scorer

Memories = Mapping[str, Memory] | Sequence[Mapping[str, Memory]]  # the latter for an ``Ensemble``


@dataclass(frozen=True)
class SearchTask:
    """Find outputs of ``batch_size`` inputs.

    decoder: in evaluation mode.
    memories: per source, leaves (B, …); a list of such mappings for an ``Ensemble``.
    scorers: each with its weight.
    heads: the model's, for scorers that use one.
    prefixes: what each output must begin with, one or None per input; empty for none.
    """

    decoder: Decoder
    memories: Memories
    batch_size: int
    settings: SearchSettings
    scorers: Sequence[tuple[Scorer, float]] = ()
    heads: Mapping[str, nn.Module] = field(default_factory=dict)
    prefixes: Sequence[PrefixAutomaton | None] = ()

    @property
    def primary_memories(self) -> Mapping[str, Memory]:
        """The memories that limits, scorers and attention weights refer to."""
        return primary_memories(self.memories)

    def constraints(self) -> Constraints:
        """Which tokens each output may consist of. Raises UserError for too few prefixes."""
        return make_constraints(
            self.settings, self.primary_memories, self.batch_size, self.prefixes
        )
