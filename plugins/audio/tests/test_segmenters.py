"""Where a recording is cut: at pauses that the tests made."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from multiattn import StoredMedia, UserError
from multiattn_audio.reader import Audio
from multiattn_audio.recordings.decoding import Excerpt, Sound
from multiattn_audio.segmenters.energy import EnergySegmenter, frame_energies
from multiattn_audio.segmenters.silero import SileroSegmenter

RATE = 16_000
SPOKEN = [(0.5, 1.7), (2.7, 4.2), (5.0, 6.1)]  # seconds; pauses of 1 and 0.8 between them
SECONDS = 7.0


@pytest.fixture
def talk(voice, tmp_path):
    """A recording in which somebody speaks at the times of ``SPOKEN``, in faint noise."""
    samples = 1e-3 * np.random.default_rng(1).standard_normal(round(SECONDS * RATE))
    for start, end in SPOKEN:
        part = voice(end - start)
        samples[round(start * RATE) :][: len(part)] += part
    file = tmp_path / "talk.wav"
    soundfile.write(file, samples, RATE)
    return str(file)


def spans(pieces):
    return [(piece.start, piece.end) for piece in pieces]


def assert_spoken(pieces, offset=0.0):
    assert len(pieces) == len(SPOKEN)
    for piece, (start, end) in zip(pieces, SPOKEN, strict=True):
        assert start - 0.15 <= piece.start + offset <= start
        assert end <= piece.end + offset <= end + 0.15


def test_the_pieces_are_where_somebody_speaks(talk):
    pieces = list(EnergySegmenter().segments(talk, 200))
    assert_spoken(pieces)
    assert {piece.whole for piece in pieces} == {SECONDS}


def test_a_piece_is_read_as_that_stretch_of_the_recording(talk):
    whole = Audio().read(talk)
    for piece in EnergySegmenter().segments(talk, 200):
        first, last = round(piece.start * RATE), round(piece.end * RATE)
        assert np.array_equal(Audio().read(piece.value), whole[first:last])
        assert Audio().measure(piece.value) == -(-(last - first) * 100 // RATE)


def test_any_recording_gives_the_same_pieces(talk):
    samples, _ = soundfile.read(talk, dtype="float32")
    expected = spans(EnergySegmenter().segments(talk, 200))
    content = Path(talk).read_bytes()
    stored = StoredMedia("talk", lambda: content)
    for recording in (Sound(samples, RATE), content, stored, Excerpt(talk, 0.0, SECONDS)):
        assert spans(EnergySegmenter().segments(recording, 200)) == expected


def test_a_piece_is_cut_again_within_the_recording(talk):
    later = Excerpt(talk, 0.4, SECONDS)
    pieces = list(EnergySegmenter().segments(later, 200))
    assert_spoken(pieces, offset=0.4)
    assert pieces[0].value.recording == talk
    assert pieces[0].value.start == pytest.approx(0.4 + pieces[0].start)


def test_what_is_short_enough_is_left_as_it_is(talk):
    for segmenter in (EnergySegmenter(), SileroSegmenter()):
        (only,) = segmenter.segments(talk, SECONDS * 100)
        assert only.value == talk


def test_pauses_shorter_than_asked_do_not_cut(talk):
    first, second = EnergySegmenter(min_pause=0.9).segments(talk, 500)
    assert first.end < SPOKEN[1][0] < second.start + 0.15
    assert second.end > SPOKEN[2][1]


def test_speech_without_a_pause_is_cut_where_it_is_quietest(voice):
    loud = voice(4.0)
    dips = (1.9, 3.0)  # of which the first lies in the middle half
    for dip in dips:
        loud[round(dip * RATE) : round((dip + 0.06) * RATE)] *= 0.2
    pieces = list(EnergySegmenter(max_seconds=3.0).segments(Sound(loud, RATE), None))
    assert len(pieces) == 2
    assert pieces[0].end == pieces[1].start == pytest.approx(1.93, abs=0.03)


def test_no_piece_is_longer_than_its_limit_by_more_than_its_margins(talk):
    segmenter = EnergySegmenter(margin=0.1)
    for longest in (60, 90, 140):
        for piece in segmenter.segments(talk, longest):
            assert piece.end - piece.start <= longest / 100 + 0.2


def test_silence_has_no_pieces():
    samples = np.zeros(3 * RATE, np.float32)
    assert list(EnergySegmenter().segments(Sound(samples, RATE), 100)) == []


def test_energies_are_those_of_a_loop(voice):
    sound = voice(0.5)
    frames = [sound[first : first + 160] for first in range(0, len(sound), 160)]
    expected = [10 * np.log10(np.mean(np.square(frame))) for frame in frames]
    assert frame_energies(Sound(sound, RATE)) == pytest.approx(expected, abs=1e-3)


def test_the_network_does_not_take_noise_for_speech(talk):
    noise = np.float32(0.1 * np.random.default_rng(2).standard_normal(3 * RATE))
    assert list(SileroSegmenter().segments(Sound(noise, RATE), 100)) == []


def test_a_file_that_is_no_recording_is_refused(tmp_path):
    (tmp_path / "a.wav").write_text("no sound")
    with pytest.raises(UserError, match=r"expected a recording.*a\.wav"):
        list(EnergySegmenter().segments(str(tmp_path / "a.wav"), 100))
