"""File suffixes of recordings. ``plugin.py`` imports this, so it imports nothing else."""

from __future__ import annotations

RAW_SUFFIX = ".raw"
MEDIA_SUFFIXES = (".m4a", ".mp4", ".webm", ".aac")  # read by FFmpeg
SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".sph", RAW_SUFFIX, *MEDIA_SUFFIXES)
