"""The forms in which predictions are written. They import no torch."""
