"""Read files of outputs and references, strictly, and match them by id.

Their forms are in ``multiattn.scoring.forms``.
"""

from __future__ import annotations

import gzip
import shlex
import sys
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from multiattn.errors import UserError
from multiattn.scoring.forms.coco import read_results
from multiattn.scoring.forms.contents import ReferenceFile, SystemOutputs, first_few
from multiattn.scoring.forms.recognition import form_of_lines
from multiattn.scoring.forms.table import PLAIN, Form, Source, certain_form, form_named

Same = TypeVar("Same", SystemOutputs, ReferenceFile)
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class ScoringFiles:
    """Systems and references as read; ``notes``: the forms that were recognised, in sentences."""

    systems: tuple[SystemOutputs, ...]
    references: tuple[ReferenceFile, ...]
    notes: tuple[str, ...]


def read_files(
    systems: Sequence[str], references: Sequence[str] = (), form: str | None = None
) -> ScoringFiles:
    """Read files, run folders or ``-`` (stdin), whose forms are recognised beside each other.

    form: that of all files but run folders. Files may be gzipped. Raises UserError if one is
    missing, unreadable, empty or not UTF-8, or if its form is in doubt.
    """
    sources = [_open(source) for source in (*systems, *references)]
    forms = _forms(sources, form)
    count = len(systems)
    outputs = tuple(map(_outputs, sources[:count], forms[:count]))
    targets = tuple(map(_references, sources[count:], forms[count:]))
    counts = [len(each.texts) for each in outputs] + [len(each.texts) for each in targets]
    notes = tuple(
        f"read {source.name} as {one.title}: {number} {one.unit}"
        for source, one, number in zip(sources, forms, counts, strict=True)
        if one is not PLAIN and (one.cut or source.suffix != one.suffix)
    )
    return ScoringFiles(outputs, targets, (*notes, *_unmatched(outputs, targets)))


def _unmatched(outputs: Sequence[SystemOutputs], targets: Sequence[ReferenceFile]) -> list[str]:
    """A note if some files have ids and others none, so that lines are matched by position."""
    files: tuple[SystemOutputs | ReferenceFile, ...] = (*outputs, *targets)
    without = [file.name for file in files if file.ids is None]
    if not without or len(without) == len(files):
        return []
    return [
        f"{' and '.join(without)}: no ids, so lines are matched by position; make sure that they "
        "are in the order of the other files"
    ]


def read_outputs(source: str, form: str | None = None) -> SystemOutputs:
    """Read one system's outputs, by default in a form that the file tells. Raises UserError."""
    return read_files([source], (), form).systems[0]


def read_references(source: str, form: str | None = None) -> ReferenceFile:
    """As ``read_outputs``; the file may also be COCO's annotations. Raises UserError."""
    return read_files((), [source], form).references[0]


def hypotheses_file(path: Path) -> Path:
    """The outputs file of a run folder or of a split's results folder; a file is returned as is.

    Raises UserError if a folder has no outputs, or those of several splits.
    """
    if not path.is_dir():
        return path
    files = sorted([*path.glob("hypotheses.jsonl"), *path.glob("results/[!.]*/hypotheses.jsonl")])
    if len(files) == 1:
        return files[0]
    if files:
        names = ", ".join(str(file.parent) for file in files)
        raise UserError(
            f"expected the outputs of one split, got {path} with several; name one: {names}"
        )
    raise UserError(
        f"expected outputs in {path}, got a folder without results; "
        f"`multiattn evaluate {shlex.quote(str(path))}` writes them, or give a file"
    )


def align_by_id(outputs: SystemOutputs, other: Same) -> Same:
    """``other`` in the order of ``outputs``: by id if both have ids, else line by line.

    Raises UserError if the two are not of the same examples; only a whole set of references may
    have more.
    """
    whole = isinstance(other, ReferenceFile) and other.whole
    if whole and outputs.ids is None:
        raise UserError(
            f"expected outputs with ids, because {other.name} lists pictures by id, got plain "
            f'lines in {outputs.name}; give a results.json of [{{"image_id": ..., "caption": ...}}]'
        )
    if outputs.ids is None or other.ids is None:
        _require_equal_counts(outputs, other)
        return other
    positions = {name: position for position, name in enumerate(other.ids)}
    missing = [name for name in outputs.ids if name not in positions]
    known = set(outputs.ids)
    extra = [] if whole else [name for name in other.ids if name not in known]
    if missing or extra:
        counts = [
            f"{first_few(ids)} only in {name}"
            for ids, name in ((missing, outputs.name), (extra, other.name))
            if ids
        ]
        raise UserError(
            f"expected the same examples in {outputs.name} and {other.name}, got "
            f"{' and '.join(counts)}; give files of the same split"
        )
    texts = tuple(other.texts[positions[name]] for name in outputs.ids)
    return replace(other, texts=texts, ids=outputs.ids)


def _require_equal_counts(outputs: SystemOutputs, other: SystemOutputs | ReferenceFile) -> None:
    if len(outputs.texts) != len(other.texts):
        raise UserError(
            f"expected as many lines in {other.name} as in {outputs.name}, got {len(other.texts)} "
            f"and {len(outputs.texts)}; give files of the same examples in the same order"
        )


def _open(source: str) -> Source:
    """The decompressed text of a file, of a run's outputs or of standard input."""
    path = None if source == "-" else hypotheses_file(Path(source))
    name = "standard input" if path is None else str(path)
    try:
        content = sys.stdin.buffer.read() if path is None else path.read_bytes()
        if content.startswith(_GZIP) or name.endswith(".gz"):
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"expected a readable file of outputs, got {name} ({reason}); check the path"
        ) from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"expected UTF-8 text, got byte 0x{error.object[error.start]:02x} in line {line} "
            f"of {name}; convert the file to UTF-8"
        ) from error
    if not text:
        raise UserError(
            f"expected one output per line, got nothing in {name}; give a file with some"
        )
    return Source(name, text, folder=path is not None and path != Path(source))


def _forms(sources: Sequence[Source], forced: str | None) -> list[Form]:
    if forced is not None:
        given = form_named(forced)
        return [certain_form(each) or PLAIN if each.folder else given for each in sources]
    certain = [certain_form(source) for source in sources]
    pairs = list(zip(sources, certain, strict=True))
    unsure = [source for source, form in pairs if form is None]
    known = [form.read(source.name, source.text) for source, form in pairs if form and unsure]
    shared = form_of_lines(unsure, known) if unsure else PLAIN
    return [form or shared for form in certain]


def _outputs(source: Source, form: Form) -> SystemOutputs:
    contents = form.read(source.name, source.text)
    if isinstance(contents, ReferenceFile):
        return read_results(source.name, source.text)  # says what is wrong with annotations
    return contents


def _references(source: Source, form: Form) -> ReferenceFile:
    contents = form.read(source.name, source.text)
    if isinstance(contents, ReferenceFile):
        return contents
    return ReferenceFile(contents.name, tuple((text,) for text in contents.texts), contents.ids)
