"""The families of models that each encoder knows, and the specs from which encoders are built.

A spec holds the model's configuration as JSON, so that a finished run needs no file but its own.
Without a model it describes a tiny one with random weights, for checks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from multiattn import UserError


@dataclass(frozen=True)
class Family:
    """Where the parts of a transformers model are, by their names in it.

    layers: the list of its layers (or stages). after: the norm after them. unused: parts that no
    hidden state depends on. part: the encoder within the model. first_tokens: slots before the
    patches of an image, the class token first.
    """

    layers: str
    after: str = ""
    unused: str = ""
    part: str = ""
    first_tokens: int = 0


_BERT = Family("encoder.layer", unused="pooler")
_T5 = Family("block", after="final_layer_norm", part="encoder")
_CLIP = Family("encoder.layers", unused="post_layernorm", first_tokens=1)
_STAGES = Family("encoder.stages", unused="layernorm")

FAMILIES: Mapping[str, Mapping[str, Family]] = {
    "text": {
        **dict.fromkeys(("bert", "roberta", "xlm-roberta", "mpnet", "electra"), _BERT),
        "distilbert": Family("transformer.layer"),
        **dict.fromkeys(("t5", "mt5"), _T5),
    },
    "speech": {
        "whisper": Family("layers", after="layer_norm", part="encoder"),
        **dict.fromkeys(("wav2vec2", "hubert"), Family("encoder.layers")),
    },
    "vision": {
        "vit": Family("layers", after="layernorm", unused="pooler", first_tokens=1),
        "deit": Family("layers", after="layernorm", unused="pooler", first_tokens=2),
        **dict.fromkeys(("clip", "clip_vision_model"), _CLIP),
        "dinov2": Family("encoder.layer", after="layernorm", first_tokens=1),
        **dict.fromkeys(("resnet", "convnext", "convnextv2"), _STAGES),
    },
}


def check_family(config: Mapping[str, Any], modality: str, model: str) -> None:
    """Raise UserError for a configuration that the encoder of this modality cannot build."""
    model_type = str(config.get("model_type", ""))
    known = ", ".join(FAMILIES[modality])
    if "auto_map" in config:
        raise UserError(
            f"expected a model that transformers itself implements, got {model}, which asks for "
            f"code of its own (auto_map), and that is never run; choose one of type {known}"
        )
    if not model_type:
        raise UserError(
            f"expected model_type in the config.json of {model} ({known}), got none; fetch the "
            "file that belongs to the weights, as `save_pretrained` writes it"
        )
    if model_type in FAMILIES[modality]:
        return
    others = [f"hf-{other}" for other, families in FAMILIES.items() if model_type in families]
    advice = f"use {others[0]} for it" if others else "choose another model"
    raise UserError(
        f"expected a {modality} model (of type {known}), got {model}, of type {model_type}; "
        f"{advice}"
    )


_TINY = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}
_TINY_TEXT = {"model_type": "bert", "vocab_size": 32, "max_position_embeddings": 32, **_TINY}
_TINY_SPEECH = {
    "model_type": "wav2vec2",
    **_TINY,
    "conv_dim": [8, 8],
    "conv_stride": [5, 4],
    "conv_kernel": [10, 3],
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
}
_TINY_VISION = {"model_type": "vit", **_TINY, "image_size": 16, "patch_size": 4}
_HALF = [0.5, 0.5, 0.5]


@dataclass(frozen=True)
class TextModelSpec:
    """A text model: its configuration, its name and its revision."""

    config: str = field(default=json.dumps(_TINY_TEXT))
    model: str = ""
    revision: str = ""


@dataclass(frozen=True)
class SpeechModelSpec:
    """A speech model, the settings of its features, and the rate of the waveforms."""

    config: str = field(default=json.dumps(_TINY_SPEECH))
    processor: str = field(default=json.dumps({"do_normalize": True}))
    model: str = ""
    revision: str = ""
    sample_rate_hz: int = 16_000


@dataclass(frozen=True)
class VisionModelSpec:
    """A vision model, how it normalises pixels, and the side of the images."""

    config: str = field(default=json.dumps(_TINY_VISION))
    processor: str = field(default=json.dumps({"image_mean": _HALF, "image_std": _HALF}))
    model: str = ""
    revision: str = ""
    size: int = 16


ModelSpec = TextModelSpec | SpeechModelSpec | VisionModelSpec
