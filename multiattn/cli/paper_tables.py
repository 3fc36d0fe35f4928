"""Tables that one can put into a paper: Markdown, LaTeX, CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Sequence

from multiattn.errors import UserError, shown

_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "×": r"$\times$",
    **{mark: f"\\{mark}" for mark in "&%$#_{}"},
}
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


class TableData:
    """The header and the rows of a table, as texts."""

    def __init__(self, *columns: str) -> None:
        self.columns = columns
        self.rows: list[tuple[str, ...]] = []

    def add(self, *cells: str) -> None:
        """Add a row, with a cell for each column."""
        assert len(cells) == len(self.columns), (cells, self.columns)  # noqa: S101
        self.rows.append(cells)


def as_paper_table(table: TableData, notes: Sequence[str], form: str) -> str:
    """A table and its notes, such as signatures, in a form. Raises UserError for an unknown one."""
    if form not in _FORMS:
        raise UserError(
            f"expected --table to be one of {', '.join(_FORMS)}, got {shown(form)}; choose one"
        )
    return _FORMS[form](table, notes)


def _markdown(table: TableData, notes: Sequence[str]) -> str:
    lines = [table.columns, ["---:" if right else "---" for right in _right(table)], *table.rows]
    rows = (f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in lines)
    return "\n".join([*rows, "", *(f"`{note}`  " for note in notes)])


def _latex(table: TableData, notes: Sequence[str]) -> str:
    """For the package booktabs."""
    alignment = "".join("r" if right else "l" for right in _right(table))
    rows = [" & ".join(map(_escaped, row)) + r" \\" for row in (table.columns, *table.rows)]
    return "\n".join(
        [
            *(f"% {note}" for note in notes),
            rf"\begin{{tabular}}{{{alignment}}}",
            r"\toprule",
            rows[0],
            r"\midrule",
            *rows[1:],
            r"\bottomrule",
            r"\end{tabular}",
        ]
    )


def _csv(table: TableData, notes: Sequence[str]) -> str:
    """The notes stand in a last column of the first rows, so that every line is a row."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([*table.columns, "notes"])
    for number, row in enumerate(table.rows):
        writer.writerow([*row, "; ".join(notes) if number == 0 else ""])
    return file.getvalue().removesuffix("\n")


def _right(table: TableData) -> list[bool]:
    """Which columns are of numbers, and aligned to the right."""
    return [
        all(_NUMBER.fullmatch(cell) for cell in cells) for cells in zip(*table.rows, strict=True)
    ]


def _escaped(text: str) -> str:
    return "".join(_LATEX.get(letter, letter) for letter in text)


_FORMS: dict[str, Callable[[TableData, Sequence[str]], str]] = {
    "markdown": _markdown,
    "latex": _latex,
    "csv": _csv,
}
