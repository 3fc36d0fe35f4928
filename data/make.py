"""Generate the translation and summarization corpora: ``python data/make.py [FOLDER]``.

The files are the same on every machine and with every version of Python. Only the standard library
is needed.
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
