"""The speech corpus: commands said by espeak-ng, no sentence and no voice in two splits.

A voice is an accent and a variant (the timbre). Rooms, levels and noise are light and seeded, so a
recording is a function of its ``Utterance`` alone. 8 kHz and 8 bits, as a telephone carries: that
way six megabytes hold half an hour.
"""

from __future__ import annotations

import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from generators.choices import Choices
from generators.speech import espeak
from generators.speech.commands import commands
from generators.speech.espeak import Sentence

SEED = 1966
SAMPLE_RATE_HZ = 8_000
STEP = 256  # of 16-bit samples: eight bits are left
FULL_SCALE = 32_768
SIZES = {"train": 800, "validation": 80, "test": 120}
ACCENTS = (
    "en", "en-US", "en-GB-scotland", "en-GB-x-rp", "en-US-nyc", "en-GB-x-gbclan", "en-029",
    "en-GB-x-gbcwmd",
)  # fmt: skip
VARIANTS = {
    "train": (
        "f1", "m1", "f2", "m2", "f4", "m4", "f5", "m5", "Alicia", "Alex", "Andrea", "Denis",
        "Annie", "Gene", "aunty", "Hugo", "anika", "Jacky", "belinda", "Lee", "grandma", "Marco",
        "linda", "Michael", "steph", "Nguyen", "steph2", "Reed", "m6", "caleb", "david", "ed",
        "gustave", "ian", "john", "max", "norbert", "paul", "quincy", "travis",
    ),
    "validation": ("f3", "Mario", "Diogo", "m7", "robert"),
    "test": ("shelby", "m3", "steph3", "Andy", "michel", "m8", "rob", "sandro"),
}  # fmt: skip


@dataclass(frozen=True)
class Utterance:
    """One recording before it is made."""

    id: str
    sentence: Sentence

    @property
    def speaker(self) -> str:
        """Accent and variant: who is heard."""
        return f"{Path(self.sentence.accent).name}+{self.sentence.variant}".lower()


def between(choices: Choices, low: float, high: float) -> float:
    """Any number from ``low`` to ``high``."""
    return low + (high - low) * choices.generator.random()


def utterances() -> dict[str, list[Utterance]]:
    """Split -> what is said in it, by whom and how. Speakers take turns."""
    choices, taken = Choices(SEED), set[str]()
    found: dict[str, list[Utterance]] = {}
    for split, size in reversed(SIZES.items()):
        variants = VARIANTS[split]
        habits = [
            (between(choices, 165, 215), between(choices, 35, 65), between(choices, 35, 75))
            for _ in variants
        ]
        rows = []
        for number, text in enumerate(commands(choices, size, taken)):
            turn = number % len(variants)
            rate, pitch, melody = (round(between(choices, -8, 8) + habit) for habit in habits[turn])
            accent = f"gmw/{ACCENTS[turn % len(ACCENTS)]}"
            seed = choices.below(2**31)
            sentence = Sentence(text, accent, variants[turn], rate, pitch, melody, seed)
            rows.append(Utterance(f"{split}-{number + 1:03}", sentence))
        found[split] = rows
    return found


def trimmed(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Without the silence around it, but for a tenth of a second."""
    loud = np.flatnonzero(np.abs(samples) > 0.02 * np.abs(samples).max())
    margin = espeak.SAMPLE_RATE_HZ // 10
    return samples[max(0, loud[0] - margin) : loud[-1] + margin]


def in_a_room(samples: NDArray[np.float64], choices: Choices) -> NDArray[np.float64]:
    """With three early reflections, and a microphone that hears high tones more or less well."""
    room = np.zeros(SAMPLE_RATE_HZ // 25)
    room[0] = 1.0
    for loudness in (0.3, 0.2, 0.15):
        room[1 + choices.below(len(room) - 1)] += between(choices, -loudness, loudness)
    microphone = np.array([1.0, between(choices, -0.5, 0.3)])
    return np.convolve(samples, np.convolve(room, microphone))[: len(samples)]


def noise(length: int, choices: Choices, seed: int) -> NDArray[np.float64]:
    """A soft hiss of strength 1; SHAKE-128 gives the same bytes on every machine."""
    random = hashlib.shake_128(str(seed).encode()).digest(2 * (length + 1))
    white = np.frombuffer(random, dtype="<i2").astype(np.float64)
    soft = white[1:] + between(choices, 0.0, 0.9) * white[:-1]
    return soft / strength(soft)


def strength(samples: NDArray[np.float64]) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(samples**2)))


def decibels(value: float) -> float:
    """Decibels -> factor of an amplitude."""
    return float(10 ** (value / 20))


def recording(sentence: Sentence) -> NDArray[np.int16]:
    """Samples (L,) at ``SAMPLE_RATE_HZ``: said, heard in a room, with noise, rounded to 8 bits."""
    choices = Choices(sentence.seed)
    samples = np.frombuffer(espeak.said(sentence), dtype=np.int16).astype(np.float64)
    clean = soxr.resample(trimmed(samples), espeak.SAMPLE_RATE_HZ, SAMPLE_RATE_HZ)
    heard = in_a_room(clean, choices)
    level = decibels(between(choices, -30, -24))
    hiss = decibels(between(choices, -32, -20)) * noise(len(heard), choices, sentence.seed)
    mixed = level * (heard / strength(heard) + hiss) * FULL_SCALE
    lowest, highest = -FULL_SCALE // STEP, FULL_SCALE // STEP - 1
    return (np.clip(np.round(mixed / STEP), lowest, highest) * STEP).astype(np.int16)


def write(folder: Path) -> None:
    """``SPLIT.jsonl`` with id, audio, text, seconds and speaker; ``audio/ID.flac``."""
    (folder / "audio").mkdir(parents=True, exist_ok=True)
    for split, chosen in utterances().items():
        lines = []
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            made = list(threads.map(recording, [utterance.sentence for utterance in chosen]))
        for utterance, samples in zip(chosen, made, strict=True):
            audio = f"audio/{utterance.id}.flac"
            # libsndfile's 1.0 is FLAC's level 8
            soundfile.write(folder / audio, samples, SAMPLE_RATE_HZ, compression_level=1.0)
            row = {
                "id": utterance.id,
                "audio": audio,
                "text": utterance.sentence.text,
                "seconds": len(samples) / SAMPLE_RATE_HZ,
                "speaker": utterance.speaker,
            }
            lines.append(json.dumps(row) + "\n")
        (folder / f"{split}.jsonl").write_text("".join(lines), encoding="utf-8", newline="\n")
