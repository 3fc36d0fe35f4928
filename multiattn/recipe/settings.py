"""What a recipe may say, with types and defaults. Frozen; it imports neither torch nor a plugin.

Components are named, not imported: ``{name: additive, dim: 256}`` or just ``additive``. Their own
settings are checked against the component's signature by ``recipe.py``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from pydantic import (
    Field,
    PositiveFloat,
    PositiveInt,
    ValidationInfo,
    field_validator,
)

from multiattn.registry.schema import (
    Named,
    NamedComponent,
    Probability,
    Strict,
    Weighted,
    WeightedComponent,
)

SOURCE_NAME_PATTERN = r"[A-Za-z_][A-Za-z0-9_-]*"


class CorpusSettings(Named):
    """A corpus and the folder where it lies, relative to the data root."""

    folder: str = "."


class SplitNames(Strict):
    """Names of the corpus's splits. Choosing happens on ``validation``; ``test`` is only scored."""

    train: str = "train"
    validation: str = "validation"
    test: str = "test"


class SourceSettings(Strict):
    """One input: which field of the corpus, who reads it, who encodes it."""

    field: str
    reader: NamedComponent
    encoder: NamedComponent
    cache: bool = False  # what frozen parts of the encoder give is computed once and kept on disk


class TokenizerSettings(Strict):
    """Text <-> ids of one side."""

    kind: Literal["char", "word", "bpe", "unigram"] = "bpe"
    size: int = Field(default=8000, gt=4, le=10_000_000)  # four are specials
    lowercase: bool = False
    sampling: Probability = 0.0


class TargetSettings(Strict):
    """The output: a text field of the corpus. Several values of a field are several targets."""

    field: str
    tokenizer: TokenizerSettings = TokenizerSettings()
    tokenizer_of: str | None = (
        None  # a run whose tokenizer, of the same settings, is taken as it is
    )


class ParameterGroup(Strict):
    """Parameters whose name ``pattern`` (a regular expression) finds learn otherwise."""

    pattern: str
    learning_rate_factor: float = Field(default=1.0, ge=0.0)
    weight_decay: float | None = Field(default=None, ge=0.0)
    frozen: bool = False


class ScheduledSamplingSettings(Strict):
    """The share of fed words that are the model's own (Bengio 2015), rising linearly over steps."""

    start: Probability = 0.0
    end: Probability = 0.25
    over_steps: PositiveInt = 10_000


class TrainingSettings(Strict):
    """One run of the optimiser. Budgets are in optimiser steps, not in time."""

    steps: PositiveInt = 10_000
    batch_tokens: PositiveInt = 2_000  # padded target tokens of one optimiser step
    batch_size: PositiveInt | None = None  # at most so many examples in one optimiser step
    source_budget: Mapping[str, PositiveInt] = {}  # at most so much padded input, per source
    accumulate: PositiveInt = 1
    max_target_tokens: PositiveInt = 200
    max_source: Mapping[str, PositiveInt] = {}  # longer examples are left out and counted
    learning_rate: PositiveFloat = 1e-3
    schedule: Literal["constant", "linear", "cosine", "inverse-sqrt"] = "cosine"
    warmup_steps: int = Field(default=0, ge=0)
    adam_betas: tuple[Probability, Probability] = (0.9, 0.999)
    weight_decay: float = Field(default=0.0, ge=0.0)
    clip_norm: PositiveFloat | None = 1.0
    precision: Literal["no", "bf16", "fp16"] = "no"
    groups: tuple[ParameterGroup, ...] = ()
    scheduled_sampling: ScheduledSamplingSettings | None = None
    validate_every: PositiveInt = 500
    validation_limit: PositiveInt | None = None  # decode only the first so many validation examples
    patience: PositiveInt | None = None  # validations without a better score
    average: PositiveInt = 1  # the best so many checkpoints, averaged
    checkpoint_every: PositiveInt = 500
    log_every: PositiveInt = 50
    workers: int = Field(default=0, ge=0)  # processes that read ahead; they change only time
    bad_rows: Literal["stop", "skip"] = "stop"


