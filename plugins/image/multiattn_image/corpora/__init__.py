"""Corpora of images with captions. Nothing is imported here."""
