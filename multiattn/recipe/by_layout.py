"""Which renderer and aligner a source gets: those that the recipe chooses, or its layout's."""

from __future__ import annotations

from multiattn.errors import UserError
from multiattn.recipe.settings import SourceSettings
from multiattn.registry.host import Component, Host
from multiattn.registry.records import Aligner, Renderer
from multiattn.registry.schema import Named

ANY_LAYOUT = "multiattn/heat-map"  # also drawn where no renderer is for the layout


def renderer_of(source: str, settings: SourceSettings, layout: str, host: Host) -> Named | None:
    """The renderer of a source whose memory has this layout, by name; None if there is none.

    Raises UserError if the recipe chooses one for another layout, or none of several.
    """
    return _chosen(source, "renderer", settings.renderer, layout, host)


def aligner_of(source: str, settings: SourceSettings, layout: str, host: Host) -> Named | None:
    """The aligner of a source, found in the same way."""
    return _chosen(source, "aligner", settings.aligner, layout, host)


def _chosen(source: str, kind: str, named: Named | None, layout: str, host: Host) -> Named | None:
    names = [row.full_name for row in host.records(kind) if _layout_of(row) == layout]
    if named is None and len(names) > 1:
        raise UserError(
            f"expected one {kind} of the layout {layout!r}, got {' and '.join(names)}; choose one: "
            f"sources.{source}.{kind}={names[0]}, in the recipe or after --set"
        )
    if named is None:
        return Named(name=names[0]) if names else None
    found = host.find(kind, named.name)
    if found.full_name not in (*names, ANY_LAYOUT):
        advice = f"choose from {', '.join(names)}" if names else "leave it out: there is none"
        raise UserError(
            f"expected as sources.{source}.{kind} one for the layout {layout!r}, which the "
            f"source's encoder gives, got {named.name} for {_layout_of(found)!r}; {advice}"
        )
    return named


def _layout_of(component: Component) -> str:
    record = component.record
    return record.layout if isinstance(record, Aligner | Renderer) else ""
