"""The HTML report: scores, curves and examples with attention of one or more runs, in one file.

    write_report([RunFolder(Path("runs/translation"))], host, Path("report.html"))

Everything comes from run folders; only the attention maps need the corpus. The page is
self-contained and loads nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
from markupsafe import Markup

from multiattn.data.splits import Splits
from multiattn.errors import UserError
from multiattn.files import write_bytes
from multiattn.prediction.rendering import Renderers
from multiattn.progress import track
from multiattn.recipe.loading import load_recipe
from multiattn.recipe.settings import RecipeSettings
from multiattn.registry.host import Host
from multiattn.report.charts import Curve, attention_image, curves_of, curves_svg
from multiattn.run_folder import RunFolder
from multiattn.runs.log import read_log
from multiattn.scoring.evaluator import metric_units
from multiattn.scoring.results import Results
from multiattn.scoring.scale import format_score, format_unit

EXAMPLE_COUNT = 5


@dataclass(frozen=True)
class ReportExample:
    """One input with its hypothesis, its references and its attention maps."""

    id: str
    inputs: dict[str, str]
    text: str
    references: tuple[str, ...]
    pictures: tuple[Markup, ...]


@dataclass(frozen=True)
class RunSection:
    """One run's section of the page. ``missing``: why there are no examples, if there are none."""

    name: str
    summary: str
    results: dict[str, Results]
    examples: tuple[ReportExample, ...]
    missing: str
    recipe: str
    versions: dict[str, str]
    notes: tuple[str, ...]


def write_report(
    runs: Sequence[RunFolder], host: Host, path: Path, splits: Splits | None = None
) -> None:
    """Write the page. Raises UserError for a folder that contains no run.

    splits: the corpus, if there is only one run and its corpus is already open.
    """
    names = _names(runs)
    parts: list[RunSection] = []
    curves: list[Curve] = []
    for run, name in track(list(zip(runs, names, strict=True)), "reading runs", len(runs)):
        settings = load_recipe(run.recipe, (), host)
        parts.append(_part(name, run, settings, host, splits))
        curves += curves_of(name, run, metric_units(settings.evaluation, host))
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("multiattn.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"score": format_score, "unit": format_unit}
    page = environment.get_template("page.html").render(parts=parts, charts=_charts(curves))
    write_bytes(path, page.encode("utf-8", "backslashreplace"))


def _names(runs: Sequence[RunFolder]) -> list[str]:
    """The folders' names, with as many of the folders above as it takes to tell them apart."""
    paths = [run.require().path.resolve() for run in runs]
    for depth in range(1, max(len(path.parts) for path in paths)):
        names = ["/".join(path.parts[-depth:]) for path in paths]
        if len(set(names)) == len(set(paths)):
            break
    return names


def _charts(curves: Sequence[Curve]) -> list[Markup]:
    """One chart per value, with all runs; training and validation loss share a chart."""
    figures = dict.fromkeys(curve.figure for curve in curves)
    return [
        curves_svg(figure, [curve for curve in curves if curve.figure == figure])
        for figure in track(figures, "drawing curves", len(figures))
    ]


def _part(
    name: str, run: RunFolder, settings: RecipeSettings, host: Host, splits: Splits | None
) -> RunSection:
    examples, missing = _examples(run, settings, host, splits)
    data = Path(run.read_start()["data"])
    folders = (data / settings.corpus.folder, data)
    return RunSection(
        name=name,
        summary=settings.summary,
        results={
            file.parent.name: Results.read(file.parent)
            for file in sorted(run.path.glob("results/[!.]*/scores.json"))
        },
        examples=examples,
        missing=_relative_to(folders, missing),
        recipe=run.recipe.read_text(encoding="utf-8"),
        versions=run.read_versions(),
        notes=tuple(_relative_to(folders, note) for note in _notes(run)),
    )


def _notes(run: RunFolder) -> Iterator[str]:
    """What the log says about the data and the initial weights."""
    for line in read_log(run):
        if line["kind"] in ("data", "init"):
            named = [f"{key} {value}" for key, value in line.items() if key not in ("kind", "step")]
            yield ", ".join(named)


def _relative_to(folders: Sequence[Path], text: str) -> str:
    """A text in which paths below these folders are relative: a report leaves its machine."""
    for folder in folders:
        text = text.replace(f"{folder}/", "")
    return text


def _relative_path(value: str, folder: Path) -> str:
    """A file's path relative to the corpus's folder; only its name if it is elsewhere."""
    for path in (Path(value).absolute(), Path(value).resolve()):
        if path.is_relative_to(folder):
            return str(path.relative_to(folder))
    return Path(value).name


def _examples(
    run: RunFolder, settings: RecipeSettings, host: Host, splits: Splits | None
) -> tuple[tuple[ReportExample, ...], str]:
    """Examples spread evenly over the test split; or none, and the reason."""
    from multiattn.data.corpus import media_sources, open_corpus
    from multiattn.prediction.attention_records import display_value
    from multiattn.prediction.predictor import load

    if not settings.sources:
        return (), "a language model has no inputs"
    try:
        predictor = load(run.path, host=host, device="cpu")
        if splits is None:
            corpus = open_corpus(settings.corpus, host, run.read_start()["data"])
            splits = Splits(corpus, settings)
        test = splits.examples(splits.names.test)
    except UserError as error:
        return (), str(error)
    chosen = test[:: max(1, len(test) // EXAMPLE_COUNT)][:EXAMPLE_COUNT]
    inputs = [
        {name: example.fields[source.field] for name, source in settings.sources.items()}
        for example in chosen
    ]
    examples, refused = [], ""
    renderers = Renderers(settings.sources, host)
    folder = Path(run.read_start()["data"]) / settings.corpus.folder
    media = media_sources(settings.sources, host)
    attempts = track(predictor.attempts(inputs), "attention of examples", len(inputs))
    for example, prediction in zip(chosen, attempts, strict=True):
        if isinstance(prediction, UserError):
            refused = str(prediction)
            continue
        target = example.fields[settings.target.field] or ()
        references = (target,) if isinstance(target, str) else target
        pictures = tuple(attention_image(record, renderers) for record in prediction.records())
        given = {
            name: _relative_path(value, folder)
            if name in media and isinstance(value, str)
            else display_value(value)
            for name, value in prediction.inputs.items()
        }
        examples.append(ReportExample(example.id, given, prediction.text, references, pictures))
    return tuple(examples), "" if examples else refused
