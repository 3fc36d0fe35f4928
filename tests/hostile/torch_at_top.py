"""Imports torch to be listed; a target may, the entry module may not."""

import torch

from multiattn import Normaliser, hookimpl


@hookimpl
def multiattn_components():
    name = f"torch-{torch.__version__.split('.')[0]}"
    yield Normaliser(name=name, target="torch_at_top:normalise", summary="costs a second")
