"""What cached features depend on besides their input: components, weights and libraries."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from accelerate import PartialState
from torch import nn

from multiattn.data.collation import FittedReader
from multiattn.engine.model import SelectsFeatureSettings
from multiattn.registry.discovery import versions
from multiattn.registry.host import Host
from multiattn.registry.schema import Named
from multiattn.run_folder import GROWING


def feature_dependencies(
    encoder_named: Named, encoder: nn.Module, reader_named: Named, reader: Any, host: Host
) -> dict[str, Any]:
    """Everything that features depend on besides their input, as JSON.

    encoder_named, reader_named: as given in the recipe.
    """
    rows = host.find("encoder", encoder_named.name), host.find("reader", reader_named.name)
    depends_on = encoder_named.settings
    if isinstance(encoder, SelectsFeatureSettings):
        depends_on = dict(encoder.feature_settings)
    distributions = {row.distribution for row in rows}
    distributions |= {name for row in rows for name in _requirements(row.distribution)}
    known = versions(distributions)
    del known["platform"]
    return {
        "encoder": [rows[0].full_name, _plain(depends_on)],
        "reader": [
            rows[1].full_name,
            _plain(reader_named.settings),
            _digests_of_learned_files(reader),
        ],
        "weights": _digest_of_weights(encoder),
        "versions": known,
        "device": PartialState().device.type,  # devices round differently
    }


def folder_name(made: Mapping[str, Any]) -> str:
    """A name that is unique to these dependencies."""
    return hashlib.sha256(json.dumps(made, sort_keys=True).encode()).hexdigest()[:32]


def _plain(settings: Mapping[str, object]) -> Any:
    return json.loads(json.dumps(dict(settings), default=repr))


def _requirements(distribution: str) -> Iterator[str]:
    """The names of the distributions that a distribution requires, those of extras left out."""
    try:
        required = importlib.metadata.requires(distribution) or ()
    except importlib.metadata.PackageNotFoundError:
        return
    for line in required:
        if "extra ==" not in line:
            yield re.split(r"[^\w.-]", line, maxsplit=1)[0]


def _digests_of_learned_files(reader: Any) -> dict[str, str]:
    """SHA-256 of each file of the reader's fitted state that matters, by file name."""
    if not isinstance(reader, FittedReader):
        return {}
    with TemporaryDirectory() as name:
        reader.save(Path(name))
        files = sorted(Path(name).rglob("*"))
        files = [file for file in files if file.is_file() and file.suffix != GROWING]
        return {
            str(file.relative_to(name)): hashlib.sha256(file.read_bytes()).hexdigest()
            for file in files
        }


def _digest_of_weights(encoder: nn.Module) -> str:
    """SHA-256 of everything that is not trained: frozen parameters and buffers."""
    learning = {name for name, leaf in encoder.named_parameters() if leaf.requires_grad}
    digest = hashlib.sha256()
    for name, leaf in encoder.state_dict().items():
        if name not in learning:
            digest.update(f"{name} {tuple(leaf.shape)} {leaf.dtype}".encode())
            digest.update(leaf.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
