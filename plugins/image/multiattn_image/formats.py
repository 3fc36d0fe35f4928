"""Which files are pictures. No torch, no Pillow: the table of contents reads it."""

from __future__ import annotations

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
