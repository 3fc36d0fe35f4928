"""Binds the settings of a component to its target, and lists the mistakes in them."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

from pydantic import TypeAdapter, ValidationError

from multiattn.errors import UserError, shown
from multiattn.registry.host import Host
from multiattn.registry.schema import (
    MISSING,
    Mistake,
    Named,
    NamedComponent,
    Setting,
    settings_of,
    suggestion,
    validate,
)


def bind(
    host: Host, kind: str, named: Named, key: str
) -> tuple[functools.partial[Any] | None, list[Mistake]]:
    """Bind the valid settings to the target; list the mistakes in the invalid ones.

    key: of the component in the recipe.
    """
    try:
        target = host.target(kind, named.name)
        settings = settings_of(target)
    except UserError as error:
        return None, [Mistake(key, str(error))]
    defaults = host.defaults.get((kind, host.find(kind, named.name).full_name), {})
    given = {**defaults, **named.settings}
    bound: dict[str, object] = {}
    mistakes = []
    for name, value in given.items():
        if name not in settings:
            sentence = (
                f"expected a setting of {kind} {shown(named.name)}, got {shown(name)}; "
                f"{suggestion(name, settings)}"
            )
            mistakes.append(Mistake(f"{key}.{name}", sentence, unknown_key=True))
            continue
        bound[name], wrong = _value(host, settings[name], value, f"{key}.{name}")
        mistakes += wrong
    for name, setting in settings.items():
        if setting.required and name not in given:
            mistakes.append(Mistake(f"{key}.{name}", MISSING))
    return functools.partial(target, **bound), mistakes


def _value(host: Host, setting: Setting, value: object, key: str) -> tuple[object, list[Mistake]]:
    """Convert a recipe's value to the keyword argument, a component's name to a factory."""
    if setting.slot is None:
        value, wrong = validate(setting, value)
        return value, [
            replace(each, key=f"{key}.{each.key}" if each.key else key) for each in wrong
        ]
    if value is None and setting.default is None:
        return None, []
    try:
        named: Named = TypeAdapter(NamedComponent).validate_python(value)
    except ValidationError:
        expected = (
            f"expected a known {setting.slot.kind} by name, or {{name: …}} with its settings, "
            f"got {shown(value)}"
        )
        return None, [Mistake(key, expected)]
    return bind(host, setting.slot.kind, named, key)
