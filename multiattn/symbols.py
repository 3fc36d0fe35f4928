"""The ids of the special symbols: padding, beginning, end and unknown."""

from __future__ import annotations

PAD, BOS, EOS, UNK = 0, 1, 2, 3
