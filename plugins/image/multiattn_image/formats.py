"""File name suffixes of images. ``plugin.py`` imports this, so it imports no torch or Pillow."""

from __future__ import annotations

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif")
