"""Texts to numbers. No torch."""
