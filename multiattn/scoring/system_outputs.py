"""Read files of outputs and references, strictly, in the forms of ``multiattn.scoring.forms``."""

from __future__ import annotations

import gzip
import shlex
import sys
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from multiattn.errors import UserError
from multiattn.scoring.forms.coco import read_results
from multiattn.scoring.forms.columns import Columns
from multiattn.scoring.forms.contents import Contents, ReferenceFile, SystemOutputs, TimedWords
from multiattn.scoring.forms.recognition import form_of_lines
from multiattn.scoring.forms.table import PLAIN, Form, Source, certain_form, form_named

_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class ScoringFiles:
    """Systems and references as read; ``notes``: the forms that were recognised, in sentences."""

    systems: tuple[SystemOutputs | TimedWords, ...]
    references: tuple[ReferenceFile, ...]
    notes: tuple[str, ...]


def read_files(
    systems: Sequence[str],
    references: Sequence[str] = (),
    form: str | None = None,
    *,
    reference_form: str | None = None,
    columns: Columns | None = None,
) -> ScoringFiles:
    """Read files, run folders or ``-`` (stdin), whose forms are recognised beside each other.

    form: that of all files but run folders. reference_form: that of references, if it is another.
    columns: the columns of tables, by role (id, text, reference). Files may be gzipped. Raises
    UserError if one is missing, unreadable, empty or not UTF-8, or if its form is in doubt.
    """
    sources = [_open(source) for source in (*systems, *references)]
    count = len(systems)
    named = columns or {}
    forced = [form] * count + [reference_form or form] * len(references)
    forms = _forms(sources, forced, named)
    pairs = list(zip(sources, forms, strict=True))
    outputs = tuple(_outputs(*pair, named) for pair in pairs[:count])
    targets = tuple(_references(*pair, named) for pair in pairs[count:])
    counts = [*map(_count, outputs), *map(_count, targets)]
    notes = tuple(
        f"read {source.name} as {one.title}: {number} {_unit(one, contents)}"
        for (source, one), contents, number in zip(pairs, (*outputs, *targets), counts, strict=True)
        if one is not PLAIN and (one.cut or source.suffix != one.suffix)
    )
    return ScoringFiles(outputs, targets, (*notes, *_unmatched(outputs, targets)))


def _count(contents: Contents) -> int:
    return len(contents.words if isinstance(contents, TimedWords) else contents.texts)


def _unit(form: Form, contents: Contents) -> str:
    return "words" if isinstance(contents, TimedWords) else form.unit


def _unmatched(outputs: Sequence[Contents], targets: Sequence[ReferenceFile]) -> list[str]:
    """A note if some files have ids and others none, so that lines are matched by position."""
    files = [each for each in (*outputs, *targets) if not isinstance(each, TimedWords)]
    without = [file.name for file in files if file.ids is None]
    if not without or len(without) == len(files):
        return []
    return [
        f"{' and '.join(without)}: no ids, so lines are matched by position; make sure that they "
        "are in the order of the other files"
    ]


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


def _forms(sources: Sequence[Source], forced: Sequence[str | None], columns: Columns) -> list[Form]:
    """The form of each source: as forced or as it tells, or else as the others tell."""
    certain = [
        certain_form(source) if name is None or source.folder else form_named(name)
        for source, name in zip(sources, forced, strict=True)
    ]
    unsure = [source for source, form in zip(sources, certain, strict=True) if form is None]
    known = [
        form.read(source.name, source.text, **_options(form, columns))
        for source, form in zip(sources, certain, strict=True)
        if form and unsure
    ]
    with_ids = [each for each in known if not isinstance(each, TimedWords)]
    shared = form_of_lines(unsure, with_ids) if unsure else PLAIN
    return [form or shared for form in certain]


def _outputs(source: Source, form: Form, columns: Columns) -> SystemOutputs | TimedWords:
    contents = form.read(source.name, source.text, **_options(form, columns))
    if isinstance(contents, ReferenceFile):
        return read_results(source.name, source.text)  # says what is wrong with annotations
    return contents


def _references(source: Source, form: Form, columns: Columns) -> ReferenceFile:
    read = form.read_references or form.read
    contents = read(source.name, source.text, **_options(form, columns))
    if isinstance(contents, ReferenceFile):
        return contents
    assert isinstance(contents, SystemOutputs)  # noqa: S101
    texts = tuple((text,) for text in contents.texts)
    return ReferenceFile(contents.name, texts, contents.ids, meta=contents.meta)


def _options(form: Form, columns: Columns) -> dict[str, Columns]:
    return {"columns": columns} if form.has_columns else {}
