"""Yields a target that is no module:Attribute."""

from multiattn.registry.hooks import hookimpl
from multiattn.registry.records import Normaliser


@hookimpl
def multiattn_components():
    yield Normaliser(name="nowhere", target="bad_target.nowhere", summary="a target without :")
