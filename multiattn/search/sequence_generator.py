"""Generate output sequences for batches: a model together with its search settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache, partial

import torch

from multiattn.data.tokenizer import Tokenizer
from multiattn.engine import fast
from multiattn.engine.batch import Batch
from multiattn.engine.model import Model
from multiattn.errors import UserError
from multiattn.recipe.settings import SearchSettings
from multiattn.search.beam import beam_search
from multiattn.search.constraints import Pieces, PrefixAutomaton, make_constraints
from multiattn.search.ctc_search import ctc_search
from multiattn.search.hypotheses import Hypothesis
from multiattn.search.panel import Ensemble, primary_memories
from multiattn.search.sampling import sample
from multiattn.search.scorers import Scorer, VocabularyScorer
from multiattn.search.task import Memories, SearchTask
from multiattn.seeds import derive


class SequenceGenerator:
    """Decodes batches with ``settings``; models must be in evaluation mode, on the batch's device.

    others: models that read the same batches and whose decoders form an ensemble with ``model``'s.
    Sampled outputs (``method: sample``) are a function of the seed and the example's id.
    """

    def __init__(
        self,
        model: Model,
        tokenizer: Tokenizer,
        settings: SearchSettings,
        scorers: Sequence[tuple[Scorer, float]],
        seed: int,
        others: Sequence[Model] = (),
    ) -> None:
        self.model = model
        self.settings = settings
        self._tokenizer = tokenizer
        self._seed = seed
        self._scorers = tuple(scorers)
        self._others = tuple(others)
        self._refuse_other_words()
        self.refresh()

    def _refuse_other_words(self) -> None:
        """Raise UserError for a language model with another vocabulary.

        Its token ids would stand for different text.
        """
        own = self._tokenizer.vocabulary
        for scorer, _ in self._scorers:
            if isinstance(scorer, VocabularyScorer) and scorer.pieces != own:
                raise UserError(
                    "expected a language model with the run's own tokens, got one with others; "
                    "train one with this run's tokenizer: multiattn run RECIPE --tokenizer RUN"
                )

    def refresh(self) -> None:
        """Use the decoders' current parameters; call it after they have changed."""
        own, *others = (fast.for_decoding(each.decoder) for each in (self.model, *self._others))
        self._decoder = Ensemble([own, *others]) if others else own

    def __call__(self, batch: Batch, prefix: str = "") -> list[list[Hypothesis]]:
        """The outputs of every input, best first.

        prefix: what the text of each begins with; pieces may end before, at or after its end, which
        need not be a word's. Raises UserError if no pieces of the vocabulary spell it.
        """
        return self.search(self.encode(batch), batch.ids, prefix)

    @torch.inference_mode()
    def encode(self, batch: Batch) -> Memories:
        """The memories of a batch; for an ensemble a list, one mapping per model, own one first."""
        own, *others = (
            each.encode(batch.sources, batch.size) for each in (self.model, *self._others)
        )
        return [own, *others] if others else own

    @torch.inference_mode()
    def search(
        self, memories: Memories, ids: Sequence[str], prefix: str = ""
    ) -> list[list[Hypothesis]]:
        """Like ``__call__``, with the memories of the inputs with these ids."""
        task = SearchTask(
            self._decoder,
            memories,
            len(ids),
            self.settings,
            self._scorers,
            dict(self.model.heads),
            self._prefixes(len(ids), prefix),
        )
        if self.settings.method == "sample":
            return sample(task, self._generators(ids))
        return ctc_search(task) if self.settings.method == "ctc" else beam_search(task)

    def limits(self, memories: Memories, batch_size: int, prefix: str = "") -> list[int]:
        """The maximum number of tokens in the output of each input."""
        prefixes = self._prefixes(batch_size, prefix)
        constraints = make_constraints(
            self.settings, primary_memories(memories), batch_size, prefixes
        )
        limits: list[int] = constraints.limits.tolist()
        return limits

    def text(self, hypothesis: Hypothesis) -> str:
        """The text of a hypothesis."""
        return self._tokenizer.decode(hypothesis.tokens)

    def _prefixes(self, batch_size: int, prefix: str) -> Sequence[PrefixAutomaton | None]:
        text = self._tokenizer.spelling(prefix)
        return [self._automaton(text)] * batch_size if text else ()

    @cached_property
    def _automaton(self) -> Callable[[str], PrefixAutomaton]:
        return lru_cache(1)(partial(PrefixAutomaton, Pieces(self._tokenizer.spellings)))

    def _generators(self, ids: Sequence[str]) -> list[torch.Generator]:
        seeds = [derive(self._seed, "sample", name) % 2**63 for name in ids]
        return [torch.Generator().manual_seed(seed) for seed in seeds]
