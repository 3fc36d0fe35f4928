"""The ids of the special symbols: padding, beginning, end and unknown."""

from __future__ import annotations

PAD = 0
BOS = 1
EOS = 2
UNK = 3
