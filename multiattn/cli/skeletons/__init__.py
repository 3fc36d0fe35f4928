"""Templates for `multiattn plugins new`, a folder per kind: real code, linted and tested here.

A new distribution gets the files of ``shared`` and of the folder of its kind; ``new.py`` puts the
user's names in place of ``my-plugin``, ``my_plugin`` and ``MyPlugin``.
"""
