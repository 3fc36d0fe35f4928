"""Which renderer and aligner a source gets: those that the recipe chooses, or its layout's."""

from __future__ import annotations

from multiattn.errors import UserError
from multiattn.recipe.settings import SourceSettings
from multiattn.registry.host import Host
from multiattn.registry.records import Aligner, Renderer
from multiattn.registry.schema import Named


def renderer_of(source: str, settings: SourceSettings, layout: str, host: Host) -> Named | None:
    """The renderer of a source whose memory has this layout, by name; None if there is none.

    Raises UserError if several are for that layout and the recipe chooses none.
    """
    return settings.renderer or _only_one(source, "renderer", layout, host)


def aligner_of(source: str, settings: SourceSettings, layout: str, host: Host) -> Named | None:
    """The aligner of a source, found in the same way."""
    return settings.aligner or _only_one(source, "aligner", layout, host)


def _only_one(source: str, kind: str, layout: str, host: Host) -> Named | None:
    names = [
        row.full_name
        for row in host.records(kind)
        if isinstance(row.record, Aligner | Renderer) and row.record.layout == layout
    ]
    if len(names) > 1:
        raise UserError(
            f"expected one {kind} of the layout {layout!r}, got {' and '.join(names)}; choose one: "
            f"sources.{source}.{kind}={names[0]}, in the recipe or after --set"
        )
    return Named(name=names[0]) if names else None
