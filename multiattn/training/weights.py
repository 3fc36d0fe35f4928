"""Weights of a model in a safetensors file that carries a checksum of them.

A file without one, written by another program or an earlier version, is read as it is.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
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


def load_weights(model: nn.Module, path: Path) -> str:
    """Load into ``model`` the weights that ``save_weights`` wrote; return the file's SHA-256.

    Raises UserError for a file that is missing, damaged or from another model.
    """
    content = _read(path)
    state = _parse(path, content)
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
    return hashlib.sha256(content).hexdigest()


def weights_to_bytes(state: Mapping[str, Tensor]) -> bytes:
    """The content of a safetensors file with these weights and their checksum."""
    leaves = {name: leaf.contiguous() for name, leaf in state.items()}
    return save(leaves, metadata={CHECKSUM: _checksum(leaves)})


def read_weights(path: Path) -> dict[str, Tensor]:
    """The weights in a file. Raises UserError if it is missing or damaged."""
    return _parse(path, _read(path))


def _read(path: Path) -> bytes:
    """The whole file at once, as training may replace it meanwhile."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"expected weights at {path}, got no file; train the run first") from None
    except OSError as error:
        raise _unreadable(path, error) from error


def _parse(path: Path, content: bytes) -> dict[str, Tensor]:
    try:
        state = load(content)
    except SafetensorError as error:
        raise _unreadable(path, error) from error
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    checksum = header.get("__metadata__", {}).get(CHECKSUM)
    if checksum is not None and checksum != _checksum(state):
        raise UserError(
            f"expected the weights that were written to {path}, got others, as their checksum "
            "shows; the file is damaged: restore it or train again"
        )
    return state


def _unreadable(path: Path, error: Exception) -> UserError:
    return UserError(
        f"expected safetensors weights, got {path}, which cannot be read ({error}); it may be "
        "truncated: restore it or train again"
    )


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
