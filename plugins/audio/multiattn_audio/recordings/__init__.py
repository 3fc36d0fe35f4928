"""Recordings: file formats, decoding, resampling, checks, cached headers. Imports no torch."""
