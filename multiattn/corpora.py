"""For authors of corpora: text files, tables and their rows; errors name the file and line.

It imports no torch.
"""

from multiattn.data.corpus import BadRowError
from multiattn.data.tables import (
    TableRow,
    Value,
    column_names,
    table_examples,
    table_path,
    table_splits,
)
from multiattn.data.text_files import (
    FileLine,
    OnBadRow,
    collect_examples,
    decode_line,
    find_splits,
    first_existing,
    read_lines,
    require_text,
)

__all__ = [
    "BadRowError",
    "FileLine",
    "OnBadRow",
    "TableRow",
    "Value",
    "collect_examples",
    "column_names",
    "decode_line",
    "find_splits",
    "first_existing",
    "read_lines",
    "require_text",
    "table_examples",
    "table_path",
    "table_splits",
]
