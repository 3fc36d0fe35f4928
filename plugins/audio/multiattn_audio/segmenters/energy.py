"""Cuts a recording at its pauses, which are told by their energy.

Letters: L samples, F frames.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from pydantic import NonNegativeFloat, PositiveFloat

from multiattn import Probability, Segment
from multiattn_audio.recordings.decoding import Recording, blocks, mix_down, read_header
from multiattn_audio.segmenters.stretches import (
    RAW,
    Stretch,
    limit_of,
    seekable,
    segments,
    whole,
    with_margins,
    without_short_pauses,
)

FRAMES_PER_SECOND = 100
BLOCK_SECONDS = 60
FLOOR_PERCENTILE, SPEECH_PERCENTILE = 10, 95  # of the frames of a recording
LARGEST_RANGE_DB = 60.0  # of the energies that count; digital silence has none
SHORTEST_SECONDS = 0.1  # a shorter stretch is a click
SHORTEST_CUT_SECONDS = 0.5  # a shorter stretch without a pause is left whole
SMOOTHED_FRAMES = 5

Energies = NDArray[np.float64]  # (F,), in decibels


class EnergySegmenter:
    """Cuts where nobody speaks for a while; what is longer still is cut where it is quietest.

    A frame of 10 ms counts as speech if its energy lies more than ``threshold`` of the way from the
    10th percentile of the recording's frames to the 95th, in decibels.

    max_seconds: the longest piece; by default as long as the longest recording in training.
    min_pause: the shortest pause at which it is cut, in seconds.
    margin: how much of a pause stays at each side of a piece, in seconds.
    """

    def __init__(
        self,
        *,
        max_seconds: PositiveFloat | None = None,
        min_pause: PositiveFloat = 0.3,
        margin: NonNegativeFloat = 0.1,
        threshold: Probability = 0.3,
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
        energies = frame_energies(recording)
        stretches = without_short_pauses(self._speech(energies), self._min_pause)
        longer_than_a_click = [one for one in stretches if one.seconds >= SHORTEST_SECONDS]
        pieces = [
            piece
            for one in longer_than_a_click
            for piece in cut_where_quietest(one, energies, limit)
        ]
        yield from segments(recording, with_margins(pieces, self._margin, seconds), seconds)

    def _speech(self, energies: Energies) -> list[Stretch]:
        """The stretches of frames that count as speech."""
        if not len(energies):
            return []
        floor, speech = np.percentile(energies, [FLOOR_PERCENTILE, SPEECH_PERCENTILE])
        floor = max(floor, speech - LARGEST_RANGE_DB)
        is_speech = energies > floor + self._threshold * (speech - floor)
        edges = np.flatnonzero(np.diff(np.concatenate([[0], is_speech, [0]])))
        pairs = edges.reshape(-1, 2) / FRAMES_PER_SECOND
        return [Stretch(float(start), float(end)) for start, end in pairs]


def frame_energies(recording: Recording) -> Energies:
    """The energy of every 10 ms, in decibels of full scale: (F,). Raises UserError."""
    import librosa  # takes seconds to load

    hop = max(1, read_header(recording, RAW).sample_rate_hz // FRAMES_PER_SECOND)
    rms = [
        librosa.feature.rms(y=mix_down(block), frame_length=hop, hop_length=hop, center=False)[0]
        for block in blocks(recording, RAW, BLOCK_SECONDS * FRAMES_PER_SECOND * hop)
        if len(block) >= hop
    ]
    # Samples that are no numbers count as loud: their piece is refused, not the whole recording.
    amplitudes = np.nan_to_num(np.concatenate([*rms, []]), nan=1.0, posinf=1.0)
    energies: Energies = librosa.amplitude_to_db(amplitudes, ref=1.0, top_db=None)
    return energies


def cut_where_quietest(stretch: Stretch, energies: Energies, limit: float | None) -> list[Stretch]:
    """A stretch, cut where its middle half is quietest until no piece is longer than the limit."""
    if limit is None or stretch.seconds <= max(limit, SHORTEST_CUT_SECONDS):
        return [stretch]
    quarter = stretch.seconds / 4
    first = round((stretch.start + quarter) * FRAMES_PER_SECOND)
    last = round((stretch.end - quarter) * FRAMES_PER_SECOND)
    window = np.ones(SMOOTHED_FRAMES) / SMOOTHED_FRAMES
    smooth = np.convolve(energies[first:last], window, mode="same")
    at = (first + int(smooth.argmin())) / FRAMES_PER_SECOND
    return [
        piece
        for half in (Stretch(stretch.start, at), Stretch(at, stretch.end))
        for piece in cut_where_quietest(half, energies, limit)
    ]
