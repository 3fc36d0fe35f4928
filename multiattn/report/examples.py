"""Examples that a report shows in the viewer: the worst, the best and some between."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from multiattn.data.corpus import Example, media_sources, open_corpus
from multiattn.data.splits import Splits
from multiattn.errors import UserError
from multiattn.prediction.prediction import Prediction
from multiattn.prediction.predictor import load
from multiattn.prediction.viewer.html import viewer_element
from multiattn.progress import track
from multiattn.recipe.settings import RecipeSettings
from multiattn.registry.host import Host
from multiattn.run_folder import RunFolder

OF_A_KIND = 4
MOST_BYTES = 3_500_000  # of all examples of a run; a page should be sent by mail
KINDS = ("worst", "best", "random", "chosen")


@dataclass(frozen=True)
class ReportExample:
    """An input with its references, in the viewer. kind: why it is shown, of ``KINDS``."""

    id: str
    kind: str
    references: tuple[str, ...]
    viewer: Markup


def choose(
    examples: Sequence[Example], order: Sequence[str], wanted: Sequence[str]
) -> list[tuple[str, Example]]:
    """Those that are wanted by id; the worst, the best and random ones of the others.

    order: the ids that were scored, the worst first; without any, all are random. Raises UserError
    for an id that is not there.
    """
    by_id = {example.id: example for example in examples}
    unknown = [name for name in wanted if name not in by_id]
    if unknown:
        raise UserError(
            f"expected the ids of examples in the split after --example, got {unknown[0]!r}; "
            f"choose some such as {', '.join(list(by_id)[:3])}"
        )
    chosen = dict.fromkeys(wanted, "chosen")
    scored = [name for name in order if name in by_id]
    for kind, names in (("worst", scored), ("best", scored[::-1])):
        chosen |= {name: kind for name in names[:OF_A_KIND] if name not in chosen}
    others = [name for name in by_id if name not in chosen]
    count = OF_A_KIND if scored else 3 * OF_A_KIND
    drawn = random.Random(1).sample(others, min(count, len(others)))  # noqa: S311 (no secret)
    chosen |= dict.fromkeys(drawn, "random")
    return [(kind, by_id[name]) for kind in KINDS for name in chosen if chosen[name] == kind]


@dataclass(frozen=True)
class ExampleSource:
    """A run with the examples of its test split.

    splits: the corpus, if it is open already. wanted: ids of examples to show in any case.
    """

    run: RunFolder
    settings: RecipeSettings
    host: Host
    splits: Splits | None
    wanted: tuple[str, ...]

    def examples(self, order: Sequence[str]) -> tuple[tuple[ReportExample, ...], str]:
        """As many examples as fit a page; or none, and the reason.

        order: the ids that were scored, the worst first. Raises UserError for an id in ``wanted``
        that is not there.
        """
        settings = self.settings
        if not settings.sources:
            return (), "a language model has no inputs"
        try:
            predictor = load(self.run.path, host=self.host, device="cpu")
            test = self._test_examples()
        except UserError as error:
            return (), str(error)
        chosen = choose(test, order, self.wanted)
        inputs = [
            {name: example.fields[source.field] for name, source in settings.sources.items()}
            for _, example in chosen
        ]
        shown, refused, size = [], "", 0
        attempts = track(predictor.attempts(inputs), "examples of the report", len(inputs))
        for (kind, example), prediction in zip(chosen, attempts, strict=True):
            if isinstance(prediction, UserError):
                refused = str(prediction)
                continue
            seen = self._seen(kind, example, prediction)
            size += len(seen.viewer)
            if size > MOST_BYTES:
                break
            shown.append(seen)
        return tuple(shown), "" if shown else refused

    def _test_examples(self) -> Sequence[Example]:
        splits = self.splits
        if splits is None:
            data = self.run.read_start()["data"]
            splits = Splits(open_corpus(self.settings.corpus, self.host, data), self.settings)
        return splits.examples(splits.names.test)

    def _seen(self, kind: str, example: Example, prediction: Prediction) -> ReportExample:
        view = prediction.view()
        folder = Path(self.run.read_start()["data"]) / self.settings.corpus.folder
        media = media_sources(self.settings.sources, self.host)
        view["input"] = {
            name: relative_path(value, folder) if name in media else value
            for name, value in view["input"].items()
        }
        target = example.fields[self.settings.target.field] or ()
        references = (target,) if isinstance(target, str) else tuple(target)
        return ReportExample(example.id, kind, references, viewer_element(view))


def relative_path(value: str, folder: Path) -> str:
    """A file's path relative to the corpus's folder; only its name if it is elsewhere."""
    for path in (Path(value).absolute(), Path(value).resolve()):
        if path.is_relative_to(folder):
            return str(path.relative_to(folder))
    return Path(value).name
