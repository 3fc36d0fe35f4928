"""A model and how it searches, as one thing that turns a batch into outputs.

It refuses to know where batches come from and what becomes of the outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch

from multiattn import fast
from multiattn.batches import Batch
from multiattn.errors import UserError
from multiattn.hypotheses import Hypothesis, make_rules
from multiattn.memory import Memory
from multiattn.model import Model
from multiattn.plan import derive
from multiattn.scorers import Scorer
from multiattn.search import beam_search, ctc_search, sample
from multiattn.settings import Search
from multiattn.tokenizer import Tokenizer


class Writer:
    """Writes what ``search`` says; the model must be in evaluation mode and on the batch's device.

    Drawn outputs (``method: sample``) are a function of the seed and the example's id.
    """

    def __init__(
        self,
        model: Model,
        tokenizer: Tokenizer,
        search: Search,
        scorers: Sequence[tuple[Scorer, float]],
        seed: int,
    ) -> None:
        self.model = model
        self.search = search
        self._tokenizer = tokenizer
        self._seed = seed
        self._scorers = tuple(scorers)
        self._refuse_other_words()
        self.refresh()

    def _refuse_other_words(self) -> None:
        """Two language models agree on a token's number only if they agree on what it says."""
        own = tuple(self._tokenizer.pieces(range(self._tokenizer.size)))
        for scorer, _ in self._scorers:
            if getattr(scorer, "pieces", own) != own:
                raise UserError(
                    "expected a language model over the run's own tokens, got one over others; "
                    "train one with this run's tokenizer: multiattn run RECIPE --tokenizer RUN"
                )

    def refresh(self) -> None:
        """Take the decoder's weights as they are now; call it after they have changed."""
        self._decoder = fast.for_decoding(self.model.decoder)

    def __call__(self, batch: Batch, prefix: str = "") -> list[list[Hypothesis]]:
        """The best outputs of every input, best first; each begins with ``prefix``."""
        return self.search_in(self.encode(batch), batch.ids, prefix)

    @torch.inference_mode()
    def encode(self, batch: Batch) -> dict[str, Memory]:
        """The memories of a batch."""
        return self.model.encode(batch.sources, batch.size)

    @torch.inference_mode()
    def search_in(
        self, memories: Mapping[str, Memory], ids: Sequence[str], prefix: str = ""
    ) -> list[list[Hypothesis]]:
        """As calling it, with the memories of the inputs called ``ids``."""
        search: Callable[..., list[list[Hypothesis]]] = beam_search
        if self.search.method == "ctc":
            search = ctc_search
        if self.search.method == "sample":
            search = partial(sample, generators=self._draws(ids))
        return search(
            self._decoder,
            memories,
            len(ids),
            self.search,
            scorers=self._scorers,
            heads=dict(self.model.heads),
            prefixes=self._prefixes(len(ids), prefix),
        )

    def limits(
        self, memories: Mapping[str, Memory], batch_size: int, prefix: str = ""
    ) -> list[int]:
        """How many tokens the output of each input may have."""
        prefixes = self._prefixes(batch_size, prefix)
        limits: list[int] = make_rules(self.search, memories, batch_size, prefixes).limits.tolist()
        return limits

    def text(self, hypothesis: Hypothesis) -> str:
        """What a hypothesis says."""
        return self._tokenizer.decode(hypothesis.tokens)

    def _prefixes(self, batch_size: int, prefix: str) -> Sequence[Sequence[int]]:
        return [self._tokenizer.encode(prefix)] * batch_size if prefix else ()

    def _draws(self, ids: Sequence[str]) -> list[torch.Generator]:
        seeds = [derive(self._seed, "sample", name) % 2**63 for name in ids]
        return [torch.Generator().manual_seed(seed) for seed in seeds]
