"""Memories to hypotheses."""
