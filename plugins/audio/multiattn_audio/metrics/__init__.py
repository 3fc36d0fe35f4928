"""Metrics of speech recognition, from the alignments of jiwer."""
