"""The report's curves, as SVG in the page itself."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.figure import Figure

from multiattn.prediction.rendering import quiet_drawing
from multiattn.run_folder import RunFolder
from multiattn.runs.log import read_log
from multiattn.scoring.scale import factor, unit_of

UNPLOTTED_KEYS = {"kind", "step", "epoch", "seconds", "split"}


@dataclass(frozen=True)
class Curve:
    """One line of a chart."""

    figure: str
    label: str
    steps: tuple[int, ...]
    values: tuple[float, ...]
    dashed: bool


def curves_of(name: str, run: RunFolder, units: Mapping[str, str]) -> Iterator[Curve]:
    """A curve for every logged value; validation curves are dashed.

    units: of the metrics, whose values are drawn on the field's scale.
    """
    for kind in ("training", "validation"):
        lines = [line for line in read_log(run) if line["kind"] == kind]
        figures = dict.fromkeys(key for line in lines for key in line if key not in UNPLOTTED_KEYS)
        for figure in figures:
            scale = factor(unit_of(figure, units))
            points = [(line["step"], line[figure] * scale) for line in lines if figure in line]
            steps, values = zip(*points, strict=True)
            yield Curve(figure, f"{name} {kind}", steps, values, kind == "validation")


def curves_svg(title: str, curves: Sequence[Curve]) -> Markup:
    """A chart over optimiser steps, as an SVG element."""
    content = io.StringIO()
    # names are no formulas; a fixed salt makes the SVG reproducible
    with quiet_drawing(), rc_context({"text.parse_math": False, "svg.hashsalt": title}):
        _curves_figure(title, curves).savefig(content, format="svg", metadata={"Date": None})
    svg = content.getvalue()
    return Markup(svg[svg.index("<svg") :])  # noqa: S704 (drawn here; labels are escaped by it)


def _curves_figure(title: str, curves: Sequence[Curve]) -> Figure:
    figure = Figure(figsize=(5, 3), layout="tight")
    axes = figure.add_subplot()
    for curve in curves:
        marker = "o" if len(curve.steps) < 30 else ""
        style = "--" if curve.dashed else "-"
        axes.plot(curve.steps, curve.values, style, marker=marker, ms=3, label=curve.label)
    axes.set_title(title.replace("_", " "), fontsize=10)
    axes.set_xlabel("step", fontsize=8)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.3)
    if len(curves) > 1:
        axes.legend(fontsize=7)
    return figure
