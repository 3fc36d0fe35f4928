"""A page of outputs aligned with their references, in one file without scripts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from multiattn.scoring.details.examples import ScoredExample
from multiattn.scoring.metric import Edit
from multiattn.scoring.scale import format_score, format_unit

MOST_EXAMPLES = 1000  # on the page; the tables have all
_STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; }
article { border-top: 1px solid #8886; padding: .6rem 0; }
h2 { font-size: 1em; margin: 0 0 .3rem; font-weight: 600; }
h2 small { font-weight: 400; opacity: .75; margin-left: .8em; }
.edits { display: flex; flex-wrap: wrap; gap: .1rem .45rem; }
.edits span { display: inline-grid; }
.edits b { font-weight: 400; min-height: 1.5em; }
.substitute b { background: #f3c74f66; }
.delete b { background: #e5535366; }
.insert b { background: #4caf5066; }
.legend span { padding: 0 .4em; margin-right: 1em; }
"""


def page(rows: Sequence[ScoredExample]) -> str:
    """The examples in their order; below each word of the reference, that of the output."""
    shown = rows[:MOST_EXAMPLES]
    count = (
        f"{len(rows)} examples"
        if len(shown) == len(rows)
        else f"the first {len(shown)} of {len(rows)} examples"
    )
    return "\n".join(
        [
            '<!doctype html><html lang="en"><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width">',
            f"<title>Aligned outputs</title><style>{_STYLE}</style>",
            f"<h1>Aligned outputs</h1><p>{count}, the worst first. Each column is a word of the "
            "reference above that of the output.</p>",
            '<p class="legend"><span class="substitute"><b>another word</b></span>'
            '<span class="delete"><b>missing</b></span>'
            '<span class="insert"><b>extra</b></span></p>',
            *map(_article, shown),
            "</html>\n",
        ]
    )


def _article(row: ScoredExample) -> str:
    scores = "".join(f"<small>{escape(text)}</small>" for text in _scores(row))
    cells = "".join(map(_cell, row.edits))
    return (
        f'<article><h2>{escape(row.id)}{scores}</h2><div class="edits" dir="auto">{cells}</div>'
        "</article>"
    )


def _scores(row: ScoredExample) -> Iterator[str]:
    for name, value in row.scores.items():
        unit = row.units[name]
        yield f"{name} {format_score(value, unit)} ({format_unit(unit)})"


def _cell(edit: Edit) -> str:
    title = {"delete": "missing", "insert": "extra"}.get(edit.kind, "")
    hint = f' title="{title}"' if title else ""
    reference, output = escape(edit.reference), escape(edit.output)
    return f'<span class="{edit.kind}"{hint}><b>{reference}</b><b>{output}</b></span>'
