"""The scale on which a field quotes its scores: tables, logs on a terminal and reports use it.

JSON keeps the official scorer's scale.
"""

from __future__ import annotations

from collections.abc import Mapping

_FACTORS = {"0-1": 100.0, "0-10": 100.0}


def factor(unit: str) -> float:
    """What a value of this unit is multiplied by."""
    return _FACTORS.get(unit, 1.0)


def format_score(value: float, unit: str) -> str:
    """A value on the field's scale, with two decimals."""
    return f"{value * factor(unit):.2f}"


def format_unit(unit: str) -> str:
    """The unit and what its values are multiplied by."""
    return f"{unit} ×{factor(unit):g}" if unit in _FACTORS else unit


def unit_of(value: str, units: Mapping[str, str]) -> str:
    """The unit of a value, such as ``rouge-1-recall``. units: of the metrics, by name."""
    metrics = [name for name in units if value == name or value.startswith(f"{name}-")]
    return units[max(metrics, key=len)] if metrics else ""
