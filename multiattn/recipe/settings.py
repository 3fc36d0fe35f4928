"""The schema of recipes: keys, types and defaults. It imports neither torch nor a plugin.

Components are named, not imported: ``{name: additive, dim: 256}`` or just ``additive``. Their own
settings are checked against the component's signature by ``loading.py``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import (
    Field,
    PositiveFloat,
    PositiveInt,
    ValidationInfo,
    field_validator,
)

from multiattn.errors import shown
from multiattn.registry.schema import (
    Named,
    NamedComponent,
    Probability,
    Strict,
    Weighted,
    WeightedComponent,
)

SOURCE_NAME_PATTERN = r"[A-Za-z_][A-Za-z0-9_-]*"


def _percent(size: str | int) -> float:
    match = re.fullmatch(SHARE_PATTERN, str(size))
    return float(match[1]) if match else 0.0


class CorpusSettings(Named):
    """A corpus and its folder, relative to the data root.

    obtain: what to do to get it, as the end of the sentence that says that it is missing.
    """

    folder: str = "."
    obtain: str = ""


SHARE_PATTERN = r"(\d+(?:\.\d+)?) ?%"
# A split by name, or how much of the training split to cut off as one: 5%, or a number of examples.
SplitOrSize = str | Annotated[int, Field(strict=True, gt=0)]


class SplitNames(Strict):
    """Names of the corpus's splits. ``validation`` selects checkpoints; ``test`` is only scored.

    A size instead of a name cuts the split off ``train``, and the rest is trained on.
    group: the field or note whose values no cut divides, or ``id``; by default what the corpus
    says, such as its speakers, and otherwise ``id``.
    """

    train: str = "train"
    validation: SplitOrSize = "validation"
    test: SplitOrSize = "test"
    group: str | None = None

    @property
    def sizes(self) -> dict[str, str | int]:
        """What is cut off the training split: a share or a number of examples, by role."""
        given = {"validation": self.validation, "test": self.test}
        return {
            role: size
            for role, size in given.items()
            if isinstance(size, int) or size.endswith("%")
        }

    @field_validator("train")
    @classmethod
    def _the_rest_is_trained_on(cls, train: str) -> str:
        if train.endswith("%"):
            raise ValueError("the name of a split (what is not cut off it is trained on)")
        return train

    @field_validator("validation", "test")
    @classmethod
    def _shares_are_of_the_whole(cls, size: SplitOrSize) -> SplitOrSize:
        if isinstance(size, str) and size.endswith("%") and not 0 < _percent(size) < 100:
            raise ValueError("a share above 0% and below 100%, such as 5%")
        return size

    @field_validator("test")
    @classmethod
    def _something_is_left_to_train_on(
        cls, test: SplitOrSize, others: ValidationInfo
    ) -> SplitOrSize:
        validation, train = others.data.get("validation", ""), others.data.get("train", "")
        if _percent(validation) + _percent(test) >= 100:
            raise ValueError(f"a share that leaves some to train on beside {validation}")
        roles = {"validation": validation, "test": test}
        names = [train, *(name for name in roles.values() if isinstance(name, str))]
        for role, size in roles.items():
            if (isinstance(size, int) or size.endswith("%")) and role in names:
                raise ValueError(f"no split called {role!r} beside the one that is cut off")
        return test


# What neither training nor evaluation depends on.
PREDICTION_KEYS = ("sources.*.renderer", "sources.*.aligner", "sources.*.segmenter")


class SourceSettings(Strict):
    """One input: its field in the corpus, its reader and its encoder.

    renderer, aligner: by default the only one that is for the layout of the encoder's memory.
    segmenter: cuts the inputs of ``predict`` that are longer than any in training.
    """

    field: str
    reader: NamedComponent
    encoder: NamedComponent
    renderer: NamedComponent | None = None
    aligner: NamedComponent | None = None
    segmenter: NamedComponent | None = None
    cache: bool = False  # compute the output of frozen encoder parts once and keep it on disk


class TokenizerSettings(Strict):
    """The tokenizer of a source or of the target: text <-> ids."""

    kind: Literal["char", "word", "bpe", "byte", "unigram"] = "bpe"
    size: int = Field(default=8000, gt=4, le=10_000_000)  # includes the four special tokens
    unicode: Literal["nfc", "none"] = "nfc"  # nfc: also without invisible characters
    lowercase: bool = False
    sampling: Probability = 0.0


class TargetSettings(Strict):
    """The output: a text field of the corpus. A field with several values gives several targets."""

    field: str
    tokenizer: TokenizerSettings = TokenizerSettings()
    tokenizer_of: str | None = (
        None  # a run whose tokenizer, trained with the same settings, is reused unchanged
    )


class ParameterGroup(Strict):
    """Optimiser settings for parameters whose names match ``pattern`` (a regular expression)."""

    pattern: str
    learning_rate_factor: float = Field(default=1.0, ge=0.0)
    weight_decay: float | None = Field(default=None, ge=0.0)
    frozen: bool = False


class ScheduledSamplingSettings(Strict):
    """The probability of feeding back the model's own token (Bengio 2015), rising linearly."""

    start: Probability = 0.0
    end: Probability = 0.25
    over_steps: PositiveInt = 10_000


