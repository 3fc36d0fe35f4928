"""Watches runs and fails every time."""

from multiattn.registry.hooks import hookimpl


@hookimpl
def multiattn_epoch_finished(run):
    raise RuntimeError("the tracker is down")
