"""Cuts a recording at its pauses, which a neural network tells (Silero Team 2021, Silero VAD).

The model comes with the package silero-vad and runs in onnxruntime.

Letters: L samples.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import numpy as np
import soxr
import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat

from multiattn import Segment
from multiattn_audio.recordings.decoding import Recording, Samples, blocks, mix_down, read_header
from multiattn_audio.segmenters.energy import cut_where_quietest, frame_energies
from multiattn_audio.segmenters.stretches import (
    RAW,
    Stretch,
    limit_of,
    seekable,
    segments,
    whole,
    with_margins,
)

RATE_HZ, WINDOW_SAMPLES = 16_000, 512  # what the model takes
BLOCK_SECONDS = 60


class SileroSegmenter:
    """Cuts where nobody speaks for a while, in noise too; needs ``multiattn-audio[silero]``.

    max_seconds: the longest piece; by default as long as the longest recording in training. A piece
        that is longer is cut where it is quietest.
    min_pause: the shortest pause at which it is cut, in seconds.
    margin: how much of a pause stays at each side of a piece, in seconds.
    threshold: the probability above which a window of 32 ms is speech.
    """

    def __init__(
        self,
        *,
        max_seconds: PositiveFloat | None = None,
        min_pause: PositiveFloat = 0.3,
        margin: NonNegativeFloat = 0.1,
        threshold: Annotated[float, Field(gt=0.15, lt=1.0)] = 0.5,
    ) -> None:
        self._max_seconds = max_seconds
        self._min_pause = min_pause
        self._margin = margin
        self._threshold = threshold

    def segments(self, value: Recording, longest: float | None) -> Iterator[Segment]:
        """Pieces with speech, of at most ``longest`` hundredths of a second or ``max_seconds``."""
        limit = limit_of(longest, self._max_seconds)
        seconds = read_header(value, RAW).seconds
        if limit is not None and seconds <= limit:
            yield whole(value)
            return
        recording = seekable(value)
        stretches = list(self._speech(recording, seconds))
        if limit is not None and any(stretch.seconds > limit for stretch in stretches):
            energies = frame_energies(recording)
            stretches = [
                piece for one in stretches for piece in cut_where_quietest(one, energies, limit)
            ]
        yield from segments(recording, with_margins(stretches, self._margin, seconds), seconds)

    def _speech(self, recording: Recording, seconds: float) -> Iterator[Stretch]:
        detect = _detector(self._threshold, self._min_pause)
        start: float | None = None
        for window in _windows(recording):
            event = detect(torch.from_numpy(window)) or {}
            if "start" in event:
                start = event["start"] / RATE_HZ
            elif "end" in event and start is not None:
                yield Stretch(start, min(event["end"] / RATE_HZ, seconds))
                start = None
        if start is not None and start < seconds:
            yield Stretch(start, seconds)


def _detector(threshold: float, min_pause: float) -> Any:
    threads = torch.get_num_threads()
    try:
        from silero_vad import VADIterator, load_silero_vad
    finally:
        torch.set_num_threads(threads)  # importing the package sets it to one
    return VADIterator(
        load_silero_vad(onnx=True),
        threshold=threshold,
        sampling_rate=RATE_HZ,
        min_silence_duration_ms=round(min_pause * 1000),
        speech_pad_ms=0,
    )


def _windows(recording: Recording) -> Iterator[Samples]:
    """The recording at 16 kHz, a window at a time; the last one padded with zeros."""
    rate = read_header(recording, RAW).sample_rate_hz
    stream = soxr.ResampleStream(rate, RATE_HZ, 1, dtype="float32")
    rest = np.zeros(0, np.float32)
    for block in blocks(recording, RAW, BLOCK_SECONDS * rate):
        rest = np.concatenate([rest, stream.resample_chunk(np.nan_to_num(mix_down(block)))])
        whole_windows = len(rest) // WINDOW_SAMPLES * WINDOW_SAMPLES
        yield from rest[:whole_windows].reshape(-1, WINDOW_SAMPLES)
        rest = rest[whole_windows:]
    rest = np.concatenate([rest, stream.resample_chunk(np.zeros(0, np.float32), last=True)])
    padded = np.pad(rest, (0, -len(rest) % WINDOW_SAMPLES))
    yield from padded.reshape(-1, WINDOW_SAMPLES)
