"""Train and evaluate one run, from recipe to results."""
