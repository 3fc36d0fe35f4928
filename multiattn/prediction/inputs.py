"""Parse command-line arguments into values of a recipe's sources. No media are decoded here.

"A dog ."                        the value of the only source
photo=a.jpg english='A dog.'     one input with two sources; a repeated name starts the next input
my.jpg, a folder/, notes.txt     files that a reader recognises by suffix; a text file's lines
-                                the lines of standard input
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from multiattn.data.text_files import FileLine, decode_line, read_lines, split_lines
from multiattn.errors import UserError
from multiattn.recipe.settings import SOURCE_NAME_PATTERN, SourceSettings
from multiattn.registry import records
from multiattn.registry.host import Host

STANDARD_INPUT = "-"


@dataclass(frozen=True)
class InputParser:
    """Turns arguments into inputs.

    readers: the record of each source's reader. as_text: treat every argument as literal text.
    """

    readers: Mapping[str, records.Reader]
    as_text: bool = False

    @classmethod
    def of(cls, sources: Mapping[str, SourceSettings], host: Host, as_text: bool) -> InputParser:
        """Create the parser for the sources of a recipe."""
        readers = {}
        for name, source in sources.items():
            record = host.find("reader", source.reader.name).record
            assert isinstance(record, records.Reader)  # noqa: S101
            readers[name] = record
        return cls(readers, as_text)

    def parse(self, arguments: Sequence[str], stdin: Iterable[bytes]) -> Iterator[dict[str, str]]:
        """One mapping of source names to values per input; ``-`` stands for standard input's lines.

        Raises UserError for an argument that no source accepts.
        """
        named: dict[str, str] = {}
        for argument in arguments:
            name, equals, value = argument.partition("=")
            if self.as_text or not equals or name not in self.readers:
                named_so = equals and not _is_kind_of_path(Path(argument), Path.exists)
                self._refuse_other_source(name if named_so else "")
                yield from self._unnamed(argument, stdin)
                continue
            if name in named:
                yield named
                named = {}
            named[name] = self._checked(name, value)
        if named:
            yield named

    def _refuse_other_source(self, name: str) -> None:
        """Refuse SOURCE=VALUE with an unknown source, unless everything is text."""
        if re.fullmatch(SOURCE_NAME_PATTERN, name) and not self.as_text:
            raise UserError(
                f"expected one of the sources {', '.join(self.readers) or '(none)'} before the =, "
                f"got {name!r}; correct the name, or use --text if it is part of the text"
            )

    def _unnamed(self, argument: str, stdin: Iterable[bytes]) -> Iterator[dict[str, str]]:
        if len(self.readers) != 1:
            names = ", ".join(self.readers) or "none: it takes no input"
            raise UserError(
                f"expected SOURCE=VALUE with one of the sources ({names}), got {argument!r}; "
                "write the source's name before the value"
            )
        ((name, reader),) = self.readers.items()
        if argument == STANDARD_INPUT and not self.as_text:
            values: Iterable[str] = _lines(split_lines(stdin), Path("standard input"))
        else:
            values = self._values(argument, reader)
        yield from ({name: self._checked(name, value)} for value in values)

    def _values(self, argument: str, reader: records.Reader) -> list[str]:
        if self.as_text or not argument.strip():
            return [argument]
        path = Path(argument)
        if _is_kind_of_path(path, Path.is_dir):
            shown = (file for file in path.iterdir() if not file.name.startswith("."))
            files = sorted(file for file in shown if _reader_by_suffix(file, reader))
            if not files:
                raise UserError(
                    f"expected files ending in {', '.join(reader.suffixes)} in {path}, got none; "
                    "give a folder that has some, or the files themselves"
                )
            return [value for file in files for value in _content(file, reader)]
        if _reader_by_suffix(path, reader) and " " not in argument:
            return _content(path, reader)
        return [argument]

    def _checked(self, name: str, value: str) -> str:
        """Check that a path exists or that a text is not empty."""
        reader = self.readers[name]
        if reader.produces == "text":
            if not value.strip():
                raise UserError(f"expected a text for the source {name!r}, got an empty one")
        elif not _is_kind_of_path(Path(value), Path.is_file):
            raise UserError(
                f"expected a file ({', '.join(reader.suffixes)}) for the source {name!r}, "
                f"got {value!r}, which is not a file; check the path"
            )
        return value


def _reader_by_suffix(path: Path, reader: records.Reader) -> bool:
    return path.suffix.lower() in reader.suffixes


def _content(path: Path, reader: records.Reader) -> list[str]:
    """The values in a recognised file: the lines of a text file, otherwise the file itself."""
    if reader.produces != "text":
        return [str(path)]
    if not _is_kind_of_path(path, Path.is_file):
        raise UserError(
            f"expected a text file, got {path}, which is not a file; check the path, or use --text "
            "if this is the text itself"
        )
    return list(_lines(read_lines(path), path))


def _lines(lines: Iterable[bytes], path: Path) -> Iterator[str]:
    """One text per line; blank lines are errors because outputs match inputs by line number."""
    for number, raw in enumerate(lines, start=1):
        line = decode_line(raw, FileLine(path, number))
        if not line.strip():
            raise UserError(
                f"expected a text in every line of {path}, got an empty line {number}; remove it"
            )
        yield line


def _is_kind_of_path(path: Path, question: object) -> bool:
    """Test a path; a long sentence is not a path, and querying the disk for it raises OSError."""
    try:
        return bool(question(path))  # type: ignore[operator]
    except OSError:
        return False
