"""How docstrings become Markdown: each `name: what it is` keeps a line of its own."""

from __future__ import annotations

import re
from typing import Any

import griffe

DESCRIPTION = re.compile(r"\n(?=\w+: )")


class LineBreaks(griffe.Extension):
    """Ends the line before a description with Markdown's hard line break."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Change the docstring of every module, class, function and attribute."""
        if obj.docstring is not None:
            obj.docstring.value = DESCRIPTION.sub("  \n", obj.docstring.value)
