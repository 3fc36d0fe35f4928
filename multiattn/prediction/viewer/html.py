"""The viewer as HTML: its script and style, a prediction in it, and a page of predictions.

Everything is inline, so that a page works from a file and loads nothing.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from markupsafe import Markup, escape

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body class="ma-page">
<main>
<h1>{title}</h1>
{body}
</main>
<script>{script}</script>
</body>
</html>
"""


@cache
def viewer_file(name: str) -> str:
    """The content of ``viewer.js`` or ``viewer.css``."""
    return (files("multiattn.prediction.viewer") / name).read_text(encoding="utf-8")


def viewer_element(view: Mapping[str, Any]) -> Markup:
    """The element that shows a prediction, once the script has run. view: of ``Views.json``."""
    # "<" never ends the script element, and is the same character in JSON
    content = json.dumps(view, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")
    return Markup(  # noqa: S704 (escaped above)
        f'<multiattn-view><script type="application/json">{content}</script></multiattn-view>'
    )


def viewer_page(title: str, elements: Iterable[Markup]) -> str:
    """A page that needs no other file."""
    return PAGE.format(
        title=escape(title),
        style=viewer_file("viewer.css"),
        body="\n".join(elements),
        script=viewer_file("viewer.js"),
    )


def framed(page: str, height: int) -> str:
    """A page in a frame, for a notebook, whose own styles and scripts then cannot meet it.

    height: in pixels.
    """
    return (
        f'<iframe srcdoc="{html.escape(page)}" title="Prediction" loading="lazy" '
        f'style="width: 100%; height: {height}px; border: 0"></iframe>'
    )
