"""A plugin of multiattn."""
