"""Tiny models with random weights, saved as transformers saves them; nothing is downloaded."""

from __future__ import annotations

import importlib.util
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

PRESENT = all(map(importlib.util.find_spec, ("transformers", "datasets", "multiattn_huggingface")))
collect_ignore_glob = [] if PRESENT else ["test_*.py"]

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "dog", "run", "##s", "fast", ".", "the", "cat"]
SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}
TEXT = {"vocab_size": 40, "max_position_embeddings": 24, **SIZES}
PADDED = {**TEXT, "pad_token_id": 0}
T5 = {"vocab_size": 40, "d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 3, "num_heads": 2}
CONVOLUTIONS = {
    **SIZES,
    "conv_dim": (8, 8),
    "conv_stride": (5, 4),
    "conv_kernel": (10, 3),
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
}
WHISPER = {
    "d_model": 16,
    "encoder_layers": 3,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "decoder_layers": 1,
    "decoder_attention_heads": 2,
    "decoder_ffn_dim": 8,
    "max_source_positions": 50,
    "num_mel_bins": 8,
    "vocab_size": 40,
    **dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id"), 0),
    "decoder_start_token_id": 0,
}
VISION = {**SIZES, "image_size": 16, "patch_size": 4}
STAGES = {"hidden_sizes": [8, 16], "depths": [1, 1]}
STABLE = {"feat_extract_norm": "layer", "do_stable_layer_norm": True}

# name -> class of the model, its configuration, settings of its media
FAMILIES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "bert": ("BertModel", "BertConfig", TEXT),
    "roberta": ("RobertaModel", "RobertaConfig", PADDED),
    "xlm-roberta": ("XLMRobertaModel", "XLMRobertaConfig", PADDED),
    "mpnet": ("MPNetModel", "MPNetConfig", PADDED),
    "electra": ("ElectraModel", "ElectraConfig", {**TEXT, "embedding_size": 16}),
    "distilbert": (
        "DistilBertModel",
        "DistilBertConfig",
        {"vocab_size": 40, "dim": 16, "n_layers": 3, "n_heads": 2, "hidden_dim": 32},
    ),
    "t5": ("T5ForConditionalGeneration", "T5Config", T5),
    "mt5": ("MT5EncoderModel", "MT5Config", T5),
    "whisper": ("WhisperModel", "WhisperConfig", WHISPER),
    "wav2vec2": ("Wav2Vec2Model", "Wav2Vec2Config", CONVOLUTIONS),
    "wav2vec2-stable": ("Wav2Vec2Model", "Wav2Vec2Config", {**CONVOLUTIONS, **STABLE}),
    "hubert": ("HubertModel", "HubertConfig", CONVOLUTIONS),
    "vit": ("ViTModel", "ViTConfig", VISION),
    "deit": ("DeiTModel", "DeiTConfig", VISION),
    "clip": ("CLIPModel", "CLIPConfig", {"vision_config": VISION, "text_config": TEXT}),
    "dinov2": (
        "Dinov2Model",
        "Dinov2Config",
        {**{key: VISION[key] for key in VISION if key != "intermediate_size"}, "mlp_ratio": 2},
    ),
    "resnet": (
        "ResNetModel",
        "ResNetConfig",
        {**STAGES, "embedding_size": 8, "layer_type": "basic"},
    ),
    "convnext": ("ConvNextModel", "ConvNextConfig", {**STAGES, "num_stages": 2}),
    "convnextv2": ("ConvNextV2Model", "ConvNextV2Config", {**STAGES, "num_stages": 2}),
}
TEXTS = ("bert", "roberta", "xlm-roberta", "mpnet", "electra", "distilbert", "t5", "mt5")
IMAGES = ("vit", "deit", "clip", "dinov2", "resnet", "convnext", "convnextv2")
WHISPER_PROCESSOR = {
    "feature_extractor_type": "WhisperFeatureExtractor",
    "feature_size": 8,
    "chunk_length": 1,
    "sampling_rate": 16_000,
}
WAVE_PROCESSOR = {"do_normalize": True, "sampling_rate": 16_000}
IMAGE_PROCESSOR = {
    "image_mean": [0.5, 0.4, 0.3],
    "image_std": [0.2, 0.3, 0.4],
    "size": {"shortest_edge": 16},
}


def word_pieces() -> Any:
    """BERT's tokenizer over a dozen words."""
    made = Tokenizer(
        models.WordPiece({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]")
    )
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return made


def write_tokenizer(folder: Path, **tokens: str) -> None:
    import transformers

    named = {"unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", **tokens}
    transformers.PreTrainedTokenizerFast(tokenizer_object=word_pieces(), **named).save_pretrained(
        folder
    )


def processor_of(family: str) -> dict[str, Any]:
    if family in IMAGES:
        return IMAGE_PROCESSOR
    return WHISPER_PROCESSOR if family == "whisper" else WAVE_PROCESSOR


@pytest.fixture
def save_tokenizer() -> Callable[..., None]:
    """Save BERT's tokenizer with these special tokens into a folder."""
    return write_tokenizer


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folder of a tiny model of a family, made once."""
    import transformers

    root = tmp_path_factory.mktemp("models")

    def make(family: str) -> Path:
        folder = root / family
        if not folder.exists():
            model, config, settings = FAMILIES[family]
            torch.manual_seed(0)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                built = getattr(transformers, model)(getattr(transformers, config)(**settings))
            for leaf in built.parameters():  # no two layers alike, no norm without effect
                leaf.data += 0.05 * torch.randn_like(leaf)
            built.save_pretrained(folder)
            if family in TEXTS:
                write_tokenizer(folder, pad_token="[PAD]")
            else:
                (folder / "preprocessor_config.json").write_text(json.dumps(processor_of(family)))
        return folder

    return make
