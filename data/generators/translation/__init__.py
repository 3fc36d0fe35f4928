"""The translation corpus: composed English sentences with their German translations."""
