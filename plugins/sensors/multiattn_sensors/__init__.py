"""Sensor series for multiattn; ``plugin.py`` lists all components. Nothing is imported here."""
