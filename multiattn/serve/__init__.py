"""A page and an API that try trained runs."""
