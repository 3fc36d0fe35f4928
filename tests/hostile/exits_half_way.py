"""Gives one good record, then ends the process."""

from multiattn import Normaliser, hookimpl


@hookimpl
def multiattn_components():
    yield Normaliser(name="half", target="exits_half_way:half", summary="never to be seen")
    raise SystemExit(3)
