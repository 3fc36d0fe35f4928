"""The forms of files of outputs and references. It imports no torch."""
