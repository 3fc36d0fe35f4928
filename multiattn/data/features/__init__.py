"""Features of frozen encoders, cached on disk."""
