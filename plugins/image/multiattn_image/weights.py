"""Initial weights of a backbone, from torchvision or from a file."""

from __future__ import annotations

import pickle
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision import models

from multiattn import UserError

MAX_NAMES_IN_MESSAGE = 3
BATCH_COUNTER = "num_batches_tracked"  # affects no output, and older files lack it


def load_weights(network: nn.Module, weights: str, backbone: str, data_root: Path) -> str:
    """Load weights into a network, keeping its precision, and return their origin ("" for none).

    weights: ``none``; ``imagenet``, torchvision's default, or the name of another of its weights
        (``IMAGENET1K_V1``), downloaded once; or the path of a .safetensors, .pth or .pt file below
        ``data_root``, with torchvision's parameter names. Entries of the file that the network
        lacks (its classifier, parts that were cut off) are ignored.
    Raises UserError for a file that is missing, damaged or from another network.
    """
    if weights == "none":
        return ""
    available = models.get_model_weights(backbone)
    if weights == "imagenet" or weights in available.__members__:
        choice = available[weights] if weights in available.__members__ else available["DEFAULT"]
        state_dict, origin = _download_state_dict(backbone, choice), f"torchvision's {choice}"
    else:
        path = data_root / weights
        state_dict, origin = read_state_dict(path), str(path)
    copy_into(network, state_dict, origin)
    return f"{backbone} from {origin}"


def _download_state_dict(backbone: str, choice: Any) -> Mapping[str, Tensor]:
    try:
        network: nn.Module = models.get_model(backbone, weights=choice)
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"expected to download {choice.url}, got {error}; without internet access, put "
            "that file below the data root and give its relative path as the encoder's weights"
        ) from error
    return network.state_dict()


def read_state_dict(path: Path) -> Mapping[str, Tensor]:
    """The tensors of a file by name. Raises UserError where there are none."""
    try:
        if _is_safetensors(path):
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(
            f"expected weights at {path}, got no such file; put them there (paths are relative to "
            "the data root, see --data), or give another path, imagenet or none as the encoder's "
            "weights"
        ) from None
    except pickle.UnpicklingError as error:
        raise UserError(
            f"expected a file with nothing but tensors, got {path} with other objects, which are "
            "never loaded; save only the state dict"
        ) from error
    # The unpickler raises many kinds of errors for invalid bytes.
    except (
        *(SafetensorError, OSError, RuntimeError, EOFError, ValueError),
        *(TypeError, LookupError, AttributeError, struct.error),
    ) as error:
        raise UserError(
            f"expected weights in {path}, got a file that cannot be read ({error}) and may "
            "be damaged; fetch it again"
        ) from error
    entries = content.get("state_dict", content) if isinstance(content, dict) else {}
    tensors = {
        name.removeprefix("module."): value
        for name, value in entries.items()
        if isinstance(value, Tensor)
    }
    if not tensors:
        raise UserError(
            f"expected named tensors (a state dict) in {path}, got none; save network.state_dict()"
        )
    return tensors


def _is_safetensors(path: Path) -> bool:
    """Detected by suffix, or by content: an 8-byte length, then JSON."""
    with path.open("rb") as file:
        return path.suffix == ".safetensors" or file.read(9)[8:] == b"{"


@torch.no_grad()
def copy_into(network: nn.Module, state_dict: Mapping[str, Tensor], origin: str) -> None:
    """Copy tensors into a network; raises UserError where one lacks or has another shape."""
    own = network.state_dict()
    mismatches = [
        f"{name} {tuple(tensor.shape)}, got {tuple(state_dict[name].shape)}"
        for name, tensor in own.items()
        if name in state_dict and state_dict[name].shape != tensor.shape
    ]
    missing = [name for name in own if name not in state_dict and not name.endswith(BATCH_COUNTER)]
    mismatches += [f"{name} {tuple(own[name].shape)}, got none" for name in missing]
    if mismatches:
        listed = "; ".join(mismatches[:MAX_NAMES_IN_MESSAGE])
        hidden = len(mismatches) - MAX_NAMES_IN_MESSAGE
        more = f" and {hidden} more" if hidden > 0 else ""
        raise UserError(
            f"expected in {origin} {listed}{more}; give the weights of the "
            "encoder's backbone, and images of the size they were trained for"
        )
    for name, tensor in own.items():
        if name in state_dict:
            tensor.copy_(state_dict[name])  # a state dict shares its tensors with the network
