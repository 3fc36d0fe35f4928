"""Yields two components of one kind and name."""

from multiattn.registry.hooks import hookimpl
from multiattn.registry.records import Normaliser


@hookimpl
def multiattn_components():
    for _ in range(2):
        yield Normaliser(name="twin", target="same_name_twice:twin", summary="one of two")
