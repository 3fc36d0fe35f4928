"""Generate the captioning corpus: ``python data/make_scenes.py [FOLDER]``.

Needs ``pip install pillow``. The pixels are the same every time; the bytes of the PNG files depend
on the zlib of Pillow.
"""

from __future__ import annotations

import sys
from pathlib import Path

from generators.scenes import corpus

if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    corpus.write(folder / "scenes")
