"""Make the shipped scenes again: ``python data/make_scenes.py [FOLDER]``.

It needs what ``make.py`` does not: ``pip install pillow``. The same pixels come out each time; the
bytes of a PNG depend on Pillow's zlib.
"""

from __future__ import annotations

import sys
from pathlib import Path

from generators.scenes import corpus

if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    corpus.write(folder / "scenes")
