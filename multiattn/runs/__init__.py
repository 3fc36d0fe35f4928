"""One run, from recipe to results."""
