"""Cache the features of frozen encoders on disk."""