class TrainingSettings(Strict):
    """How to train. Budgets are in optimiser steps, not in time."""

    steps: PositiveInt = 10_000
    batch_tokens: PositiveInt = 2_000  # padded target tokens per optimiser step
    batch_size: PositiveInt | None = None  # maximum number of examples per optimiser step
    source_budget: Mapping[str, PositiveInt] = {}  # maximum padded input, per source
    accumulate: PositiveInt = 1
    max_target_tokens: PositiveInt = 200
    max_source: Mapping[str, PositiveInt] = {}  # longer examples are skipped and counted
    learning_rate: PositiveFloat = 1e-3
    schedule: Literal["constant", "linear", "cosine", "inverse-sqrt"] = "cosine"
    warmup_steps: int = Field(default=0, ge=0)
    adam_betas: tuple[Probability, Probability] = (0.9, 0.999)
    weight_decay: float = Field(default=0.0, ge=0.0)
    clip_norm: PositiveFloat | None = 1.0
    precision: Literal["no", "tf32", "bf16", "fp16"] = "no"
    groups: tuple[ParameterGroup, ...] = ()
    scheduled_sampling: ScheduledSamplingSettings | None = None
    validate_every: PositiveInt = 500
    validation_limit: PositiveInt | None = None  # decode only the first N validation examples
    patience: PositiveInt | None = None  # stop after N validations without improvement
    average: PositiveInt = 1  # average the N best checkpoints
    checkpoint_every: PositiveInt = 500
    log_every: PositiveInt = 50
    workers: int = Field(default=0, ge=0)  # processes that read ahead; they affect only speed
    bad_rows: Literal["stop", "skip"] = "stop"


class FusedLanguageModel(Strict):
    """A trained run without sources whose log-probabilities are added in the search."""

    run: str
    weight: float = 0.2


class SearchSettings(Strict):
    """How to decode. ``beam: 1`` is greedy search."""

    method: Literal["beam", "sample", "ctc"] = (
        "beam"  # ctc: the CTC head proposes, the rest rescore
    )
    beam: PositiveInt = 5
    n_best: PositiveInt = 1
    batch_size: PositiveInt = 32
    max_length: PositiveInt = 200
    max_length_ratio: PositiveFloat | None = None  # times the longest source's slots, plus 10
    max_source: Mapping[str, PositiveInt] = {}  # `predict` refuses longer inputs
    min_length: int = Field(default=0, ge=0)
    length_penalty: float = 1.0  # score / length ** penalty; 0 keeps the plain sum
    block_ngrams: int = Field(default=0, ge=0)  # never repeat an n-gram of this order; 0 is off
    temperature: PositiveFloat = 1.0
    top_k: int = Field(default=0, ge=0)
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    scorers: tuple[Weighted, ...] = ()
    language_model: FusedLanguageModel | None = None
    ensemble: tuple[str, ...] = ()  # runs whose probabilities are averaged with this run's

    @field_validator("n_best")
    @classmethod
    def _n_best_come_from_a_beam(cls, n_best: int, others: ValidationInfo) -> int:
        beam = others.data.get("beam", n_best)
        if others.data.get("method") != "sample" and n_best > beam:
            raise ValueError(f"at most {beam}, the beam (or a wider beam)")
        return n_best

    @field_validator("temperature", "top_k", "top_p")
    @classmethod
    def _only_draws_are_cut(cls, value: float, others: ValidationInfo) -> float:
        plain = cls.model_fields[str(others.field_name)].default
        method = others.data.get("method")
        if method in ("beam", "ctc") and value != plain:
            raise ValueError(f"{plain} with method {method!r} (or method: sample)")
        return value


class EvaluationSettings(Strict):
    """The metrics of a split; ``select`` names the one that selects checkpoints."""

    metrics: tuple[NamedComponent, ...] = ()
    select: str | None = None
    group: str | None = None  # corpus field or note (speaker) to also score by

    @field_validator("metrics")
    @classmethod
    def _scores_are_known_by_the_metric(cls, metrics: tuple[Named, ...]) -> tuple[Named, ...]:
        names = [metric.name.rpartition("/")[2] for metric in metrics]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(
                f"each metric once, unlike {', '.join(twice)} (`multiattn score` computes others)"
            )
        return metrics


class RecipeSettings(Strict):
    """A whole recipe file.

    expected: scores on the test split that the recipe has reached, by metric, on the scale that
        tables use; the report compares with them.
    """

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
    expected: Mapping[str, float] = {}

    @field_validator("sources")
    @classmethod
    def _sources_can_be_called(
        cls, sources: Mapping[str, SourceSettings]
    ) -> Mapping[str, SourceSettings]:
        odd = [name for name in sources if not re.fullmatch(SOURCE_NAME_PATTERN, name)]
        if odd:
            raise ValueError(
                f"source names of letters, digits, _ and -, a letter or _ first, unlike "
                f"{shown(odd[0])}"
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
                "neither metrics nor group in a recipe without sources, which perplexity measures"
            )
        return evaluation
