"""Implements a hook that does not exist."""

from multiattn.registry.hooks import hookimpl


@hookimpl
def multiattn_componets():
    yield from ()
