"""Readers of recordings and images for pretrained models.

They read with another reader, by default ``audio`` and ``image`` at the rate and the size that the
model wants, and carry the model's configuration to the encoder and into the run folder.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from numpy.typing import NDArray
from torch import Generator, Tensor

from multiattn import Slot, Tokenizer, UserError, load_host
from multiattn.protocols import FittedReader, Reader
from multiattn_huggingface.families import SpeechModelSpec, VisionModelSpec, check_family
from multiattn_huggingface.model_files import (
    copy_settings,
    find_settings,
    read_json,
    read_processor,
)

OF = "of"  # the folder of the inner reader's fitted state
MODEL = "model"  # the folder of the model's configuration
HUNDREDTHS_PER_SECOND = 100
WHISPER_HOP, FRAMES_PER_SLOT = 160, 2
DEFAULT_IMAGE_SIZE = 224


class _MediaReader:
    """Reads with another reader; knows the model.

    modality: that of the encoder. processor: the part of ``processor_config.json``. default: the
    inner reader, where the recipe names none.
    """

    modality: str
    processor: str
    default: str

    def __init__(self, model: str, revision: str, of: Callable[..., Any] | None) -> None:
        self._model = model
        self._revision = revision
        self._of: Any = None if of is None else of()
        self._data_root = Path()
        self._folder = Path()
        self._config: Mapping[str, Any] = {}
        self._processor: Mapping[str, Any] = {}

    def start_from(self, data_root: Path) -> None:
        """Look for the model below this folder; called before ``fit``."""
        self._data_root = data_root

    def fit(self, values: Iterable[Any], target: Tokenizer) -> None:
        """Read the model's configuration, and fit the inner reader. Raises UserError."""
        self._open(find_settings(self._model, self._revision, self._data_root))
        if isinstance(self._of, FittedReader):
            self._of.fit(values, target)

    def save(self, folder: Path) -> None:
        """Copy the model's configuration, and write what the inner reader learned."""
        (folder / MODEL).mkdir()
        copy_settings(self._folder, folder / MODEL)
        if isinstance(self._of, FittedReader):
            (folder / OF).mkdir()
            self._of.save(folder / OF)

    def load(self, folder: Path, target: Tokenizer) -> None:
        """Read what ``save`` wrote."""
        self._open(folder / MODEL)
        if isinstance(self._of, FittedReader):
            self._of.load(folder / OF, target)

    @property
    def random(self) -> bool:
        """Whether the inner reader is random; it is not by default."""
        return self._of is not None and getattr(self._of, "random", True)

    @property
    def accepts(self) -> tuple[type, ...]:
        """The objects that the inner reader takes."""
        of = load_host().target("reader", self.default) if self._of is None else self._of
        return tuple(getattr(of, "accepts", ()))

    def measure(self, value: Any) -> int:
        """As the inner reader."""
        return int(self._of.measure(value))

    def read(self, value: Any, generator: Generator | None = None) -> NDArray[Any]:
        """As the inner reader."""
        item: NDArray[Any] = self._of.read(value, generator)
        return item

    def collate(self, items: Sequence[NDArray[Any]]) -> tuple[Tensor, Tensor]:
        """As the inner reader."""
        values, lengths = self._of.collate(items)
        return values, lengths

    def labels(self, value: Any) -> Sequence[str]:
        """As the inner reader."""
        labels: Sequence[str] = self._of.labels(value)
        return labels

    def example_values(self, folder: Path) -> Sequence[Any]:
        """As the inner reader."""
        self._open(find_settings(self._model, self._revision, self._data_root))
        values: Sequence[Any] = self._of.example_values(folder)
        return values

    def default_settings(self) -> Mapping[str, int]:
        """The settings of the inner reader, where the recipe names none."""
        raise NotImplementedError

    def _open(self, folder: Path) -> None:
        self._config = read_json(folder / "config.json")
        check_family(self._config, self.modality, self._model)
        self._processor = read_processor(folder, self.processor)
        self._folder = folder
        if self._of is None:
            target = load_host().target("reader", self.default)
            self._of = target(**self.default_settings())


class SpeechReader(_MediaReader):
    """Reads recordings for a pretrained speech model.

    model: a folder, absolute or below the data root, or a name on the Hugging Face hub.
    revision: branch, tag or commit of a model on the hub.
    of: the reader of the recordings; None: ``audio`` at the model's sampling rate.
    """

    modality = "speech"
    processor = "feature_extractor"
    default = "audio"

    def __init__(
        self,
        *,
        model: str,
        revision: str = "main",
        of: Annotated[Callable[..., Reader], Slot("reader")] | None = None,
    ) -> None:
        super().__init__(model, revision, of)

    @property
    def spec(self) -> SpeechModelSpec:
        """What the encoder is built from. Raises UserError for a reader with another rate."""
        rate = getattr(self._of.spec, "sample_rate_hz", None)
        if rate != self._rate:
            raise UserError(
                f"expected a reader of waveforms at {self._rate} Hz, the rate of {self._model}, "
                f"got {'none' if rate is None else f'{rate} Hz'}; set of.sample_rate_hz"
            )
        config, processor = json.dumps(self._config), json.dumps(self._processor)
        return SpeechModelSpec(config, processor, self._model, self._revision, self._rate)

    def measure(self, value: Any) -> int:
        """As the inner reader. Raises UserError for a recording that is too long for Whisper."""
        size = super().measure(value)
        if self._config["model_type"] == "whisper":
            from multiattn_huggingface.speech_encoder import too_long

            hop = FRAMES_PER_SLOT * int(self._processor.get("hop_length", WHISPER_HOP))
            limit = int(self._config["max_source_positions"]) * hop / self._rate
            if size > limit * HUNDREDTHS_PER_SECOND:
                raise too_long(size / HUNDREDTHS_PER_SECOND, limit)
        return size

    def default_settings(self) -> Mapping[str, int]:
        """The model's rate."""
        return {"sample_rate_hz": self._rate}

    @property
    def _rate(self) -> int:
        return int(self._processor.get("sampling_rate", 16_000))


class VisionReader(_MediaReader):
    """Reads images for a pretrained vision model.

    model: a folder, absolute or below the data root, or a name on the Hugging Face hub.
    revision: branch, tag or commit of a model on the hub.
    of: the reader of the images; None: ``image`` at the model's size.
    """

    modality = "vision"
    processor = "image_processor"
    default = "image"

    def __init__(
        self,
        *,
        model: str,
        revision: str = "main",
        of: Annotated[Callable[..., Reader], Slot("reader")] | None = None,
    ) -> None:
        super().__init__(model, revision, of)

    @property
    def spec(self) -> VisionModelSpec:
        """What the encoder is built from."""
        config, processor = json.dumps(self._config), json.dumps(self._processor)
        size = getattr(self._of.spec, "size", self._size)
        return VisionModelSpec(config, processor, self._model, self._revision, size)

    def default_settings(self) -> Mapping[str, int]:
        """The model's size."""
        return {"size": self._size}

    @property
    def _size(self) -> int:
        """Pixels per side: after the model's crop, or as it resizes."""
        for key in ("crop_size", "size"):
            stated = self._processor.get(key)
            if isinstance(stated, int):
                return stated
            for side in ("height", "shortest_edge"):
                if isinstance(stated, Mapping) and side in stated:
                    return int(stated[side])
        return DEFAULT_IMAGE_SIZE
