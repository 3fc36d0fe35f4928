"""Gives one good record, then fails."""

from multiattn import Normaliser, hookimpl


@hookimpl
def multiattn_components():
    yield Normaliser(name="half", target="raises_half_way:half", summary="never to be seen")
    raise RuntimeError("no second record")
