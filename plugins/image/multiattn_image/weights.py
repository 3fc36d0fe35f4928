"""Weights of a backbone, from torchvision or from a file. It refuses to know what they compute."""

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

from multiattn.errors import UserError

SHOWN = 3  # names in a message
COUNTERS = "num_batches_tracked"  # nothing is computed by them, and older files lack them


def load_weights(network: nn.Module, weights: str, backbone: str, data_root: Path) -> str:
    """Give a network its weights, in its own precision; says what was loaded, "" for nothing.

    weights: ``none``; ``imagenet``, torchvision's best, or the name of others of its weights
        (``IMAGENET1K_V1``), downloaded once; or the path of a .safetensors, .pth or .pt file below
        ``data_root``, in torchvision's parameter names. What the file has beyond the network (its
        classes, parts that were cut off) is left.
    Raises UserError for a file that is missing, damaged or of another network.
    """
    if weights == "none":
        return ""
    known = models.get_model_weights(backbone)
    if weights == "imagenet" or weights in known.__members__:
        chosen = known[weights] if weights in known.__members__ else known["DEFAULT"]
        state, origin = _downloaded(backbone, chosen), f"torchvision's {chosen}"
    else:
        path = data_root / weights
        state, origin = _from_file(path), str(path)
    _copy(network, state, origin)
    return f"{backbone} from {origin}"


def _downloaded(backbone: str, chosen: Any) -> Mapping[str, Tensor]:
    try:
        network: nn.Module = models.get_model(backbone, weights=chosen)
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"expected to download {chosen.url}, got {error}; where there is no internet, put that "
            "file below the data root and give its path there as the encoder's weights"
        ) from error
    return network.state_dict()


def _from_file(path: Path) -> Mapping[str, Tensor]:
    """The tensors of a file by name. Raises UserError where there are none."""
    try:
        if _is_safetensors(path):
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(
            f"expected weights at {path}, found no file; put them there (--data is where it is "
            "looked for), or give another path, imagenet or none as the encoder's weights"
        ) from None
    except pickle.UnpicklingError as error:
        raise UserError(
            f"expected a file of nothing but tensors, got {path} with other objects in it, which "
            "are never loaded; save the state dict alone"
        ) from error
    # What the unpickler raises at bytes that make no sense is as various as they are.
    except (
        *(SafetensorError, OSError, RuntimeError, EOFError, ValueError),
        *(TypeError, LookupError, AttributeError, struct.error),
    ) as error:
        raise UserError(
            f"expected weights in {path}, which cannot be read ({error}); it may be damaged: get "
            "it again"
        ) from error
    state = state.get("state_dict", state) if isinstance(state, dict) else {}
    found = {
        name.removeprefix("module."): leaf
        for name, leaf in state.items()
        if isinstance(leaf, Tensor)
    }
    if not found:
        raise UserError(
            f"expected the names and tensors of a state dict in {path}, got none; save "
            "network.state_dict()"
        )
    return found


def _is_safetensors(path: Path) -> bool:
    """Told by how such a file starts, whatever it is called: a length, then JSON."""
    with path.open("rb") as file:
        return path.suffix == ".safetensors" or file.read(9)[8:] == b"{"


@torch.no_grad()
def _copy(network: nn.Module, state: Mapping[str, Tensor], origin: str) -> None:
    own = network.state_dict()
    wrong = [
        f"{name} {tuple(leaf.shape)}, got " + str(tuple(state[name].shape))
        for name, leaf in own.items()
        if name in state and state[name].shape != leaf.shape
    ]
    missing = [name for name in own if name not in state and not name.endswith(COUNTERS)]
    wrong += [f"{name} {tuple(own[name].shape)}, got none" for name in missing]
    if wrong:
        more = f" and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise UserError(
            f"expected in {origin} {'; '.join(wrong[:SHOWN])}{more}; give the weights of the "
            "encoder's backbone, and pictures of the size they were trained for"
        )
    for name, leaf in own.items():
        if name in state:
            leaf.copy_(state[name])  # a state dict shares its tensors with the network
