"""Where things lie in a run folder, and how files get there: a kill or a full disk loses nothing.

It refuses to know what the files say, and imports no torch.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TextIO

from multiattn.errors import UserError
from multiattn.files import damage_as_user_error


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

    def read_start(self) -> dict[str, Any]:
        """What ``run.json`` says. Raises UserError where it cannot be read."""
        with damage_as_user_error(self.start, "how the run was started"):
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

    def read_versions(self) -> dict[str, str]:
        """What ``versions.json`` says. Raises UserError where it cannot be read."""
        with damage_as_user_error(self.versions, "what the run was made with"):
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
