"""The layout of a run folder: the path of each file in it. Imports no torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Self

from multiattn.errors import UserError
from multiattn.files import acquired_lock, damage_as_user_error

GROWING = ".jsonl"  # the ending of files that readers add to, such as checked recordings


@dataclass(frozen=True)
class RunFolder:
    """The paths of one run's files. The path properties create nothing."""

    path: Path

    @classmethod
    def default(cls, recipe: str) -> Self:
        """The default folder of a recipe: runs/asr, runs/asr-an4, runs/mine."""
        name = Path(recipe).stem if Path(recipe).suffix else recipe.replace("/", "-")
        return cls(Path("runs", name))

    @property
    def recipe(self) -> Path:
        """The resolved recipe."""
        return self.path / "recipe.yaml"

    @property
    def start(self) -> Path:
        """How the run was started, besides the recipe itself: the recipe's name, the data root."""
        return self.path / "run.json"

    def read_start(self) -> dict[str, Any]:
        """The content of ``run.json``. Raises UserError if it cannot be read."""
        with damage_as_user_error(self.start, "a record of how the run was started"):
            start = dict(json.loads(self.start.read_text(encoding="utf-8")))
            return {**start, "data": Path(start["data"]), "init": start.get("init")}

    @property
    def weights(self) -> Path:
        """The best weights so far, averaged as set in the recipe."""
        return self.path / "model.safetensors"

    @property
    def tokenizer(self) -> Path:
        """The target's tokenizer."""
        return self.path / "target" / "tokenizer.json"

    def source(self, name: str) -> Path:
        """The folder of a source reader's fitted state."""
        return self.path / "sources" / name

    def fitted_digests(self) -> dict[str, str]:
        """SHA-256 of each file of the fitted tokenizer and readers, by its path in the folder.

        Files to which a reader adds what it finds out later (``.jsonl``) are left out.
        """
        files = [
            file
            for folder in (self.tokenizer.parent, self.path / "sources")
            for file in folder.rglob("*")
            if file.is_file() and file.suffix != GROWING
        ]
        return {
            file.relative_to(self.path).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
            for file in sorted(files)
        }

    def check_fitted(self) -> None:
        """Compare the fitted files with ``run.json``. Raises UserError if one is damaged or lost.

        A run that was not yet recorded, or by a version without digests, is not checked.
        """
        recorded = self.read_start().get("fitted", {}) if self.start.exists() else {}
        actual = self.fitted_digests() if recorded else {}
        changed = [
            name
            for name in recorded
            if actual.get(name) != recorded[name] and not name.endswith(GROWING)
        ]
        if changed:
            raise UserError(
                f"expected the tokenizer and readers that the run in {self.path} was trained "
                f"with, got another {changed[0]}, or none; restore the file"
            )

    @property
    def log(self) -> Path:
        """One JSON object per line, in the order of the steps."""
        return self.path / "log.jsonl"

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints that training resumes from."""
        return self.path / "checkpoints"

    @property
    def versions(self) -> Path:
        """The versions of Python, torch and every distribution that provides components."""
        return self.path / "versions.json"

    def read_versions(self) -> dict[str, str]:
        """The content of ``versions.json``. Raises UserError if it cannot be read."""
        with damage_as_user_error(self.versions, "the versions that the run was made with"):
            return dict(json.loads(self.versions.read_text(encoding="utf-8")))

    @property
    def has_checkpoint(self) -> bool:
        """Whether there is a checkpoint to resume from."""
        return any(self.checkpoints.glob("step-*.pt"))

    @property
    def report(self) -> Path:
        """The HTML report of the run."""
        return self.path / "report.html"

    def results(self, split: str, tag: str = "") -> Path:
        """The folder of a split's outputs and scores."""
        return self.path / "results" / (f"{split}@{tag}" if tag else split)

    def exists(self) -> bool:
        """Whether a run has been started here."""
        return self.recipe.is_file()

    def require(self) -> RunFolder:
        """Return this folder. Raises UserError if it holds no run."""
        if not self.exists():
            raise UserError(
                f"expected a run folder (one that holds recipe.yaml), got {self.path}; "
                "give the folder that `multiattn run RECIPE` wrote"
            )
        return self

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let only one process train a run or serve it, until it ends, even if it is killed."""
        using = f"training or serving {self.path}"
        try:
            lock = acquired_lock(self.path / ".lock", lambda: _refuse(using))
        except OSError as error:
            raise UserError(
                f"expected a folder to write the run to, got {self.path} ({error.strerror}); "
                "choose another --out"
            ) from error
        with lock:
            yield

    @contextmanager
    def results_locked(self, folder: Path) -> Iterator[None]:
        """Let only one process write a folder of results; the lock leaves no file behind."""
        path = self.path / f".{folder.name}.lock"
        try:
            lock = acquired_lock(path, lambda: _refuse(f"writing {folder}"))
        except OSError as error:
            raise UserError(
                f"could not write {folder}: {error.strerror}; free some space or make it "
                "writable, then repeat the command"
            ) from error
        with lock:
            try:
                yield
            finally:
                with suppress(OSError):  # Windows removes it on release
                    path.unlink()


def _refuse(at_work: str) -> NoReturn:
    raise UserError(f"another process is {at_work}; wait for it, or stop it first")
