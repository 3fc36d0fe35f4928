"""Generate the speech corpus: ``python data/make_speech.py [FOLDER]``.

Needs ``pip install espeakng-loader numpy soundfile soxr``. On Linux, the waveforms are the same
every time.
"""

from __future__ import annotations

import sys
from pathlib import Path

from generators.speech import corpus

if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    corpus.write(folder / "speech")
