"""Yields a name that no recipe could write."""

from multiattn import Normaliser, hookimpl


@hookimpl
def multiattn_components():
    yield Normaliser(name="Two Words/Slash", target="illegal_name:words", summary="a bad name")
