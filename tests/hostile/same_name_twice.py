"""Yields two components of one kind and name."""

from multiattn import Normaliser, hookimpl


@hookimpl
def multiattn_components():
    for _ in range(2):
        yield Normaliser(name="twin", target="same_name_twice:twin", summary="one of two")
