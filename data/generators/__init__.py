"""What makes the shipped corpora: standard library only, but for ``espeak`` and ``speech``."""
