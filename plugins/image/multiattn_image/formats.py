"""File name suffixes of images. No torch and no Pillow: ``plugin.py`` imports this."""

from __future__ import annotations

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
