"""Corpora of recordings with transcripts, one per file. Imports no torch.

Each example has the fields ``audio`` (the path of a recording), ``text`` and ``speaker``; ``text``
and ``speaker`` are None where unknown. A bad row raises a UserError that names file and line; if
``examples`` is given ``on_bad_row``, that function gets the message and the row is left out.
"""
