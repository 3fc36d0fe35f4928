"""Pictures for multiattn; ``plugin.py`` is the table of contents. Nothing is imported here."""
