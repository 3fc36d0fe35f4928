"""Watches runs and fails every time."""

from multiattn import hookimpl


@hookimpl
def multiattn_epoch_finished(run):
    raise RuntimeError("the tracker is down")
