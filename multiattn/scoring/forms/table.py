"""The table of forms, and which of them a file has for certain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from multiattn.errors import UserError, shown
from multiattn.scoring.forms import coco, columns, lines, nist, subtitles
from multiattn.scoring.forms.contents import Contents, ReferenceFile


@dataclass(frozen=True)
class Form:
    """A form of files, with the name that ``--format`` gives it.

    title, unit: what messages call it and its examples. read: from a file's name and text.
    read_references: the same for references, where they are read otherwise.
    suffix: of the file names that have this form for certain. recognise: whether a text has it for
    certain. cut: finds the id on a line; such a form is recognised only beside other files, see
    ``recognition``. has_columns: whether ``columns`` is an argument of the readers.
    """

    name: str
    title: str
    unit: str
    read: Callable[..., Contents]
    suffix: str | None = None
    read_references: Callable[..., ReferenceFile] | None = None
    recognise: Callable[[str], bool] | None = None
    cut: lines.Cut | None = None
    has_columns: bool = False


PLAIN = Form("plain", "plain text", "lines", lines.read_plain)
FORMS = (
    Form("jsonl", "JSON lines", "lines", lines.read_jsonl, ".jsonl", recognise=lines.is_jsonl),
    Form("coco", "COCO's JSON", "pictures", coco.read_coco, ".json", recognise=coco.is_coco),
    Form(
        "csv",
        "a CSV table",
        "rows",
        columns.csv_outputs,
        ".csv",
        columns.csv_references,
        has_columns=True,
    ),
    Form(
        "tsv",
        "a TSV table",
        "rows",
        columns.tsv_outputs,
        ".tsv",
        columns.tsv_references,
        has_columns=True,
    ),
    Form(
        "vtt",
        "WebVTT",
        "cues",
        subtitles.vtt_words,
        ".vtt",
        subtitles.vtt_cues,
        subtitles.is_vtt,
    ),
    Form(
        "srt",
        "SubRip",
        "cues",
        subtitles.srt_words,
        ".srt",
        subtitles.srt_cues,
        subtitles.is_srt,
    ),
    Form("stm", "NIST stm", "segments", nist.read_stm_words, ".stm", nist.read_stm, nist.is_stm),
    Form("ctm", "NIST ctm", "words", nist.read_ctm, ".ctm", nist.refuse_ctm, nist.is_ctm),
    Form("trn", "NIST trn", "utterances", lines.read_trn, ".trn", cut=lines.cut_trn),
    Form("kaldi", "Kaldi text", "utterances", lines.read_kaldi, cut=lines.cut_kaldi),
    PLAIN,
)


@dataclass(frozen=True)
class Source:
    """A file that was read; ``folder``: it is the outputs of a run, given by its folder."""

    name: str
    text: str
    folder: bool = False

    @property
    def suffix(self) -> str:
        """As of the decompressed file."""
        return Path(self.name.removesuffix(".gz")).suffix


def form_named(name: str) -> Form:
    """The form that ``--format`` names. Raises UserError."""
    for form in FORMS:
        if form.name == name:
            return form
    names = ", ".join(form.name for form in FORMS)
    raise UserError(f"expected --format to be one of {names}, got {shown(name)}; choose one")


def certain_form(source: Source) -> Form | None:
    """The form that a file's name or its text gives away; None if other files have to."""
    for form in FORMS:
        if source.suffix and source.suffix == form.suffix:
            return form
    recognised = (form for form in FORMS if form.recognise and form.recognise(source.text))
    return next(recognised, None)
