"""Make the shipped speech again: ``python data/make_speech.py [FOLDER]``.

It needs what ``make.py`` does not: ``pip install espeakng-loader numpy soundfile soxr``. The same
waveforms come out each time.
"""

from __future__ import annotations

import sys
from pathlib import Path

from generators.speech import corpus

if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    corpus.write(folder / "speech")
