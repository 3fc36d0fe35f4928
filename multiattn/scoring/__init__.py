"""Scoring of outputs. It imports no torch."""
