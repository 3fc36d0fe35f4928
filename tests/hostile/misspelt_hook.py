"""Implements a hook that does not exist."""

from multiattn import hookimpl


@hookimpl
def multiattn_componets():
    yield from ()
