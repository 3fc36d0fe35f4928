"""Weights of a model in a safetensors file that carries a checksum of them.

A file without one, written by another program or an earlier version, is read as it is.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from multiattn.errors import UserError

CHECKSUM = "crc32"


def save_weights(model: nn.Module, path: Path) -> None:
    """Write the weights as safetensors; tied weights only under their first name."""
    state = model.state_dict()
    shared = _shared_names(state)
    path.write_bytes(
        weights_to_bytes({name: leaf for name, leaf in state.items() if name not in shared})
    )


def load_weights(model: nn.Module, path: Path) -> None:
    """Load into ``model`` the weights that ``save_weights`` wrote.

    Raises UserError for a file that is missing, damaged or from another model.
    """
    state = read_weights(path)
    own = model.state_dict()
    shared = _shared_names(own)
    expected = {name: leaf.shape for name, leaf in own.items() if name not in shared}
    given = {name: leaf.shape for name, leaf in state.items()}
    wrong = sorted({name for name, _ in expected.items() ^ given.items()})
    if wrong:
        raise UserError(
            f"expected the weights of this recipe's model, got {path}, which differs in "
            f"{', '.join(wrong[:5])}{' …' if len(wrong) > 5 else ''}; use the recipe that wrote it"
        )
    model.load_state_dict(state, strict=False)  # tied tensors are stored once, by first name


def weights_to_bytes(state: Mapping[str, Tensor]) -> bytes:
    """The content of a safetensors file with these weights and their checksum."""
    leaves = {name: leaf.contiguous() for name, leaf in state.items()}
    return save(leaves, metadata={CHECKSUM: _checksum(leaves)})


def read_weights(path: Path) -> dict[str, Tensor]:
    """The weights in a file. Raises UserError if it is missing or damaged."""
    try:
        state = load_file(path)
        with safe_open(path, framework="pt") as file:
            checksum = (file.metadata() or {}).get(CHECKSUM)
    except FileNotFoundError:
        raise UserError(f"expected weights at {path}, got no file; train the run first") from None
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"expected safetensors weights, got {path}, which cannot be read ({error}); it may be "
            "truncated: restore it or train again"
        ) from error
    if checksum is not None and checksum != _checksum(state):
        raise UserError(
            f"expected the weights that were written to {path}, got others, as their checksum "
            "shows; the file is damaged: restore it or train again"
        )
    return state


def _checksum(state: Mapping[str, Tensor]) -> str:
    value = 0
    for name, leaf in sorted(state.items()):
        value = zlib.crc32(f"{name} {tuple(leaf.shape)} {leaf.dtype}".encode(), value)
        content = leaf.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        value = zlib.crc32(content.numpy().data, value)
    return f"{value:08x}"


def _shared_names(state: Mapping[str, Tensor]) -> set[str]:
    """Names of tied weights (tensors that share storage), without the first name of each."""
    seen: dict[int, str] = {}
    return {
        name
        for name, leaf in state.items()
        if leaf.numel() and seen.setdefault(leaf.data_ptr(), name) != name
    }
