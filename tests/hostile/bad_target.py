"""Yields a target that is no module:Attribute."""

from multiattn import Normaliser, hookimpl


@hookimpl
def multiattn_components():
    yield Normaliser(name="nowhere", target="bad_target.nowhere", summary="a target without :")
