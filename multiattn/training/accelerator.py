"""Device, precision and processes of a training, and its random numbers."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs

from multiattn.errors import UserError
from multiattn.recipe.settings import RecipeSettings
from multiattn.run_folder import RunFolder
from multiattn.seeds import derive


def start_accelerator(settings: RecipeSettings, run: RunFolder) -> Accelerator:
    """Set up device, precision and processes from the environment and the recipe.

    Raises UserError for a precision that the device does not support.
    """
    # If no example of a shard has a source, the source's encoder gets no gradient from that shard.
    unused = DistributedDataParallelKwargs(find_unused_parameters=len(settings.sources) > 1)
    precision = settings.training.precision
    try:
        accelerator = Accelerator(
            cpu=not torch.accelerator.is_available(),  # explicit, or CPU processes do not connect
            mixed_precision="no" if precision == "tf32" else precision,
            log_with="tensorboard",
            project_dir=run.path,
            kwargs_handlers=[unused],
        )
        _set_float32_precision(precision, accelerator.device)
    except ValueError as error:
        raise UserError(
            f"expected a training.precision that this device supports, got "
            f"{precision!r} ({error}); choose `no` or `bf16`"
        ) from error
    return accelerator


def _set_float32_precision(precision: str, device: torch.device) -> None:
    """Round the factors of float32 products on a GPU as ``tf32`` does, or not at all."""
    if precision == "tf32" and device.type != "cuda":
        raise ValueError("only NVIDIA GPUs support it")
    backends: Any = torch.backends
    for products in (backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn):
        products.fp32_precision = "tf32" if precision == "tf32" else "ieee"


def seed_generators(*parts: object) -> None:
    """Seed the generators of Python, numpy and torch with a function of ``parts``.

    Accelerate's ``set_seed`` does the same, but looks for every kind of device each time.
    """
    seed = derive(*parts) % 2**32
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    if torch.accelerator.is_available():
        torch.manual_seed(seed)  # of all devices
    else:
        torch.default_generator.manual_seed(seed)
