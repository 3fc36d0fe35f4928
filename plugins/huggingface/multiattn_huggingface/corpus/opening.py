"""Opens a dataset: of the hub, as ``save_to_disk`` wrote it, or in parquet files.

No code of a dataset is ever run: the library ``datasets`` has none since its version 4.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from glob import escape
from importlib import import_module
from pathlib import Path
from typing import Any

from multiattn import UserError
from multiattn_huggingface.corpus.parquet_files import (
    check_contents,
    check_shards,
    check_splits,
    parquet_files,
)
from multiattn_huggingface.model_files import HUB_NAME, HUB_TIMEOUT_SECONDS, read_json

SAVED_DATASET, SAVED_SPLITS = "state.json", "dataset_dict.json"  # what ``save_to_disk`` writes
COMMIT = re.compile("[0-9a-f]{40}")


def open_folder(folder: Path) -> Mapping[str, Any]:
    """The splits in a folder, by name. Raises UserError."""
    saved = any((folder / file).is_file() for file in (SAVED_DATASET, SAVED_SPLITS))
    if not saved and not parquet_files(folder):
        raise UserError(
            f"expected a dataset that `save_to_disk` wrote, or parquet files, in {folder}, got "
            "neither; correct corpus.folder, or name a dataset of the hub as corpus.dataset"
        )
    import_module("datasets")  # a library that is missing or broken is no fault of the folder
    try:
        with _silent():
            return _by_split(_load_saved(folder) if saved else _load_parquet(folder))
    except UserError:
        raise
    except Exception as error:  # of pyarrow, of datasets and of the system
        if not saved:
            check_contents(folder)
        raise UserError(
            f"expected a dataset in {folder}, got one that cannot be read "
            f"({_reason(error.__cause__ or error)}); write or fetch it again"
        ) from error


def _load_saved(folder: Path) -> Any:
    """What ``save_to_disk`` wrote. Raises UserError for a split without rows, which has no file."""
    import datasets

    for state in sorted(folder.rglob(SAVED_DATASET)):
        if read_json(state).get("_data_files") == []:
            raise UserError(f"expected rows in {state.parent}, got none; save the dataset again")
    return datasets.load_from_disk(folder)


def _load_parquet(folder: Path) -> Any:
    """The parquet files of a folder, each in the split of which ``datasets`` sees a word in it."""
    import datasets

    check_shards(folder)
    found = datasets.load_dataset_builder("parquet", data_dir=str(folder)).config.data_files
    files = {
        str(split): [file for file in own if file.endswith(".parquet")]
        for split, own in found.items()
    }
    check_splits(folder, files)
    patterns = {split: [*map(escape, own)] for split, own in files.items() if own}
    return datasets.load_dataset("parquet", data_files=patterns)


def open_hub(name: str, config: str | None, revision: str | None) -> Mapping[str, Any]:
    """The splits of a dataset on the hub, downloaded or, without a connection, from the cache.

    Raises UserError.
    """
    import datasets

    if not HUB_NAME.fullmatch(name):
        raise UserError(
            f"expected the name of a dataset on the Hugging Face hub, such as user/name, as "
            f"corpus.dataset, got {name!r}; leave it out for a dataset in corpus.folder"
        )
    unreachable = _unreachable(name, revision)
    try:
        with _offline(unreachable is not None):
            loaded = datasets.load_dataset(f"hf://datasets/{name}", config, revision=revision)
    except Exception as error:  # the hub's, its HTTP client's and the system's have no common base
        raise _refusal((name, config, revision), error, unreachable) from error
    splits = _by_split(loaded)
    if unreachable is not None and revision is not None and not _is_of(splits, name, revision):
        raise _refusal((name, config, revision), unreachable, unreachable)
    return splits


def _refusal(
    wanted: tuple[str, str | None, str | None], error: BaseException, unreachable: Exception | None
) -> UserError:
    name, config, revision = wanted
    named = [f"configuration {config}"] * bool(config) + [f"revision {revision}"] * bool(revision)
    which = f"{name} ({', '.join(named)})" if named else name
    if unreachable is None:
        return UserError(
            f"expected the dataset {which} on the Hugging Face hub, got: {_reason(error)}; correct "
            "the corpus's dataset, config or revision, or, if it is gated, accept its terms on its "
            "page and log in with `hf auth login`"
        )
    return UserError(
        f"expected the dataset {which} in the hub's cache or on the Hugging Face hub, got no copy "
        f"and no connection ({_reason(unreachable)}); without internet access, put a copy into a "
        "folder and name that as corpus.folder"
    )


def _unreachable(name: str, revision: str | None) -> Exception | None:
    """Why the hub cannot be asked; None if it answers, be it with a refusal. Tries only once."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    try:
        HfApi().dataset_info(name, revision=revision, timeout=HUB_TIMEOUT_SECONDS)
    except HfHubHTTPError:
        return None
    except Exception as error:  # of the HTTP client and of the system, or that offline mode is set
        return error
    return None


@contextmanager
def _offline(offline: bool) -> Iterator[None]:
    """Let ``datasets`` look only into its cache; it would otherwise try again for minutes."""
    from datasets import config

    before = config.HF_HUB_OFFLINE
    config.HF_HUB_OFFLINE = before or offline
    try:
        yield
    finally:
        config.HF_HUB_OFFLINE = before


def _is_of(splits: Mapping[str, Any], name: str, revision: str) -> bool:
    """Whether cached splits are of this revision: without a connection, any may be found."""
    from huggingface_hub import try_to_load_from_cache

    commit: object = revision
    if not COMMIT.fullmatch(revision):
        card = try_to_load_from_cache(name, "README.md", revision=revision, repo_type="dataset")
        commit = Path(card).parent.name if isinstance(card, str) else None
    files = [Path(file["filename"]) for split in splits.values() for file in split.cache_files]
    return all(commit in file.parts for file in files)


@contextmanager
def without_bars() -> Iterator[None]:
    """No progress bars for what is only read."""
    import datasets

    shown = datasets.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            datasets.enable_progress_bars()


@contextmanager
def _silent() -> Iterator[None]:
    """Neither bars nor messages of ``datasets``: what is wrong is said in an error."""
    from datasets.utils import logging as datasets_log

    level = datasets_log.get_verbosity()
    datasets_log.set_verbosity(datasets_log.CRITICAL)
    try:
        with without_bars():
            yield
    finally:
        datasets_log.set_verbosity(level)


def _by_split(loaded: Any) -> Mapping[str, Any]:
    import datasets

    if isinstance(loaded, datasets.Dataset):
        return {str(loaded.split or "train"): loaded}
    return {str(name): split for name, split in loaded.items()}


def _reason(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
