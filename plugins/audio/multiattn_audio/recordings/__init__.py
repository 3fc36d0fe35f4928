"""Recordings: file formats, decoding, resampling, checks, and a cache of headers. No torch."""
