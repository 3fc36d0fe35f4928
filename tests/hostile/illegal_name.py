"""Yields a name that no recipe could write."""

from multiattn.registry.hooks import hookimpl
from multiattn.registry.records import Normaliser


@hookimpl
def multiattn_components():
    yield Normaliser(name="Two Words/Slash", target="illegal_name:words", summary="a bad name")
