"""Self-critical training: reward sampled outputs by how far they beat the greedy output.

Rennie et al. 2017, "Self-critical sequence training for image captioning", sections 3-4.

Letters: B inputs, K samples of each, T steps, M real tokens of all samples, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import PositiveInt, TypeAdapter
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from multiattn.data.tokenizer import Tokenizer
from multiattn.engine import fast
from multiattn.engine.batch import Targets
from multiattn.engine.memory import Memory, MemorySpec
from multiattn.engine.output_layer import at_least_float32
from multiattn.engine.trees import tree_map
from multiattn.errors import UserError
from multiattn.recipe.settings import SearchSettings
from multiattn.registry.schema import NamedComponent, Slot
from multiattn.scoring.comparable_texts import comparable
from multiattn.scoring.metric import CorpusWeightedMetric, Metric, References
from multiattn.search.beam import beam_search
from multiattn.search.constraints import make_constraints
from multiattn.search.sampling import sample
from multiattn.search.task import SearchTask
from multiattn.seeds import derive
from multiattn.symbols import BOS, EOS, PAD
from multiattn.training.loss import sum_per_row
from multiattn.training.objectives import Loss, ObjectiveContext

MetricFactory = Annotated[Callable[[], Metric], Slot("metric")]
TokenIds = tuple[int, ...]  # of one output, without BOS and EOS


class SelfCritical:
    """Minus the expected ``reward`` of an output: L = -E[r(y)], y sampled from the model.

    The gradient is estimated from ``samples`` samples of each input: (r(y) - r(ŷ)) ∇(-log p(y)),
    with ŷ the greedy output, so that samples which beat the greedy output become likelier. The
    reported value is -r(y); without gradients, as in validation, it is -r(ŷ). Sum and count are
    over inputs: the gradient is of the mean reward per input, not per token.

    reward: a metric, computed on each output alone; a metric with a method ``fitted`` takes its
    corpus statistics (document frequencies) from the training references. The sign is flipped for
    a metric where lower is better. Samples obey the length limits of the recipe's ``search``.
    Samples, greedy outputs and the gradient all use the decoder without dropout, so that they refer
    to the same distribution.

    It learns from references, not from the target of a row, and slowly: start from a trained run
    (``--init RUN``). Raises UserError in a recipe without sources.
    """

    keep: tuple[str, ...] = ()
    needs_output = False

    def __init__(self, *, reward: MetricFactory, samples: PositiveInt = 1) -> None:
        self._make_metric = reward
        self.samples = samples
        self._setup: RewardSetup | None = None

    def heads(
        self, vocabulary_size: int, memories: Mapping[str, MemorySpec]
    ) -> dict[str, nn.Module]:
        if not memories:
            raise UserError(
                "objective 'self-critical' compares the outputs for an input with its "
                "references, but this recipe has no sources; train it with cross-entropy"
            )
        return {}

    def prepare(self, context: ObjectiveContext) -> None:
        """Set up the reward, found by its name in the recipe, and the search settings."""
        reward = TypeAdapter(NamedComponent).validate_python(context.named.settings["reward"])
        record: Any = context.host.find("metric", reward.name).record
        metric: Any = self._make_metric()
        if isinstance(metric, CorpusWeightedMetric):
            metric = metric.fitted(comparable([], context.references).references)
        sign = 1.0 if record.higher_is_better else -1.0
        self._setup = RewardSetup(
            Reward(metric, record.name, sign, context.tokenizer),
            context.search.model_copy(update={"method": "beam", "beam": 1, "n_best": 1}),
            SearchSettings(
                method="sample",
                n_best=self.samples,
                max_length=context.search.max_length,
                max_length_ratio=context.search.max_length_ratio,
            ),
        )

    def count(self, batch: Any) -> int:
        """Inputs."""
        return len(batch.ids)

    def loss(self, model: Any, batch: Any, memories: Mapping[str, Memory], output: object) -> Loss:
        """Minus the summed rewards of a batch, one per input; ``output`` is ignored."""
        if self._setup is None:
            raise RuntimeError("expected prepare() before the first loss")
        setup, decoder = self._setup, model.decoder
        like = at_least_float32(next(iter(memories.values())).values)
        count = like.new_full((), batch.size)
        with evaluation_mode(decoder):
            search = MemorySearch(decoder, memories, batch.ids)
            greedy = search(setup.greedy)
            if not torch.is_grad_enabled():
                earned = setup.critic.rewards(greedy, batch.references)
                return -like.new_tensor(earned).sum(), count
            drawn = search(setup.drawing)
            limits = make_constraints(setup.drawing, memories, batch.size, ()).limits  # (B,)
            surprises = self._surprises(decoder, memories, drawn, limits)  # (B·K,)
        again = [texts for texts in batch.references for _ in range(self.samples)]
        rewards = setup.critic.rewards([*greedy, *drawn], [*batch.references, *again])
        best, reached = torch.split(like.new_tensor(rewards), [len(greedy), len(drawn)])
        advantages = reached - best.repeat_interleave(self.samples)  # (B·K,)
        policy = (advantages * surprises).sum() / self.samples
        return policy - policy.detach() - reached.sum() / self.samples, count

    def _surprises(
        self,
        decoder: Any,
        memories: Mapping[str, Memory],
        drawn: Sequence[TokenIds],
        limits: Tensor,
    ) -> Tensor:
        """-log p of every sample (B·K,), under the distribution that it was sampled from.

        As in ``Constraints``, PAD and BOS may not come, and a sample at its limit (B,) can only
        end.
        """
        device = next(decoder.parameters()).device
        tokens = [torch.tensor([*words, EOS], device=device) for words in drawn]
        lengths = torch.tensor([len(each) for each in tokens], device=device)
        padded = pad_sequence(tokens, batch_first=True, padding_value=PAD)  # (B·K, T)
        inputs = torch.arange(len(limits), device=device).repeat_interleave(self.samples)  # (B·K,)
        repeated = {name: memory.select(inputs) for name, memory in memories.items()}
        output = decoder(Targets(padded, lengths), repeated)
        never = torch.tensor([PAD, BOS], device=device)
        scores = at_least_float32(output.scores).index_fill(1, never, -torch.inf)  # (M, V)
        gold = padded[output.rows, output.steps]  # (M,)
        surprise = F.cross_entropy(scores, gold, reduction="none")
        chosen = output.steps < limits.to(device)[inputs][output.rows]  # (M,)
        return sum_per_row(surprise * chosen, output, len(drawn))


@dataclass(frozen=True)
class Reward:
    """The reward of an output: the value ``name`` of a metric, computed on this output alone."""

    metric: Metric
    name: str
    sign: float
    tokenizer: Tokenizer

    def rewards(self, outputs: Sequence[TokenIds], references: References) -> list[float]:
        """One reward per output; higher is better."""
        decoded = [self.tokenizer.decode(words) for words in outputs]
        texts = comparable([decoded], references)
        rows = self.metric.statistics(texts.systems[0], texts.references)
        statistics = np.asarray(rows, dtype=np.float64)
        return [self.sign * self.metric.aggregate(row, 1)[self.name] for row in statistics]


@dataclass(frozen=True)
class RewardSetup:
    """The reward of a run, and the settings for greedy search and for sampling."""

    critic: Reward
    greedy: SearchSettings
    drawing: SearchSettings


class MemorySearch:
    """Runs several searches over the same memories; the decoder is prepared only once."""

    @torch.no_grad()
    def __init__(self, decoder: Any, memories: Mapping[str, Memory], ids: Sequence[str]) -> None:
        like = next(decoder.parameters())
        self._device = like.device.type
        self._ids = ids
        self._memories = tree_map(
            lambda leaf: leaf.to(like) if leaf.is_floating_point() else leaf, memories
        )
        with torch.autocast(self._device, enabled=False):  # as in every other search
            self._decoder = fast.for_decoding(decoder)

    @torch.no_grad()
    def __call__(self, search: SearchSettings) -> list[TokenIds]:
        """The ``n_best`` outputs of every input, input by input: (B·n_best).

        Samples are a function of torch's generator, which advances, and of the example's id.
        """
        task = SearchTask(self._decoder, self._memories, len(self._ids), search)
        with torch.autocast(self._device, enabled=False):
            if search.method == "sample":
                seed = int(torch.randint(2**62, ()))
                seeds = [derive(seed, name) % 2**63 for name in self._ids]
                outputs = sample(task, [torch.Generator().manual_seed(each) for each in seeds])
            else:
                outputs = beam_search(task)
        return [hypothesis.tokens for hypotheses in outputs for hypothesis in hypotheses]


@contextmanager
def evaluation_mode(decoder: nn.Module) -> Iterator[None]:
    """Put ``decoder`` into evaluation mode, without dropout, and restore its mode afterwards."""
    training = decoder.training
    decoder.eval()
    try:
        yield
    finally:
        decoder.train(training)
