"""The HTML report: how good a run is, of what, and where it is wrong, in one file.

    write_report([RunFolder(Path("runs/translation"))], host, Path("report.html"))

Everything comes from run folders; only the examples in the viewer need the corpus. The page is
self-contained and loads nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import jinja2
from markupsafe import Markup

from multiattn.data.splits import Splits
from multiattn.files import write_bytes
from multiattn.prediction.viewer.html import framed, viewer_file
from multiattn.progress import track
from multiattn.recipe.loading import load_recipe
from multiattn.registry.host import Host, load_host
from multiattn.report.charts import Curve, curves_of, curves_svg
from multiattn.report.comparison import ComparedRuns, compare_runs
from multiattn.report.examples import ExampleSource, ReportExample
from multiattn.report.facts import Headline, facts, headline
from multiattn.report.outputs import Named, Outputs, metric_of, outputs_of, read_outputs
from multiattn.run_folder import RunFolder
from multiattn.runs.log import read_log
from multiattn.scoring.evaluator import metric_units
from multiattn.scoring.matching import Examples
from multiattn.scoring.results import Results
from multiattn.scoring.scale import format_score, format_unit

NOTEBOOK_HEIGHT = 800  # pixels


@dataclass(frozen=True)
class Written:
    """The outputs of a run's main split, with the metric that they are seen by."""

    examples: Examples
    metric: Named


@dataclass(frozen=True)
class RunSection:
    """One run's section of the page. ``missing``: why there are no examples, if there are none."""

    name: str
    summary: str
    headline: Headline | None
    facts: tuple[tuple[str, str], ...]
    results: dict[str, Results]
    written: Written | None
    outputs: Outputs | None
    examples: tuple[ReportExample, ...]
    missing: str
    recipe: str
    versions: dict[str, str]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """The report of one or several runs: a page that shows itself in a notebook.

        multiattn.Report.of("runs/translation")

    html: the page.
    """

    html: str

    @classmethod
    def of(cls, *runs: str | Path, host: Host | None = None) -> Self:
        """Make the report. Raises UserError for a folder that contains no run."""
        folders = [RunFolder(Path(run)) for run in runs]
        return cls(report_page(folders, host or load_host()))

    def _repr_html_(self) -> str:
        return framed(self.html, NOTEBOOK_HEIGHT)


def write_report(
    runs: Sequence[RunFolder],
    host: Host,
    path: Path,
    splits: Splits | None = None,
    wanted: Sequence[str] = (),
) -> None:
    """Write the page to a file; see ``report_page``."""
    write_bytes(path, report_page(runs, host, splits, wanted).encode("utf-8", "backslashreplace"))


def report_page(
    runs: Sequence[RunFolder],
    host: Host,
    splits: Splits | None = None,
    wanted: Sequence[str] = (),
) -> str:
    """The page. Raises UserError for a folder that contains no run.

    splits: the corpus, if there is only one run and its corpus is already open. wanted: ids of
    examples to show besides the worst, the best and random ones.
    """
    names = _names(runs)
    parts: list[RunSection] = []
    curves: list[Curve] = []
    for run, name in track(list(zip(runs, names, strict=True)), "reading runs", len(runs)):
        settings = load_recipe(run.recipe, (), host)
        source = ExampleSource(run, settings, host, splits, tuple(wanted))
        parts.append(_section(name, source))
        curves += curves_of(name, run, metric_units(settings.evaluation, host))
    return _template().render(
        title=", ".join(names),
        parts=parts,
        compared=_compared(parts),
        charts=_charts(curves, {part.headline.metric for part in parts if part.headline}),
        viewer_style=Markup(viewer_file("viewer.css")),  # noqa: S704 (a file of the package)
        viewer_script=Markup(viewer_file("viewer.js")),  # noqa: S704 (a file of the package)
    )


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("multiattn.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"score": format_score, "unit": format_unit}
    return environment.get_template("page.html")


def _names(runs: Sequence[RunFolder]) -> list[str]:
    """The folders' names, with as many of the folders above as it takes to tell them apart."""
    paths = [run.require().path.resolve() for run in runs]
    for depth in range(1, max(len(path.parts) for path in paths)):
        names = ["/".join(path.parts[-depth:]) for path in paths]
        if len(set(names)) == len(set(paths)):
            break
    return names


def _charts(curves: Sequence[Curve], metrics: set[str]) -> dict[str, list[Markup]]:
    """A chart per value with all runs: loss and the main scores first, the others folded."""
    figures = dict.fromkeys(curve.figure for curve in curves)
    charts: dict[str, list[Markup]] = {"main": [], "others": []}
    for figure in track(figures, "drawing curves", len(figures)):
        where = "main" if figure in metrics | {"loss"} else "others"
        drawn = [curve for curve in curves if curve.figure == figure]
        charts[where].append(curves_svg(figure, drawn))
    return charts


def _section(name: str, source: ExampleSource) -> RunSection:
    run, settings = source.run, source.settings
    results = {
        file.parent.name: Results.read(file.parent)
        for file in sorted(run.path.glob("results/[!.]*/scores.json"))
    }
    shown = headline(settings, results)
    written = _written(name, source, shown)
    outputs = None if written is None else outputs_of(written.examples, written.metric)
    examples, missing = source.examples(() if outputs is None else outputs.order)
    data = Path(run.read_start()["data"])
    folders = (data / settings.corpus.folder, data)
    return RunSection(
        name=name,
        summary=settings.summary,
        headline=shown,
        facts=tuple(facts(run, settings)),
        results=results,
        written=written,
        outputs=outputs,
        examples=examples,
        missing=_relative_to(folders, missing),
        recipe=run.recipe.read_text(encoding="utf-8"),
        versions=run.read_versions(),
        notes=tuple(_relative_to(folders, note) for note in _notes(run)),
    )


def _written(name: str, source: ExampleSource, shown: Headline | None) -> Written | None:
    if shown is None or not source.settings.sources:
        return None
    metric = metric_of(source.settings, source.host, shown.metric)
    if metric is None:
        return None
    return Written(read_outputs(source.run.results(shown.split), name), metric)


def _compared(parts: Sequence[RunSection]) -> list[ComparedRuns]:
    """The runs in pairs, if all were scored by the same metric on the same examples."""
    written = [part.written for part in parts if part.written is not None]
    if len(written) < max(2, len(parts)) or len({each.metric[0].name for each in written}) > 1:
        return []
    names = [part.name for part in parts]
    return compare_runs(names, [each.examples for each in written], written[0].metric)


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
