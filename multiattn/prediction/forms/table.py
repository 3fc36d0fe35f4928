"""The table of forms, with the names that ``--as`` gives them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from multiattn.errors import UserError, shown
from multiattn.prediction.forms import subtitles, transcripts
from multiattn.prediction.forms.json_lines import blank_as_json, error_as_json
from multiattn.prediction.prediction import Prediction

Given = Mapping[str, Any] | UserError  # an input: values by source, or why there are none


@dataclass(frozen=True)
class Form:
    """A form of outputs.

    suffix: of its files. write: from the name of an input and its prediction, lines included.
    write_nothing: from the name of an input without an output, the input, and the error unless it
    is blank. lines: whether the outputs of several inputs may follow each other.
    """

    name: str
    suffix: str
    write: Callable[[str, Prediction], str]
    write_nothing: Callable[[str, Given, UserError | None], str] = lambda name, given, error: ""
    lines: bool = True


def _text(name: str, prediction: Prediction) -> str:
    return f"{prediction.text}\n"


def _ranked(name: str, prediction: Prediction) -> str:
    return "".join(
        f"{name}\t{rank}\t{one.score:.6g}\t{one.text}\n"
        for rank, one in enumerate(prediction.n_best, start=1)
    )


def _json(name: str, prediction: Prediction) -> str:
    return _line(prediction.as_json())


def _json_of_nothing(name: str, given: Given, error: UserError | None) -> str:
    if isinstance(given, UserError):
        return _line(error_as_json(given))
    return _line(blank_as_json(dict(given)) if error is None else error_as_json(error))


def _line(content: Mapping[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False) + "\n"


TEXT = Form("text", ".txt", _text, lambda name, given, error: "\n")
RANKED = Form("text", ".tsv", _ranked, lambda name, given, error: f"{name}\t\t\t\n")  # n-best
FORMS = (
    TEXT,
    Form("json", ".json", _json, _json_of_nothing),
    Form("html", ".html", lambda name, prediction: prediction.as_html(name), lines=False),
    Form("srt", ".srt", subtitles.srt, lines=False),
    Form("vtt", ".vtt", subtitles.vtt, lines=False),
    Form("ctm", ".ctm", transcripts.ctm),
    Form("stm", ".stm", transcripts.stm),
    Form("textgrid", ".TextGrid", transcripts.textgrid, lines=False),
)


def form_named(name: str) -> Form:
    """The form that ``--as`` names. Raises UserError."""
    for form in FORMS:
        if form.name == name.lower():
            return form
    names = ", ".join(form.name for form in FORMS)
    raise UserError(f"expected --as to be one of {names}, got {shown(name)}; choose one")
