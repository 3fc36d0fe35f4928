"""What a user writes on a command line -> values of a recipe's sources. It decodes no media.

"A dog ."                        the value of the only source
photo=a.jpg english='A dog.'     one input of two sources; a name that comes again starts the next
my.jpg, a folder/, notes.txt     files that a reader recognises by suffix; of a text, its lines
-                                the lines of standard input
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from multiattn import records
from multiattn.errors import UserError
from multiattn.plugins import Host
from multiattn.settings import RecipeSettings

STANDARD_INPUT = "-"


@dataclass(frozen=True)
class InputParser:
    """Turns arguments into inputs.

    readers: the record of each source's reader. as_text: take everything literally.
    """

    readers: Mapping[str, records.Reader]
    as_text: bool = False

    @classmethod
    def of(cls, settings: RecipeSettings, host: Host, as_text: bool) -> InputParser:
        """For the sources of a recipe."""
        found = {}
        for name, source in settings.sources.items():
            record = host.find("reader", source.reader.name).record
            assert isinstance(record, records.Reader)  # noqa: S101
            found[name] = record
        return cls(found, as_text)

    def parse(self, arguments: Sequence[str], lines: Iterable[str]) -> Iterator[dict[str, str]]:
        """One mapping of source names to values per input; ``lines`` are standard input's.

        Raises UserError for what no source takes.
        """
        named: dict[str, str] = {}
        for argument in arguments:
            name, equals, value = argument.partition("=")
            if not equals or name not in self.readers:
                yield from self._unnamed(argument, lines)
                continue
            if name in named:
                yield named
                named = {}
            named[name] = self._checked(name, value)
        if named:
            yield named

    def _unnamed(self, argument: str, lines: Iterable[str]) -> Iterator[dict[str, str]]:
        if len(self.readers) != 1:
            names = ", ".join(self.readers) or "none, it writes without input"
            raise UserError(
                f"expected SOURCE=VALUE with one of the sources ({names}), got {argument!r}; "
                "write the source's name before the value"
            )
        ((name, reader),) = self.readers.items()
        if argument == STANDARD_INPUT and not self.as_text:
            values: Iterable[str] = (line.rstrip("\r\n") for line in lines)
        else:
            values = self._values(argument, reader)
        yield from ({name: self._checked(name, value)} for value in values)

    def _values(self, argument: str, reader: records.Reader) -> list[str]:
        if self.as_text:
            return [argument]
        path = Path(argument)
        if _is(path, Path.is_dir):
            files = sorted(file for file in path.iterdir() if _recognised(file, reader))
            if not files:
                raise UserError(
                    f"expected files ending in {', '.join(reader.suffixes)} in {path}, got none; "
                    "give a folder that has some, or the files themselves"
                )
            return [value for file in files for value in _content(file, reader)]
        if _recognised(path, reader) and (reader.produces != "text" or _is(path, Path.is_file)):
            return _content(path, reader)
        return [argument]

    def _checked(self, name: str, value: str) -> str:
        """A path must exist; a text may say anything but nothing."""
        reader = self.readers[name]
        if reader.produces == "text":
            if not value.strip():
                raise UserError(f"expected a text for the source {name!r}, got an empty one")
        elif not _is(Path(value), Path.is_file):
            raise UserError(
                f"expected a file ({', '.join(reader.suffixes)}) for the source {name!r}, "
                f"got {value!r}, which is none; check the path"
            )
        return value


def _recognised(path: Path, reader: records.Reader) -> bool:
    return path.suffix.lower() in reader.suffixes


def _content(path: Path, reader: records.Reader) -> list[str]:
    """The values that a recognised file holds: the lines of a text, else the file itself."""
    if reader.produces != "text":
        return [str(path)]
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            f"expected UTF-8 text in {path}, got byte {error.object[error.start]:#x}; convert it"
        ) from error
    return [line for line in text.split("\n") if line.strip()]


def _is(path: Path, question: object) -> bool:
    """A long sentence is no path, and asking the disk about it is an error."""
    try:
        return bool(question(path))  # type: ignore[operator]
    except OSError:
        return False
