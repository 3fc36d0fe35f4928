"""All processes of a run stop after the same step, whichever of them a signal has reached."""

from __future__ import annotations

import time

import torch
from accelerate import Accelerator

from multiattn import stop_signals

INTERVAL_SECONDS = 1.0


class StopAgreement:
    """Tells, after each step, whether a signal has asked any process of the run to stop.

    A process alone knows after every step. Several exchange what they have received, because one
    that stopped by itself would leave the others waiting for its gradients. They do so about once a
    second: reading the answer makes the host wait for the device, which must not happen at every
    step. The interval is a number of steps, derived from the time of the slowest process, so that
    it is the same on all of them.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self._accelerator = accelerator
        self._clock = time.perf_counter()
        self._steps = 0  # since the last exchange
        self._interval = 1

    def signal(self) -> int:
        """The number of the signal, 0 if there is none; called by every process after a step."""
        if self._accelerator.num_processes == 1:
            return stop_signals.requested()
        self._steps += 1
        if self._steps < self._interval:
            return 0
        seconds = (time.perf_counter() - self._clock) / self._steps
        own = torch.tensor([[float(stop_signals.requested()), seconds]])  # (1, 2)
        every = self._accelerator.gather(own.to(self._accelerator.device))  # (P, 2)
        number, slowest = every.amax(0).tolist()
        self._interval = max(1, int(INTERVAL_SECONDS / slowest))
        self._clock, self._steps = time.perf_counter(), 0
        return int(number)
