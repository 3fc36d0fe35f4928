"""Asks a hook for an argument that it does not have."""

from multiattn.registry.hooks import hookimpl


@hookimpl
def multiattn_components(registry):
    yield from ()
