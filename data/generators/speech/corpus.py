"""Generates and writes the speech corpus. No sentence and no voice occurs in two splits.

A voice is an accent and a variant (the timbre). Room, level and noise are derived from a seed, so a
recording is a function of its ``Utterance`` alone. Recordings have telephone quality (8 kHz, 8
bits), so that half an hour fits into six megabytes.
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
from generators.speech.commands import compose_commands
from generators.speech.espeak import Sentence

SEED = 1966
SAMPLE_RATE_HZ = 8_000
QUANTISATION_STEP = 256  # of 16-bit samples, which leaves 8 bits
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
    """The description of one recording."""

    id: str
    sentence: Sentence

    @property
    def speaker(self) -> str:
        """The voice: accent and variant."""
        return f"{Path(self.sentence.accent).name}+{self.sentence.variant}".lower()


def plan_utterances() -> dict[str, list[Utterance]]:
    """Describe the recordings of each split. The speakers take turns."""
    choices, used = Choices(SEED), set[str]()
    utterances: dict[str, list[Utterance]] = {}
    for split, size in reversed(SIZES.items()):
        variants = VARIANTS[split]
        voice_settings = [
            (choices.uniform(165, 215), choices.uniform(35, 65), choices.uniform(35, 75))
            for _ in variants
        ]
        rows = []
        for number, text in enumerate(compose_commands(choices, size, used)):
            turn = number % len(variants)
            rate, pitch, pitch_range = (
                round(choices.uniform(-8, 8) + setting) for setting in voice_settings[turn]
            )
            accent = f"gmw/{ACCENTS[turn % len(ACCENTS)]}"
            seed = choices.integer_below(2**31)
            sentence = Sentence(text, accent, variants[turn], rate, pitch, pitch_range, seed)
            rows.append(Utterance(f"{split}-{number + 1:03}", sentence))
        utterances[split] = rows
    return utterances


def trim_silence(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cut the silence at both ends down to a tenth of a second."""
    loud = np.flatnonzero(np.abs(samples) > 0.02 * np.abs(samples).max())
    margin = espeak.SAMPLE_RATE_HZ // 10
    return samples[max(0, loud[0] - margin) : loud[-1] + margin]


def add_room_and_microphone(samples: NDArray[np.float64], choices: Choices) -> NDArray[np.float64]:
    """Add three early reflections, and a microphone that boosts or damps high frequencies."""
    room = np.zeros(SAMPLE_RATE_HZ // 25)
    room[0] = 1.0
    for loudness in (0.3, 0.2, 0.15):
        room[1 + choices.integer_below(len(room) - 1)] += choices.uniform(-loudness, loudness)
    microphone = np.array([1.0, choices.uniform(-0.5, 0.3)])
    return np.convolve(samples, np.convolve(room, microphone))[: len(samples)]


def hiss(length: int, choices: Choices, seed: int) -> NDArray[np.float64]:
    """Noise with a root mean square of 1; SHAKE-128 gives the same bytes on every machine."""
    random = hashlib.shake_128(str(seed).encode()).digest(2 * (length + 1))
    white = np.frombuffer(random, dtype="<i2").astype(np.float64)
    soft = white[1:] + choices.uniform(0.0, 0.9) * white[:-1]
    return soft / root_mean_square(soft)


def root_mean_square(samples: NDArray[np.float64]) -> float:
    """The root mean square of the samples."""
    return float(np.sqrt(np.mean(samples**2)))


def amplitude_factor(decibels: float) -> float:
    """Convert decibels to a factor of the amplitude."""
    return float(10 ** (decibels / 20))


def make_recording(sentence: Sentence) -> NDArray[np.int16]:
    """Synthesise a sentence, add room and noise, and round to 8 bits.

    Returns samples (L,) at ``SAMPLE_RATE_HZ``.
    """
    choices = Choices(sentence.seed)
    samples = np.frombuffer(espeak.synthesise(sentence), dtype=np.int16).astype(np.float64)
    clean = soxr.resample(trim_silence(samples), espeak.SAMPLE_RATE_HZ, SAMPLE_RATE_HZ)
    reverberant = add_room_and_microphone(clean, choices)
    level = amplitude_factor(choices.uniform(-30, -24))
    noise_level = amplitude_factor(choices.uniform(-32, -20))
    noise = noise_level * hiss(len(reverberant), choices, sentence.seed)
    mixed = level * (reverberant / root_mean_square(reverberant) + noise) * FULL_SCALE
    lowest, highest = -FULL_SCALE // QUANTISATION_STEP, FULL_SCALE // QUANTISATION_STEP - 1
    quantised = np.clip(np.round(mixed / QUANTISATION_STEP), lowest, highest)
    return (quantised * QUANTISATION_STEP).astype(np.int16)


def write(folder: Path) -> None:
    """Write ``SPLIT.jsonl`` with id, audio, text, seconds and speaker, and ``audio/ID.flac``."""
    (folder / "audio").mkdir(parents=True, exist_ok=True)
    for split, utterances in plan_utterances().items():
        lines = []
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            sentences = [utterance.sentence for utterance in utterances]
            recordings = list(threads.map(make_recording, sentences))
        for utterance, samples in zip(utterances, recordings, strict=True):
            audio = f"audio/{utterance.id}.flac"
            # 1.0 in libsndfile is FLAC level 8
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
