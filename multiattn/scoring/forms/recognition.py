"""Recognise forms in which each line has an id, which no file shows on its own.

Kaldi's ``text`` and NIST ``trn`` are told from plain text by the ids: unique in each file and
common to all of them. Where that may be chance, a plain file must go on being one: ids that are
ordinary words, in the same order in both files, are taken for words; in another order they are in
doubt.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress

from multiattn.errors import UserError
from multiattn.scoring.forms.contents import ReferenceFile, SystemOutputs
from multiattn.scoring.forms.lines import lines_with_ids, split_lines
from multiattn.scoring.forms.table import FORMS, PLAIN, Form, Source

EXCEPTIONS = 0.1  # the share of lines up to which something odd is a mistake in a file with ids
CHANCE = 100  # lines: fewer sentences may well begin with distinct words
# letters and digits, an underscore, a leading zero, a long number: spk1-u1, 0001, 1089_a
_TELLING_ID = re.compile(r"(?=.*[^\W\d_])(?=.*\d).+|.*_.*|0\d+|\d{5,}")
_WORD = re.compile(r"[^\W\d_]")


@dataclass(frozen=True)
class _Ids:
    """The ids that a file has if it is in a form.

    telling: they hardly are anything else. complete: each line has one.
    """

    names: tuple[str, ...]
    telling: bool
    complete: bool

    @property
    def several(self) -> bool:
        return len(self.names) > 1


def form_of_lines(
    sources: Sequence[Source], known: Sequence[SystemOutputs | ReferenceFile]
) -> Form:
    """The common form of files that do not tell it one by one, given the files that do.

    Raises UserError where it may be one form or another.
    """
    for form in FORMS:
        if form.cut is None:
            continue
        found = [_ids(form, source) for source in sources]
        complete = [ids for ids in found if ids is not None and ids.complete]
        known_ids = [set(contents.ids) for contents in known if contents.ids]
        verdict = _common(form, complete, known_ids) if len(complete) == len(found) else False
        if not verdict and any(ids.telling and ids.several for ids in found if ids is not None):
            verdict = None
        if verdict is None:
            raise _doubt(form, [source.name for source in compress(sources, found)])
        if verdict:
            return form
    return PLAIN


def _ids(form: Form, source: Source) -> _Ids | None:
    """None if too many lines have no id or a repeated one, or there is nothing but ids."""
    assert form.cut is not None  # noqa: S101
    rows = [form.cut(line) for _, line in lines_with_ids(source.text)]
    cut = [row for row in rows if row is not None]
    names = tuple(name for name, _ in cut)
    repeated = len(names) - len(set(names))
    if (
        len(rows) - len(cut) > EXCEPTIONS * len(rows)
        or repeated > max(1, EXCEPTIONS * len(names))
        or not any(text for _, text in cut)
    ):
        return None
    hyphens = form.name == "trn"
    odd = sum(not (_TELLING_ID.fullmatch(name) or (hyphens and "-" in name)) for name in names)
    blank = "" in map(str.strip, split_lines(source.text.rstrip()))
    return _Ids(names, odd <= EXCEPTIONS * len(names), len(cut) == len(rows) and not blank)


def _common(form: Form, found: Sequence[_Ids], known: Sequence[set[str]]) -> bool | None:
    """Whether files whose lines all may have ids are in this form; None if that is in doubt."""
    telling = all(ids.telling and ids.several for ids in found)
    if known:
        return telling or all(
            2 * len(names.intersection(ids.names)) >= len(ids.names)
            for ids in found
            for names in known
        )
    first, *others = found
    if not others:
        return False
    if telling or any(sorted(ids.names) != sorted(first.names) for ids in others):
        return telling
    if any(ids.names != first.names for ids in others):
        return True if form.name == "trn" else None  # sentences may begin like each other
    # The same words or numbers in the same order: ids, or sentences that begin alike.
    if first.telling:
        return None
    numbers = not any(map(_WORD.search, first.names))
    alike = first.several if numbers or form.name == "trn" else len(first.names) >= CHANCE
    return None if alike else False


def _doubt(form: Form, names: Sequence[str]) -> UserError:
    return UserError(
        f"expected files that are certainly plain text or certainly {form.title}, got "
        f"{' and '.join(dict.fromkeys(names))}, of which each line may have an id; say which it "
        f"is with --format {form.name} or --format plain, and give all files in the same form"
    )
