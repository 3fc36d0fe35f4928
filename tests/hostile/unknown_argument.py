"""Asks a hook for an argument that it does not have."""

from multiattn import hookimpl


@hookimpl
def multiattn_components(registry):
    yield from ()
