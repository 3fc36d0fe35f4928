"""Tests run on the CPU, also where there is a GPU: many compare results to the bit.

Those in ``tests/gpu`` do not. ``ACCELERATE_USE_CPU=0 pytest`` runs all on the GPU instead.
"""

from __future__ import annotations

import os

os.environ.setdefault("ACCELERATE_USE_CPU", "1")  # for child processes too
