"""Yields a record whose name is a number."""

from multiattn import Normaliser, hookimpl


@hookimpl
def multiattn_components():
    yield Normaliser(name=7, target="wrong_field_type:seven", summary="a number for a name")
