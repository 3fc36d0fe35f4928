"""Finds the files of a model: in a folder, in the hub's cache, or on the hub.

A cached file is used without asking the hub. Nothing but JSON, tokenizers and safetensors is read.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from multiattn import UserError

HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")
VOCABULARIES = ("tokenizer.json", "vocab.json", "vocab.txt", "spiece.model", "*.bpe.model")
SETTINGS = (
    *("config.json", "preprocessor_config.json", "processor_config.json"),
    *("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "merges.txt"),
    *VOCABULARIES,
)
WEIGHTS = ("model.safetensors", "model-*-of-*.safetensors", "model.safetensors.index.json")
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.h5", "*.msgpack")
HUB_TIMEOUT_SECONDS = 10


def find_settings(model: str, revision: str, data_root: Path) -> Path:
    """The folder with a model's ``config.json`` and tokenizer. Raises UserError."""
    folder = _find(model, revision, data_root, SETTINGS)
    if not (folder / "config.json").is_file():
        raise UserError(
            f"expected a model of transformers in {folder}, got no config.json there; name the "
            "folder that `save_pretrained` wrote"
        )
    return folder


def find_weights(model: str, revision: str, data_root: Path) -> Path:
    """The folder with a model's safetensors. Raises UserError where there are none."""
    folder = _find(model, revision, data_root, WEIGHTS)
    if _files(folder, WEIGHTS):
        return folder
    pickles = _files(folder, PICKLES)
    found = f"{pickles[0].name} alone, a format that is never loaded" if pickles else "none"
    raise UserError(
        f"expected weights in model.safetensors in {folder}, got {found}; save the model with "
        "`save_pretrained` of transformers, or take a revision with safetensors"
    )


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file, {} if there is no such file. Raises UserError if damaged."""
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise UserError(f"expected JSON in {path}, got {error}; fetch the file again") from error
    if not isinstance(content, dict):
        raise UserError(f"expected a JSON object in {path}, got a list or a value; fetch it again")
    return content


def read_processor(folder: Path, part: str) -> Mapping[str, Any]:
    """How a model wants its media: ``preprocessor_config.json``, or a part of a processor's.

    part: ``image_processor`` or ``feature_extractor``. Raises UserError if there is neither.
    """
    found = read_json(folder / "preprocessor_config.json")
    found = found or read_json(folder / "processor_config.json").get(part, {})
    if not found:
        raise UserError(
            f"expected preprocessor_config.json in {folder}, got none; copy it from where the "
            "model comes from"
        )
    return found


def check_vocabulary(folder: Path) -> None:
    """Raise UserError for a folder without a vocabulary: transformers would make an empty one."""
    if not _files(folder, VOCABULARIES):
        raise UserError(
            f"expected a tokenizer in {folder}, got none; copy tokenizer.json and "
            "tokenizer_config.json from where the model comes from"
        )


def copy_settings(source: Path, target: Path) -> None:
    """Copy what a finished run needs of a model besides its weights."""
    for file in _files(source, SETTINGS):
        shutil.copyfile(file, target / file.name)


def _files(folder: Path, patterns: Sequence[str]) -> list[Path]:
    return sorted(file for pattern in patterns for file in folder.glob(pattern))


def _find(model: str, revision: str, data_root: Path, patterns: Sequence[str]) -> Path:
    folder = data_root / model
    if folder.is_dir():
        return folder
    if folder.is_file():
        raise UserError(
            f"expected as model a folder, got the file {folder}; name the folder it is in"
        )
    if not HUB_NAME.fullmatch(model):
        raise UserError(
            f"expected as model a folder (absolute or below the data root, see --data) or a name "
            f"on the Hugging Face hub, got {model!r}, and there is no {folder}; correct it"
        )
    return _fetch(model, revision, folder, patterns)


def _fetch(model: str, revision: str, folder: Path, patterns: Sequence[str]) -> Path:
    """The snapshot of a model of the hub, from its cache if it holds these files."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    wanted: dict[str, Any] = {"revision": revision, "allow_patterns": list(patterns)}
    try:
        cached = Path(snapshot_download(model, local_files_only=True, **wanted))
        if _files(cached, patterns):
            return cached
    except LocalEntryNotFoundError:
        pass
    except HFValidationError as error:
        raise UserError(f"expected a name on the hub as model, got {error}; correct it") from error
    try:
        return Path(snapshot_download(model, etag_timeout=HUB_TIMEOUT_SECONDS, **wanted))
    except Exception as error:  # the hub's, its HTTP client's and the system's have no common base
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"expected {model} (revision {revision}) in {folder}, in the hub's cache or on the "
            f"Hugging Face hub, got no such folder and no download ({reason}); without internet "
            "access, put the model's files into that folder, or give the path of another as model"
        ) from error
