"""Recipes: from YAML to checked settings. It imports no torch."""
