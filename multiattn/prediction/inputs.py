"""Parse command-line arguments into values of a recipe's sources. No media are decoded here.

"A dog ."                        the value of the only source
photo=a.jpg english='A dog.'     one input with two sources; a repeated name starts the next input
my.jpg, a folder/                files that a reader recognises by suffix
notes.txt, in.en.gz              an input per line; any text file will do
in.jsonl, in.tsv, in.csv         an input per row, with a column per source, unless the reader of
                                 the only source reads such files itself
-                                the lines of standard input

A blank line is an input too: a prediction for it is an empty line.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from multiattn.data.text_files import stripped
from multiattn.errors import UserError, shown
from multiattn.prediction.input_files import (
    Input,
    SourceColumns,
    decoded,
    document,
    is_table,
    lines_of,
    looks_like_path,
    rows_of,
)
from multiattn.recipe.settings import SOURCE_NAME_PATTERN, SourceSettings
from multiattn.registry import records
from multiattn.registry.host import Host
from multiattn.unicode import drop_invisible

STANDARD_INPUT = "-"


@dataclass(frozen=True)
class InputParser:
    """Turns arguments into inputs.

    readers: the record of each source's reader. as_text: treat every value as literal text.
    as_document: a file of text, or standard input, is one input with all its lines.
    fields: the corpus field of each source, by which a table may name it too.
    notify: called with a sentence for what the user may not expect: files of a folder that are
    passed over, a column read despite its name.
    """

    readers: Mapping[str, records.Reader]
    as_text: bool = False
    as_document: bool = False
    fields: Mapping[str, str] = field(default_factory=dict)
    notify: Callable[[str], object] = str  # by default nobody is told

    @classmethod
    def of(
        cls,
        sources: Mapping[str, SourceSettings],
        host: Host,
        as_text: bool = False,
        as_document: bool = False,
        notify: Callable[[str], object] = str,
    ) -> InputParser:
        """Create the parser for the sources of a recipe."""
        readers = {}
        for name, source in sources.items():
            record = host.find("reader", source.reader.name).record
            assert isinstance(record, records.Reader)  # noqa: S101
            readers[name] = record
        fields = {name: source.field for name, source in sources.items()}
        return cls(readers, as_text, as_document, fields, notify)

    def parse(self, arguments: Sequence[str], stdin: Iterable[bytes]) -> Iterator[Input]:
        """One mapping of source names to values per input; ``-`` stands for standard input's lines.

        A line or row that cannot be used is an error in its place. Raises UserError for an argument
        that no source accepts.
        """
        named: dict[str, str] = {}
        for argument in arguments:
            name, equals, value = argument.partition("=")
            alone = len(self.readers) == 1
            if not equals or name not in self.readers or (self.as_text and alone):
                named_so = equals and not _is_kind_of_path(Path(argument), Path.exists)
                self._refuse_other_source(name if named_so else "")
                yield from self._unnamed(argument, stdin)
            elif alone:
                yield from self._values(name, value)
            else:
                if name in named:
                    yield named
                    named = {}
                named[name] = self._named(name, value)
        if named:
            yield named

    def _refuse_other_source(self, name: str) -> None:
        """Refuse SOURCE=VALUE with an unknown source, unless everything is text."""
        if re.fullmatch(SOURCE_NAME_PATTERN, name) and not self.as_text:
            raise UserError(
                f"expected one of the sources {', '.join(self.readers) or '(none)'} before the =, "
                f"got {shown(name)}; correct the name, or use --text if it is part of the text"
            )

    def _unnamed(self, argument: str, stdin: Iterable[bytes]) -> Iterable[Input]:
        path = Path(argument)
        if len(self.readers) != 1:
            if len(self.readers) > 1 and self._is_table(path):
                return self._usable(rows_of(path, self._columns, self.notify))
            names = ", ".join(self.readers) or "none: it takes no input"
            raise UserError(
                f"expected SOURCE=VALUE with one of the sources ({names}), got {shown(argument)}; "
                "write the source's name before the value, or give a table with a column for each"
            )
        (name,) = self.readers
        if argument == STANDARD_INPUT and not self.as_text:
            inputs = decoded(stripped(stdin), Path("standard input"), name)
            return self._usable([document(inputs, name)] if self.as_document else inputs)
        return self._values(name, argument)

    def _values(self, name: str, argument: str) -> Iterable[Input]:
        """The inputs of a recipe's only source."""
        reader, path = self.readers[name], Path(argument)
        if self.as_text or not argument.strip():
            return [{name: argument}]
        own = not reader.reads_text and path.suffix.lower() in reader.suffixes
        if self._is_table(path) and not own:
            return self._usable(rows_of(path, self._columns, self.notify))
        if _is_kind_of_path(path, Path.is_dir):
            files = map(str, self._files(path, reader))
            return [one for file in files for one in self._content(name, file)]
        return self._content(name, argument)

    def _files(self, folder: Path, reader: records.Reader) -> list[Path]:
        shown = [file for file in folder.iterdir() if not file.name.startswith(".")]
        files = sorted(file for file in shown if file.suffix.lower() in reader.suffixes)
        if len(files) < len(shown):
            self.notify(_passed_over(folder, {*shown} - {*files}))
        if not files:
            raise UserError(
                f"expected files ending in {', '.join(reader.suffixes)} in {folder}, got none; "
                "give a folder that has some, or the files themselves"
            )
        return files

    def _content(self, name: str, argument: str) -> list[Input]:
        """The lines of a text file; otherwise the argument itself, a text or a file of media."""
        path = Path(argument)
        if self.readers[name].reads_text and _is_kind_of_path(path, Path.is_file):
            lines = lines_of(path, name)
            return [document(lines, name)] if self.as_document else lines
        return [{name: self._named(name, argument)}]

    def _named(self, name: str, value: str) -> str:
        """The value of one source. Raises UserError for a path where a text is expected."""
        if not self.readers[name].reads_text:
            return self._checked(name, value)
        if self.as_text or not value.strip():
            return value
        if _is_kind_of_path(Path(value), Path.is_file):
            raise UserError(
                f"expected a text for the source {name!r}, got the file {value}; give a table "
                f"(.jsonl, .tsv, .csv) with the columns {', '.join(self.readers)}, or use --text "
                "if this is the text itself"
            )
        if looks_like_path(value, self._columns.suffixes):
            raise UserError(
                f"expected a text or an existing file for the source {name!r}, got {shown(value)}, "
                "which is not a file; check the path, or use --text if this is the text itself"
            )
        return value

    def _checked(self, name: str, value: str) -> str:
        """A path. Raises UserError if there is no such file."""
        if _is_kind_of_path(Path(value), Path.is_file):
            return value
        raise UserError(
            f"expected a file ({', '.join(self.readers[name].suffixes)}) for the source {name!r}, "
            f"got {shown(value)}, which is not a file; check the path"
        )

    def _usable(self, inputs: Iterable[Input]) -> Iterator[Input]:
        """Inputs of lines or rows; one with a path to no file is an error."""
        for given in inputs:
            try:
                if not isinstance(given, UserError):
                    for name, value in given.items():
                        if not self.readers[name].reads_text and value.strip():
                            self._checked(name, value)
                yield given
            except UserError as error:
                yield error

    def _is_table(self, path: Path) -> bool:
        return not self.as_text and is_table(path) and _is_kind_of_path(path, Path.is_file)

    @property
    def _columns(self) -> SourceColumns:
        return SourceColumns(self.readers, self.fields)


def is_blank(given: Input) -> bool:
    """Whether no value of an input has a visible character: its output is empty."""
    if not isinstance(given, dict) or not given:
        return False
    return not any(drop_invisible(value).strip() for value in given.values())


def _is_kind_of_path(path: Path, question: Callable[[Path], bool]) -> bool:
    """Test a path; a long sentence is not a path, and querying the disk for it raises OSError."""
    try:
        return question(path)
    except (OSError, ValueError):
        return False


def _passed_over(folder: Path, files: Iterable[Path]) -> str:
    """Say how many files of which kinds in a folder are not read."""
    kinds = Counter(
        "folder" if file.is_dir() else file.suffix.lower() or "without suffix" for file in files
    )
    listed = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    total = kinds.total()
    return f"passed over {total} file{'s' if total > 1 else ''} in {folder}: {listed}"
