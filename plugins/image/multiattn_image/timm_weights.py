"""Initial weights of timm's networks, from the Hugging Face hub or from a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from multiattn import UserError
from multiattn_image.timm_backbone import (
    BUILD_ERRORS,
    PREFIX,
    TimmGrid,
    import_timm,
    size_settings,
)
from multiattn_image.weights import copy_into, read_state_dict

# What timm calls a file of pickled weights on the hub: the same weights as safetensors.
SAFETENSORS_NAMES = {
    "": "model.safetensors",
    "pytorch_model.bin": "model.safetensors",
    "open_clip_pytorch_model.bin": "open_clip_model.safetensors",
}
SECONDS_TO_REACH_THE_HUB = 5


def load_timm_weights(grid: TimmGrid, weights: str, data_root: Path) -> str:
    """Load weights, keeping the precision; say from where ("" for none) and for which images.

    weights: ``none``; ``timm`` or ``imagenet``, those that timm has for this network, downloaded
        once; or the path of a file below ``data_root`` with timm's parameter names, of which the
        classifier and what was cut off are ignored.
    Raises UserError for a file that is missing, damaged or from another network.
    """
    if weights == "none":
        return ""
    if weights in ("timm", "imagenet"):
        state_dict, origin = _download(grid), f"timm's {grid.config.hf_hub_id}"
    else:
        path = data_root / weights
        state_dict, origin = read_state_dict(path), str(path)
        _check_names(grid, state_dict, origin)
    copy_into(grid.network, state_dict, origin)
    return f"{grid.name} from {origin}{_differences(grid)}"


def _differences(grid: TimmGrid) -> str:
    """What the weights expect of the reader, where it does something else."""
    expected = grid.config.input_size[-1], grid.config.interpolation
    given = grid.spec.size, grid.spec.interpolation
    if expected == given:
        return ""
    return (
        f" (made for {expected[0]} pixels a side resized by {expected[1]}; "
        f"the reader gives {given[0]} by {given[1]})"
    )


def _check_names(grid: TimmGrid, state_dict: Mapping[str, Tensor], origin: str) -> None:
    """Raise UserError for tensors inside the network's modules that timm's network lacks."""
    modules = {name.partition(".")[0] for name, _ in grid.network.named_parameters()}
    unknown = sorted(
        name for name in set(state_dict) - grid.names_in_timm if name.partition(".")[0] in modules
    )
    if unknown:
        raise UserError(
            f"expected in {origin} only weights of {grid.name}, got {len(unknown)} others, such "
            f"as {unknown[0]}; give the weights of the encoder's backbone"
        )


def _download(grid: TimmGrid) -> Mapping[str, Tensor]:
    """The weights that timm has, converted by it for this network and size of images."""
    file = _file_from_hub(grid)
    try:
        network: nn.Module = import_timm(grid.name).create_model(
            grid.name.removeprefix(PREFIX),
            pretrained=True,
            pretrained_cfg_overlay={"file": file, "custom_load": False},
            **size_settings(grid.config, grid.spec),
        )
    except BUILD_ERRORS as error:
        raise UserError(
            f"expected weights of {grid.name} in {file}, got {error}; update timm, or give the "
            "path of a file with its parameter names as the encoder's weights"
        ) from error
    return network.state_dict()


def _file_from_hub(grid: TimmGrid) -> str:
    """The path of timm's weights in the cache of huggingface_hub, downloaded if need be.

    Whether the hub can be reached is asked once, because a download is retried for a minute.
    """
    import huggingface_hub

    repository, _, revision = str(grid.config.hf_hub_id or "").partition("@")
    own_name = grid.config.hf_hub_filename or ""
    name = SAFETENSORS_NAMES.get(own_name, own_name)
    if not repository or not name.endswith(".safetensors"):
        raise UserError(
            f"expected weights of {grid.name} as safetensors on the hub, got "
            f"{own_name if repository else 'none'}; name a tag (timm.list_models(pretrained=True) "
            "lists them), or give the path of a file or none as the encoder's weights"
        )
    try:
        return huggingface_hub.hf_hub_download(
            repository, name, revision=revision or None, local_files_only=True
        )
    except OSError:
        pass  # not in the cache yet
    try:
        huggingface_hub.model_info(repository, timeout=SECONDS_TO_REACH_THE_HUB)
        return huggingface_hub.hf_hub_download(repository, name, revision=revision or None)
    except Exception as error:  # the errors of whichever HTTP client the hub's library uses
        reason = str(error).partition("\n")[0]
        raise UserError(
            f"expected to download {name} of {repository} from the Hugging Face hub, got {reason}; "
            "without internet access, put that file below the data root and give its relative "
            "path as the encoder's weights"
        ) from error
