"""The captioning corpus: drawn scenes with captions."""
