"""Where `multiattn predict` writes: standard output, or a folder with a file for each input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import click

from multiattn.cli.options import echo
from multiattn.cli.standard_output import require_encodable
from multiattn.errors import UserError
from multiattn.files import write_bytes, write_json

if TYPE_CHECKING:
    from multiattn.prediction.forms.table import Form, Given
    from multiattn.prediction.prediction import Prediction

FORMAT = 1  # of the manifest
MANIFEST = "manifest.json"
SOME_FAILED = 1  # the exit code where some inputs have no output


class Output(Protocol):
    """Takes what is written of every input, in order; ``number`` counts them from 1."""

    def put(self, number: int, given: Given, outcome: Prediction | UserError | None) -> None:
        """The output of an input, why there is none, or None for a blank input.

        Raises UserError if this output has no such form.
        """

    def close(self) -> None:
        """No more inputs are put, because that were all or because something stopped it."""


@dataclass(frozen=True)
class StandardOutput:
    """Prints outputs one after another: a line or more for each input, so that lines match it."""

    form: Form

    def put(self, number: int, given: Given, outcome: Prediction | UserError | None) -> None:
        """Print an output, or a line without one."""
        name = str(number) if self.form.name == "text" else file_stem(given) or f"input-{number}"
        if outcome is None or isinstance(outcome, UserError):
            text = self.form.write_nothing(name, given, outcome)
        else:
            text = self.form.write(name, outcome)
        if text:
            require_encodable(text)
            echo(text.removesuffix("\n"))

    def close(self) -> None:
        """Nothing is left to print."""


class OutputFolder:
    """Writes a file for each input, under its name or its number, and a manifest at the end.

    about: what the manifest says of all outputs. Raises UserError unless the folder is new or
    empty.
    """

    def __init__(self, folder: Path, form: Form, about: Mapping[str, Any]) -> None:
        self._folder = folder
        self._form = form
        self._about = about
        self._rows: list[dict[str, Any]] = []
        self._names = {MANIFEST.casefold()}
        try:
            if folder.exists() and any(folder.iterdir()):
                raise UserError(
                    f"expected a new or empty folder after --out, got {folder} with files in it; "
                    "choose another, or remove them"
                )
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _cannot_write(folder, error) from error

    def put(self, number: int, given: Given, outcome: Prediction | UserError | None) -> None:
        """Write the file of an input, or note that it has none."""
        row: dict[str, Any] = {} if isinstance(given, UserError) else {"input": dict(given)}
        if outcome is None:
            self._rows.append({**row, "blank": True})
        elif isinstance(outcome, UserError):
            self._rows.append({**row, "error": str(outcome)})
        else:
            file = self._file_name(number, given)
            text = self._form.write(Path(file).stem, outcome)
            try:
                write_bytes(self._folder / file, text.encode())
            except OSError as error:
                raise _cannot_write(self._folder / file, error) from error
            self._rows.append({**row, "file": file})

    def close(self) -> None:
        """Write the manifest."""
        content = {"format": FORMAT, **self._about, "as": self._form.name, "outputs": self._rows}
        write_json(self._folder / MANIFEST, content)

    def _file_name(self, number: int, given: Given) -> str:
        """A name that no other input has, also where capitals do not count."""
        stem = file_stem(given) or f"{number:04d}"
        name = stem + self._form.suffix
        if name.casefold() in self._names:
            name = f"{stem}-{number}{self._form.suffix}"
        self._names.add(name.casefold())
        return name


@dataclass
class Tally:
    """Counts the inputs, and lists at the end those that could not be decoded."""

    inputs: int = 0
    blank: int = 0
    failed: dict[int, UserError] = field(default_factory=dict)

    def add(self, number: int, outcome: Prediction | UserError | None) -> None:
        """Count an input; None: a blank one."""
        self.inputs += 1
        self.blank += outcome is None
        if isinstance(outcome, UserError):
            self.failed[number] = outcome

    def conclude(self) -> None:
        """Say what failed and how many did not. Raises UserError if nothing was decoded."""
        for number, error in self.failed.items():
            echo(f"input {number}: {error}", err=True)
        decoded = self.inputs - self.blank - len(self.failed)
        if self.failed and not decoded:
            raise UserError(
                f"expected inputs that can be decoded, got {len(self.failed)} that cannot, listed "
                "above" + (f", and {self.blank} blank" if self.blank else "")
            )
        if self.blank or self.failed:
            counts = f"{decoded} decoded, {self.blank} blank, {len(self.failed)} failed"
            echo(f"{self.inputs} inputs: {counts}", err=True)
        if self.failed:
            raise click.exceptions.Exit(SOME_FAILED)


def file_stem(given: Given) -> str:
    """The name of the only file of an input, without its suffix; empty if there is none."""
    values = [] if isinstance(given, UserError) else list(given.values())
    try:
        return Path(values[0]).stem if len(values) == 1 and Path(values[0]).is_file() else ""
    except (OSError, ValueError):  # a text too long for a path, or with a null character
        return ""


def _cannot_write(path: Path, error: OSError) -> UserError:
    return UserError(
        f"expected to write {path}, got {error.strerror or error}; choose another folder"
    )
