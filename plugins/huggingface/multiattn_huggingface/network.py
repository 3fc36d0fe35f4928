"""Builds a model of transformers from its configuration, loads its weights, freezes its layers."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn

from multiattn import UserError
from multiattn_huggingface.families import FAMILIES, Family, ModelSpec, check_family
from multiattn_huggingface.model_files import find_weights

SHOWN = 3  # names of weights in a message
NO_CHANCE = {  # what a configuration may ask for in training, where dropout is enough
    "layerdrop": 0.0,
    "encoder_layerdrop": 0.0,
    "apply_spec_augment": False,
    "mask_time_prob": 0.0,
    "mask_feature_prob": 0.0,
    "add_adapter": False,
    "decoder_layers": 0,
}


def build_network(spec: ModelSpec, modality: str) -> tuple[Any, Family]:
    """The encoder of a model, with random weights, and its family. Raises UserError."""
    raw = json.loads(spec.config)
    check_family(raw, modality, spec.model)
    family = FAMILIES[modality][raw["model_type"]]
    try:
        network = _model_class(raw)(_config(raw))
    except Exception as error:  # of torch, of transformers and of huggingface_hub's dataclasses
        raise UserError(
            f"expected a configuration that transformers can build, got {spec.model} "
            f"({' '.join(str(error).split())}); "
            "repair its config.json"
        ) from error
    return network.get_submodule(family.part), family


def load_weights(network: nn.Module, spec: ModelSpec, family: Family, data_root: Path) -> str:
    """Load the model's weights; return where from, "" for a model without a name.

    Raises UserError for weights that are missing, damaged or of another model.
    """
    if not spec.model:
        return ""
    folder, raw = find_weights(spec.model, spec.revision, data_root), json.loads(spec.config)
    try:
        with _silent():
            loaded, report = _model_class(raw).from_pretrained(
                folder,
                config=_config(raw),
                dtype=torch.float32,
                local_files_only=True,
                use_safetensors=True,
                ignore_mismatched_sizes=True,  # refused below, by name
                output_loading_info=True,
            )
    except (SafetensorError, OSError, RuntimeError, ValueError) as error:
        raise UserError(
            f"expected weights of the model in {folder}, got {' '.join(str(error).split())}; "
            "fetch them again"
        ) from error
    _refuse_other_sizes(report["mismatched_keys"], family, folder)
    _refuse_missing(report["missing_keys"], family, folder)
    network.load_state_dict(loaded.get_submodule(family.part).state_dict())
    return f"{spec.model} from {folder}"


@contextmanager
def _silent() -> Iterator[None]:
    """Neither bars nor reports of transformers: what is wrong is said in an error."""
    import transformers

    transformers_log: Any = transformers.utils.logging
    level, bars = transformers_log.get_verbosity(), transformers_log.is_progress_bar_enabled()
    transformers_log.set_verbosity(logging.ERROR)
    transformers_log.disable_progress_bar()
    try:
        yield
    finally:
        transformers_log.set_verbosity(level)
        if bars:
            transformers_log.enable_progress_bar()


def _refuse_missing(names: list[str], family: Family, folder: Path) -> None:
    """Raise UserError if weights are missing that some hidden state depends on."""
    missing = _used(names, family)
    if missing:
        more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
        raise UserError(
            f"expected all weights of the model in {folder}, got none for "
            f"{', '.join(missing[:SHOWN])}{more}; fetch the weights that belong to its config.json"
        )


def _refuse_other_sizes(
    found: Iterable[tuple[str, Sequence[int], Sequence[int]]], family: Family, folder: Path
) -> None:
    """Raise UserError if weights that are used have another shape than the configuration says.

    found: the name, the shape in the file and that of the model.
    """
    shapes = {name: (tuple(stored), tuple(expected)) for name, stored, expected in found}
    for name in _used(shapes, family):
        full = name if name in shapes else f"{family.part}.{name}"
        stored, expected = shapes[full]
        raise UserError(
            f"expected weights of the sizes in config.json in {folder}, got {full} of shape "
            f"{stored}, not {expected}; fetch the config.json and the weights of one model"
        )


def _used(names: Iterable[str], family: Family) -> list[str]:
    """Names of weights that some hidden state depends on, as the encoder calls them."""
    part = f"{family.part}." if family.part else ""
    inner = [name.removeprefix(part) for name in names if name.startswith(part)]
    return sorted(name for name in inner if name.split(".")[0] != family.unused)


def _config(raw: dict[str, Any]) -> Any:
    from transformers import CONFIG_MAPPING

    config = CONFIG_MAPPING[raw["model_type"]].from_dict(raw)
    config = config.vision_config if raw["model_type"] == "clip" else config
    for name, value in NO_CHANCE.items():
        if hasattr(config, name):
            setattr(config, name, value)
    return config


def _model_class(raw: dict[str, Any]) -> Any:
    import transformers

    model_type = raw["model_type"]
    if model_type in ("t5", "mt5"):
        return getattr(transformers, f"{model_type.upper()}EncoderModel")
    if model_type == "clip":
        return transformers.CLIPVisionModel
    return transformers.MODEL_MAPPING[transformers.CONFIG_MAPPING[model_type]]


def freeze(network: Any, family: Family, train_from: int | None, last: int) -> list[nn.Module]:
    """Freeze all that is not trained or not used; return the modules that are trained.

    Layers are numbered from 1, 0 is what comes before them. train_from: the first that is trained,
    None for none. last: the last that is used.
    """
    layers = list(network.get_submodule(family.layers))
    trained = [] if train_from is None else layers[max(0, train_from - 1) : last]
    after = _module_after(network, family) if last == len(layers) else None
    if train_from is not None and after is not None:
        trained.append(after)
    ids = {id(leaf) for module in trained for leaf in module.parameters()}
    if train_from == 0:
        ids |= {id(leaf) for leaf in _before(network, family)}
    for leaf in network.parameters():
        if id(leaf) not in ids:
            leaf.requires_grad_(False)
    return [network] if train_from == 0 else trained


def _module_after(network: Any, family: Family) -> nn.Module | None:
    """The norm after the layers, if there is one."""
    stable = getattr(network.config, "do_stable_layer_norm", False)
    name = family.after or ("encoder.layer_norm" if stable else "")
    return network.get_submodule(name) if name else None


def _before(network: Any, family: Family) -> Iterator[nn.Parameter]:
    """The parameters before the first layer."""
    later = [network.get_submodule(family.layers), _module_after(network, family)]
    ids = {id(leaf) for module in later if module is not None for leaf in module.parameters()}
    for name, leaf in network.named_parameters():
        if id(leaf) not in ids and name.split(".")[0] != family.unused:
            yield leaf
