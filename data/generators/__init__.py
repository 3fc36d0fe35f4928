"""Generators of the corpora in ``data/``, one package per corpus."""
