"""Where things lie in a run folder, and how files get there: a kill or a full disk loses nothing.

It refuses to know what the files say, and imports no torch.
"""

from __future__ import annotations

import fcntl
import importlib.metadata
import json
import os
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TextIO

from multiattn.errors import UserError

# What reading the pieces of a file raises where it says something else than was written.
DAMAGES = (ValueError, KeyError, TypeError, AttributeError, IndexError)


@dataclass(frozen=True)
class RunFolder:
    """The places of one run. Nothing is created by asking for a place."""

    path: Path

    @classmethod
    def default(cls, recipe: str) -> Self:
        """Where a recipe runs unless told otherwise: runs/asr, runs/asr-an4, runs/mine."""
        name = Path(recipe).stem if Path(recipe).suffix else recipe.replace("/", "-")
        return cls(Path("runs", name))

    @property
    def recipe(self) -> Path:
        """The resolved recipe."""
        return self.path / "recipe.yaml"

    @property
    def start(self) -> Path:
        """What the run was started with and is not the recipe: its name and the data root."""
        return self.path / "run.json"

    def started(self) -> dict[str, Any]:
        """What ``run.json`` says. Raises UserError where it cannot be read."""
        with restorable(self.start, "how the run was started"):
            found = dict(json.loads(self.start.read_text(encoding="utf-8")))
            return {**found, "data": Path(found["data"]), "init": found.get("init")}

    @property
    def weights(self) -> Path:
        """The best weights so far, averaged as the recipe says."""
        return self.path / "model.safetensors"

    @property
    def tokenizer(self) -> Path:
        """The target's tokenizer."""
        return self.path / "target" / "tokenizer.json"

    def source(self, name: str) -> Path:
        """The folder of what a reader learned."""
        return self.path / "sources" / name

    @property
    def log(self) -> Path:
        """One JSON object per line, in the order of the steps."""
        return self.path / "log.jsonl"

    @property
    def checkpoints(self) -> Path:
        """The folder that training continues from."""
        return self.path / "checkpoints"

    @property
    def versions(self) -> Path:
        """Python, torch and every distribution whose components took part."""
        return self.path / "versions.json"

    def versions_then(self) -> dict[str, str]:
        """What ``versions.json`` says. Raises UserError where it cannot be read."""
        with restorable(self.versions, "what the run was made with"):
            return dict(json.loads(self.versions.read_text(encoding="utf-8")))

    @property
    def has_checkpoint(self) -> bool:
        """True once there is something to continue from."""
        return any(self.checkpoints.glob("step-*.pt"))

    @property
    def report(self) -> Path:
        """The page to look at."""
        return self.path / "report.html"

    def results(self, split: str, tag: str = "") -> Path:
        """The folder of a split's outputs and scores."""
        return self.path / "results" / (f"{split}@{tag}" if tag else split)

    def exists(self) -> bool:
        """True once a run was started here."""
        return self.recipe.is_file()

    def require(self) -> RunFolder:
        """Itself, if a run lies here. Raises UserError."""
        if not self.exists():
            raise UserError(
                f"expected a run folder (one that holds recipe.yaml), got {self.path}; "
                "give the folder that `multiattn run RECIPE` wrote"
            )
        return self

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Only one process trains a run; the lock ends with its process, however that ends."""
        with self._lock_file() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise UserError(
                    f"another process is training {self.path}; wait for it, or end it first"
                ) from error
            yield

    def _lock_file(self) -> TextIO:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            return (self.path / ".lock").open("w")
        except OSError as error:
            raise UserError(
                f"expected a folder to write the run to, got {self.path} ({error.strerror}); "
                "choose another --out"
            ) from error


@contextmanager
def restorable(path: Path, what: str) -> Iterator[None]:
    """Read ``path`` inside: whatever it says instead of ``what`` is a UserError."""
    try:
        yield
    except (*DAMAGES, OSError) as error:
        raise UserError(f"expected in {path} {what}, got {error!r}; restore the file") from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a place beside ``path`` to write a file or a folder to; flush it to disk, rename it.

    At every moment ``path`` is whole, old or new. Raises UserError when the disk refuses (full,
    read-only); what was there is left as it was. A folder can only be renamed to where none is.
    """
    beside = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove(beside)
        yield beside
        for file in [*beside.rglob("*"), beside]:
            sync(file)
        beside.replace(path)
        sync(path.parent)
    except OSError as error:
        with suppress(OSError):
            _remove(beside)
        raise UserError(
            f"could not write {path}: {error.strerror or error}; nothing was overwritten; "
            "make room or choose another folder with --out, then repeat the command"
        ) from error


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file as ``replacing`` does."""
    with replacing(path) as beside:
        beside.write_bytes(content)


def write_json(path: Path, value: Any) -> None:
    """As ``write_bytes``, indented for people."""
    write_bytes(path, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())


def append_line(path: Path, line: str) -> None:
    """Add a line to a file. Raises UserError when the disk refuses."""
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
    except OSError as error:
        raise UserError(
            f"could not write {path}: {error.strerror or error}; make room, then repeat the "
            "command: it continues from the last checkpoint"
        ) from error


def cut_back(path: Path, size: int) -> None:
    """Shorten a file to its first ``size`` bytes; make an empty one where there is none.

    Raises UserError when the disk refuses.
    """
    try:
        with path.open("ab") as file:
            file.truncate(min(size, file.tell()))
        sync(path)
    except OSError as error:
        raise UserError(
            f"could not write {path}: {error.strerror or error}; make it a file that can be written"
        ) from error


def versions(distributions: set[str]) -> dict[str, str]:
    """Version numbers of Python, the libraries that compute, and these distributions."""
    names = sorted({"multiattn", "torch", "accelerate", "tokenizers", "numpy"} | distributions)
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed as a distribution"
    return found


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Flush a file or a folder's list of names to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
