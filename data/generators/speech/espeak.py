"""espeak-ng through ctypes: text -> samples. It knows nothing of corpora.

The library and its voices come in the wheel ``espeakng-loader``, which only making speech needs.
What it says depends on what its process has said before: ``said`` runs this file per sentence.
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
# Of espeak-ng/speak_lib.h and espeak_ng.h
SYNCHRONOUS = 2  # samples go to the callback before espeak_Synth returns
RATE, PITCH, RANGE = 1, 3, 4
CHARACTERS, UTF_8 = 1, 1
OK = 0

Heard = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)


@dataclass(frozen=True)
class Sentence:
    """What is said and how: ``accent`` names a file in espeak-ng's ``lang``, ``variant`` in ``!v``.

    ``rate`` counts words a minute; ``pitch`` and ``range`` of the voice go from 0 to 99.
    """

    text: str
    accent: str
    variant: str
    rate: int = 175
    pitch: int = 50
    range: int = 50
    seed: int = 1


def library() -> tuple[ctypes.CDLL, Path]:
    """The shared library and the folder of its voices."""
    try:
        loader = importlib.import_module("espeakng_loader")
    except ModuleNotFoundError:
        raise SystemExit("expected espeak-ng; install it: pip install espeakng-loader") from None
    return ctypes.CDLL(str(loader.get_library_path())), Path(loader.get_data_path())


def checked(status: int, what: str) -> None:
    """Stop at what espeak-ng calls an error."""
    if status != OK:
        raise SystemExit(f"espeak-ng answers {status} to {what}")


def say(sentence: Sentence) -> bytes:
    """Its samples, 16 bits each; only for a process that has not spoken yet."""
    espeak, voices = library()
    heard: list[bytes] = []

    @Heard
    def listen(samples: int | None, count: int, _events: int | None) -> int:
        if samples and count:
            heard.append(ctypes.string_at(samples, count * ctypes.sizeof(ctypes.c_short)))
        return 0

    accent, variant = sentence.accent, sentence.variant
    for part in (voices / "lang" / accent, voices / "voices" / "!v" / variant):
        if not part.is_file():  # espeak-ng would take another voice without a word
            raise SystemExit(f"{part}: espeak-ng has no such voice")
    started = espeak.espeak_Initialize(SYNCHRONOUS, 0, str(voices).encode(), 0)
    checked(started - SAMPLE_RATE_HZ, "its start")
    espeak.espeak_ng_SetRandSeed(ctypes.c_long(sentence.seed))
    espeak.espeak_SetSynthCallback(listen)
    checked(espeak.espeak_SetVoiceByName(f"{accent}+{variant}".encode()), f"{accent}+{variant}")
    settings = {RATE: sentence.rate, PITCH: sentence.pitch, RANGE: sentence.range}
    for parameter, value in settings.items():
        checked(espeak.espeak_SetParameter(parameter, value, 0), f"parameter {parameter}={value}")
    text = sentence.text.encode()
    end = len(text) + 1
    checked(espeak.espeak_Synth(text, end, 0, CHARACTERS, 0, UTF_8, None, None), sentence.text)
    checked(espeak.espeak_Terminate(), "its end")
    return b"".join(heard)


def said(sentence: Sentence) -> bytes:
    """Samples at ``SAMPLE_RATE_HZ``, 16 bits each, in the byte order of the machine."""
    command = [sys.executable, "-B", __file__, json.dumps(asdict(sentence))]
    return subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout  # noqa: S603


if __name__ == "__main__":
    sys.stdout.buffer.write(say(Sentence(**json.loads(sys.argv[1]))))