class FusedLanguageModel(Strict):
    """A trained run without sources whose log-probabilities join the search."""

    run: str
    weight: float = 0.2


class SearchSettings(Strict):
    """How outputs are found. ``beam: 1`` is greedy."""

    method: Literal["beam", "sample", "ctc"] = "beam"  # ctc: its head proposes, all others rescore
    beam: PositiveInt = 5
    n_best: PositiveInt = 1
    batch_size: PositiveInt = 32
    max_length: PositiveInt = 200
    max_length_ratio: PositiveFloat | None = None  # of the longest source's slots, plus 10
    min_length: int = Field(default=0, ge=0)
    length_penalty: float = 1.0  # score / length ** penalty; 0 is the plain sum
    block_ngrams: int = Field(default=0, ge=0)  # no n-gram of this order twice; 0 is off
    temperature: PositiveFloat = 1.0
    top_k: int = Field(default=0, ge=0)
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    scorers: tuple[Weighted, ...] = ()
    language_model: FusedLanguageModel | None = None
    ensemble: tuple[str, ...] = ()  # runs whose probabilities are averaged with this one's

    @field_validator("n_best")
    @classmethod
    def _n_best_come_from_a_beam(cls, n_best: int, others: ValidationInfo) -> int:
        beam = others.data.get("beam", n_best)
        if others.data.get("method") != "sample" and n_best > beam:
            raise ValueError(f"n_best of at most beam, {beam} (or a wider beam)")
        return n_best

    @field_validator("temperature", "top_k", "top_p")
    @classmethod
    def _only_draws_are_cut(cls, value: float, others: ValidationInfo) -> float:
        plain = cls.model_fields[str(others.field_name)].default
        method = others.data.get("method")
        if method in ("beam", "ctc") and value != plain:
            raise ValueError(f"{plain} with method {method!r} (or method: sample, which draws)")
        return value


class EvaluationSettings(Strict):
    """Metrics of a split; ``select`` is the one that chooses among checkpoints."""

    metrics: tuple[NamedComponent, ...] = ()
    select: str | None = None
    group: str | None = None  # a field or note of the corpus (speaker): scores for each value too

    @field_validator("metrics")
    @classmethod
    def _scores_are_known_by_the_metric(cls, metrics: tuple[Named, ...]) -> tuple[Named, ...]:
        names = [metric.name.rpartition("/")[2] for metric in metrics]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(
                f"each metric once, unlike {', '.join(twice)} (`multiattn score` gives the others)"
            )
        return metrics


class RecipeSettings(Strict):
    """A whole recipe file."""

    summary: str = ""
    seed: int = 1
    corpus: CorpusSettings
    splits: SplitNames = SplitNames()
    sources: Mapping[str, SourceSettings] = {}
    target: TargetSettings
    decoder: NamedComponent
    objectives: tuple[Weighted, ...] = Field(
        default=(WeightedComponent(name="cross-entropy"),), min_length=1
    )
    training: TrainingSettings = TrainingSettings()
    search: SearchSettings = SearchSettings()
    evaluation: EvaluationSettings = EvaluationSettings()

    @field_validator("sources")
    @classmethod
    def _sources_can_be_called(
        cls, sources: Mapping[str, SourceSettings]
    ) -> Mapping[str, SourceSettings]:
        odd = [name for name in sources if not re.fullmatch(SOURCE_NAME_PATTERN, name)]
        if odd:
            raise ValueError(
                f"names of a-z, digits, _ and - for sources, a letter first, unlike {odd[0]!r}"
            )
        return sources

    @field_validator("evaluation")
    @classmethod
    def _outputs_are_of_inputs(
        cls, evaluation: EvaluationSettings, others: ValidationInfo
    ) -> EvaluationSettings:
        judged = evaluation.metrics or evaluation.group is not None
        if judged and not others.data.get("sources", True):
            raise ValueError(
                "neither metrics nor group in a recipe without sources, measured by perplexity"
            )
        return evaluation
