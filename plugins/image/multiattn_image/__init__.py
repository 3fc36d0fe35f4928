"""Image input for multiattn; ``plugin.py`` lists the components. Nothing is imported here."""
