"""YAML to checked settings. No torch."""
