"""Make the shipped corpora again: ``python data/make.py [FOLDER]``.

The same files come out on every machine and every version of Python: all choices come from
``Random.random`` with a fixed seed, and the standard library is all it needs.
"""

from __future__ import annotations

import sys
from pathlib import Path

from generators.summarization import corpus as summarization
from generators.translation import corpus as translation

if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    translation.write(folder / "translation")
    summarization.write(folder / "summarization")
