"""Speech synthesis by espeak-ng through ctypes: text -> samples.

The library and its voices come with the wheel ``espeakng-loader``. The samples depend on what the
same process has synthesised before, so ``synthesise`` runs this file once per sentence.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

SAMPLE_RATE_HZ = 22_050
# constants from espeak-ng/speak_lib.h and espeak_ng.h
SYNCHRONOUS = 2  # samples go to the callback before espeak_Synth returns
RATE, PITCH, RANGE = 1, 3, 4
CHARACTERS, UTF_8 = 1, 1
OK = 0

SynthCallback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)


@dataclass(frozen=True)
class Sentence:
    """A sentence and the voice that speaks it.

    accent: a file in espeak-ng's folder ``lang``. variant: a file in its folder ``!v``. rate: words
    per minute. pitch and range (of the pitch) are numbers from 0 to 99.
    """

    text: str
    accent: str
    variant: str
    rate: int = 175
    pitch: int = 50
    range: int = 50
    seed: int = 1


def load_library() -> tuple[ctypes.CDLL, Path]:
    """Load the shared library; return it and the folder of its voices."""
    try:
        loader = importlib.import_module("espeakng_loader")
    except ModuleNotFoundError:
        raise SystemExit("expected espeak-ng; install it: pip install espeakng-loader") from None
    return ctypes.CDLL(str(loader.get_library_path())), Path(loader.get_data_path())


def check_status(status: int, what: str) -> None:
    """Exit if espeak-ng returned an error."""
    if status != OK:
        raise SystemExit(f"espeak-ng returned error {status} for {what}")


def synthesise_in_process(sentence: Sentence) -> bytes:
    """Synthesise 16-bit samples; the process must not have synthesised anything before."""
    espeak, voices = load_library()
    chunks: list[bytes] = []

    @SynthCallback
    def collect_samples(samples: int | None, count: int, _events: int | None) -> int:
        if samples and count:
            chunks.append(ctypes.string_at(samples, count * ctypes.sizeof(ctypes.c_short)))
        return 0

    accent, variant = sentence.accent, sentence.variant
    for part in (voices / "lang" / accent, voices / "voices" / "!v" / variant):
        if not part.is_file():  # espeak-ng would silently use another voice
            raise SystemExit(f"{part}: espeak-ng has no such voice")
    started = espeak.espeak_Initialize(SYNCHRONOUS, 0, str(voices).encode(), 0)
    check_status(started - SAMPLE_RATE_HZ, "initialisation")
    espeak.espeak_ng_SetRandSeed(ctypes.c_long(sentence.seed))
    espeak.espeak_SetSynthCallback(collect_samples)
    voice = f"{accent}+{variant}"
    check_status(espeak.espeak_SetVoiceByName(voice.encode()), voice)
    settings = {RATE: sentence.rate, PITCH: sentence.pitch, RANGE: sentence.range}
    for parameter, value in settings.items():
        status = espeak.espeak_SetParameter(parameter, value, 0)
        check_status(status, f"parameter {parameter}={value}")
    text = sentence.text.encode()
    end = len(text) + 1
    check_status(espeak.espeak_Synth(text, end, 0, CHARACTERS, 0, UTF_8, None, None), sentence.text)
    check_status(espeak.espeak_Terminate(), "termination")
    return b"".join(chunks)


def synthesise(sentence: Sentence) -> bytes:
    """Synthesise 16-bit samples at ``SAMPLE_RATE_HZ``, in the byte order of the machine."""
    command = [sys.executable, "-B", __file__, json.dumps(asdict(sentence))]
    return subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout  # noqa: S603


if __name__ == "__main__":
    sys.stdout.buffer.write(synthesise_in_process(Sentence(**json.loads(sys.argv[1]))))
