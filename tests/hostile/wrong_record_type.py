"""Yields something that is no record."""

from multiattn import hookimpl


@hookimpl
def multiattn_components():
    yield {"name": "bleu", "target": "somewhere:Else"}
