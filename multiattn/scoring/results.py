"""A results folder, written atomically and read to show scores. It imports no torch.

hypotheses.jsonl     a line per example, in the order of the split
scores.json          metric -> score; `groups`, if set in the recipe; `attention`; `decoding`
METRIC.txt           per-example error details, for metrics that provide them; may be .json
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from multiattn.errors import UserError
from multiattn.files import DAMAGE_ERRORS, atomic_replace
from multiattn.scoring.intervals import Score, as_plain_data

Scores = Mapping[str, Score]
WORST = 3  # examples that are named
WORST_KINDS = {
    "looping": ("repeat themselves without moving on", "tokens"),
    "unread": ("leave a stretch unread", "slots"),
    "skipped": ("skip what CTC finds", "tokens"),
}


@dataclass(frozen=True)
class Results:
    """The scores of one split, decoded with one set of settings.

    decoding: all that the scores depend on besides the corpus. groups: the scores for each value
    of ``evaluation.group``, such as each speaker. attention: by source, how the outputs read it:
    means, and how many skip a stretch or loop (``search.diagnostics``).
    """

    scores: Scores
    decoding: Mapping[str, Any]
    groups: Mapping[str, Scores] = field(default_factory=dict)
    attention: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read a folder that ``write`` wrote. Raises UserError if it is missing or malformed."""
        file = folder / "scores.json"
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            decoding, groups = dict(content.pop("decoding")), content.pop("groups", {})
            attention = {name: dict(own) for name, own in content.pop("attention", {}).items()}
            missing = {"search", "evaluation", "weights"} - decoding.keys()
            if missing:
                raise KeyError(*missing)
            named = {group: _scores(scores) for group, scores in groups.items()}
            return cls(_scores(content), decoding, named, attention)
        except (*DAMAGE_ERRORS, OSError) as error:
            raise UserError(
                f"expected scores in {file}, got {error!r}; move {folder} away, then evaluate again"
            ) from error

    def write(
        self, folder: Path, lines: Sequence[Mapping[str, Any]], details: Mapping[str, str]
    ) -> None:
        """Write a temporary folder, then rename it to ``folder``. details: texts by file name."""
        content: dict[str, Any] = _plain_scores(self.scores)
        if self.groups:
            content["groups"] = {
                group: _plain_scores(scores) for group, scores in self.groups.items()
            }
        if self.attention:
            content["attention"] = {name: dict(own) for name, own in self.attention.items()}
        content["decoding"] = dict(self.decoding)
        with atomic_replace(folder) as beside:
            beside.mkdir()
            rows = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
            (beside / "hypotheses.jsonl").write_text(rows, encoding="utf-8")
            for name, text in details.items():
                (beside / name).write_text(text, encoding="utf-8")
            text = json.dumps(content, indent=2, ensure_ascii=False)
            (beside / "scores.json").write_text(text + "\n", encoding="utf-8")

    @property
    def grouped_by(self) -> str:
        """The field or note of the corpus that defines the groups."""
        return str(self.decoding["evaluation"]["group"])

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of the recipe's metrics, without the further values of each."""
        named = [metric["name"] for metric in self.decoding["evaluation"]["metrics"]]
        return tuple(name.rpartition("/")[2] for name in named)


def worst_readings(folder: Path) -> list[str]:
    """A line for each of ``WORST_KINDS`` that occurs, with the ids of the worst."""
    found: dict[str, list[tuple[int, str]]] = {kind: [] for kind in WORST_KINDS}
    for line in (folder / "hypotheses.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        for reading in row.get("attention", {}).values():
            for kind in found.keys() & reading.keys():
                if reading[kind]:
                    found[kind].append((reading[kind], row["id"]))
    sentences = []
    for kind, (what, unit) in WORST_KINDS.items():
        worst = sorted(found[kind], reverse=True)
        named = ", ".join(f"{name} ({count} {unit})" for count, name in worst[:WORST])
        if worst:
            sentences.append(f"outputs that {what}: {len(worst)}, most of all {named}")
    return sentences


def _scores(content: Mapping[str, Any]) -> dict[str, Score]:
    return {
        name: Score(**{**score, "warnings": tuple(score.get("warnings", ()))})
        for name, score in content.items()
    }


def _plain_scores(scores: Scores) -> dict[str, Any]:
    return {name: as_plain_data(score) for name, score in scores.items()}
