"""Segmenters: where a long recording may be cut."""
