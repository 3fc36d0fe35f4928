"""A recording as one waveform: measured before it is read, checked, sped up as chance says."""

from __future__ import annotations

import io
import json
import math

import librosa
import numpy as np
import pytest
import soundfile
import torch

from multiattn.errors import UserError
from multiattn_audio import reader as reader_module
from multiattn_audio.reader import Audio, AudioSpec
from multiattn_audio.recordings.checks import Checks
from multiattn_audio.recordings.decoding import Sound
from multiattn_audio.recordings.formats import RawFormat

SPEEDS = (0.9, 1.0, 1.1)


@pytest.fixture
def recording(tmp_path, voice) -> str:
    path = tmp_path / "voice.flac"
    soundfile.write(path, voice(0.5123), 16_000)
    return str(path)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_path_bytes_and_an_array_are_the_same_recording(recording, tmp_path):
    samples, rate = soundfile.read(recording, dtype="float32")
    content = (tmp_path / "voice.flac").read_bytes()
    for value in (recording, tmp_path / "voice.flac", content, Sound(samples, rate)):
        waveform = Audio().read(value)
        assert waveform.dtype == torch.float32
        assert np.array_equal(waveform.numpy(), samples)
        assert Audio().measure(value) == 52


@pytest.mark.parametrize("rate", [8_000, 22_050, 48_000])
def test_a_waveform_has_the_readers_rate_and_one_channel(voice, rate):
    stereo = np.stack([voice(0.4, rate), voice(0.4, rate, 150.0)], axis=1)
    reader = Audio(sample_rate_hz=8_000)
    assert reader.spec == AudioSpec(8_000)
    theirs = librosa.resample(
        librosa.to_mono(stereo.T), orig_sr=rate, target_sr=8_000, res_type="soxr_hq"
    )
    waveform = reader.read(Sound(stereo, rate))
    assert waveform.shape == (3_200,)
    assert np.abs(waveform.numpy() - theirs).max() < 1e-6


def test_a_lower_rate_is_refused_unless_it_is_asked_for(voice):
    telephone = Sound(voice(0.5, 8_000), 8_000)
    with pytest.raises(UserError, match="got 8000 Hz; read everything at this rate"):
        Audio().read(telephone)
    assert len(Audio(checks=Checks(upsample=True)).read(telephone)) == 8_000


def test_training_plays_at_the_speeds_as_its_generator_says(voice):
    times = np.arange(16_000) / 16_000
    reader = Audio(speed_perturbation=SPEEDS)
    sine = Sound(np.float32(0.3 * np.sin(2 * np.pi * 500 * times)), 16_000)
    draws = [reader.read(sine, seeded(seed)) for seed in range(30)]
    again = [reader.read(sine, seeded(seed)) for seed in range(30)]
    assert all(torch.equal(one, other) for one, other in zip(draws, again, strict=True))
    lengths = [len(waveform) for waveform in draws]
    assert set(lengths) == {math.ceil(16_000 / speed) for speed in SPEEDS}
    for waveform in draws:
        speed = 16_000 / len(waveform)
        spectrum = np.abs(np.fft.rfft(waveform[:8_000].numpy() * np.hanning(8_000)))
        assert spectrum.argmax() * 2 == pytest.approx(500 * speed, abs=2)  # bins of 2 Hz
    assert len(reader.read(sine)) == 16_000


def test_only_speeds_make_a_reader_random(recording):
    assert Audio(speed_perturbation=SPEEDS).random
    assert not Audio().random
    assert torch.equal(Audio().read(recording, seeded(0)), Audio().read(recording))


@pytest.mark.parametrize("rate", [16_000, 22_050, 44_100])
@pytest.mark.parametrize("speeds", [(), (1.1,), SPEEDS, (0.5, 2.0)])
def test_what_is_measured_is_never_less_than_what_is_read(voice, rate, speeds):
    reader = Audio(speed_perturbation=speeds)
    for samples in (rate // 4 - 1, rate // 4, rate // 4 + 1):
        sound = Sound(voice(1, rate)[:samples], rate)
        longest = max(
            len(reader.read(sound)), *(len(reader.read(sound, seeded(n))) for n in range(9))
        )
        assert reader.measure(sound) == math.ceil(longest / 160)


def test_a_waveform_stays_within_full_scale():
    square = np.float32(np.sign(np.sin(np.arange(48_000) / 60))) * np.float32(0.99)
    assert Audio().read(Sound(square, 48_000)).abs().max() <= 1.0


def test_a_batch_is_padded_with_silence_behind_each_recording(voice):
    items = [Audio().read(Sound(voice(seconds), 16_000)) for seconds in (0.2, 0.5, 0.3)]
    inputs, lengths = Audio().collate(items)
    assert lengths.tolist() == [3_200, 8_000, 4_800]
    assert inputs.shape == (3, 8_000)
    for row, item in zip(inputs, items, strict=True):
        assert torch.equal(row[: len(item)], item)
        assert not row[len(item) :].any()


def test_an_hour_is_named_before_a_sample_of_it_is_decoded(tmp_path, monkeypatch):
    path = tmp_path / "lecture.wav"
    with soundfile.SoundFile(path, "w", 16_000, 1) as file:
        for _ in range(60):
            file.write(np.zeros(60 * 16_000, np.int16))

    def refuse(*arguments):
        raise AssertionError("decoded")

    monkeypatch.setattr(reader_module, "decode", refuse)
    for ask in (Audio().measure, Audio().read):
        with pytest.raises(UserError, match=r"lecture\.wav, got 3600\.0; cut it"):
            ask(str(path))


def bad(folder, voice):
    """A file of every kind that is found out only by decoding it."""
    samples = voice()
    flac = io.BytesIO()
    soundfile.write(flac, samples, 16_000, format="FLAC")
    (folder / "half.flac").write_bytes(flac.getvalue()[:9_000])
    yield folder / "half.flac"
    contents = {
        "nan.wav": np.where(np.arange(16_000) == 5, np.nan, samples),
        "silent.wav": samples * 0,
        "clipped.wav": (samples * 20).clip(-1, 1),
        "noise.wav": np.random.default_rng(0).uniform(-0.5, 0.5, 16_000),
    }
    for name, content in contents.items():
        soundfile.write(folder / name, content, 16_000, subtype="FLOAT")
        yield folder / name


def test_a_bad_recording_is_found_before_training_or_when_it_is_read(tmp_path, voice):
    for path in bad(tmp_path, voice):
        for ask in (
            Audio().measure,
            Audio().read,
            Audio(checks=Checks(before_training=False)).read,
        ):
            with pytest.raises(UserError, match=path.name):
                ask(str(path))
        assert Audio(checks=Checks(before_training=False)).measure(str(path)) == 100


def test_raw_samples_in_the_wrong_byte_order_are_named(tmp_path, voice):
    path = tmp_path / "a.raw"
    np.int16(voice() * 32767).astype(">i2").tofile(path)
    assert Audio(raw=RawFormat(byte_order="big")).measure(str(path)) == 100
    with pytest.raises(UserError, match=r"a\.raw, got what looks like white noise"):
        Audio().measure(str(path))


def test_recordings_are_decoded_once_per_run_and_remembered(recording, tmp_path, monkeypatch):
    nowhere = str(tmp_path / "nowhere.wav")
    first = Audio()
    first.fit([recording, nowhere], None)
    folder = tmp_path / "sources"
    folder.mkdir()
    first.save(folder)
    later = Audio(speed_perturbation=(0.5,))
    later.load(folder, None)
    monkeypatch.setattr(reader_module, "read_header", None)
    assert later.measure(recording) == 103
    with pytest.raises(TypeError):  # a header has to be read, so it was not remembered
        later.measure(nowhere)


def test_what_is_measured_later_is_remembered_too_even_after_a_torn_line(recording, tmp_path):
    with (tmp_path / "durations.jsonl").open("w") as file:
        file.write('{"recording": ["gone.wav", 1, 2], "head')
    reader = Audio()
    reader.load(tmp_path, None)
    reader.measure(recording)
    reader.measure(recording)
    lines = (tmp_path / "durations.jsonl").read_text().splitlines()
    assert len(lines) == 1
    again = Audio()
    again.load(tmp_path, None)
    again.measure(recording)  # the torn line took this one with it; now it is written whole
    (last,) = (tmp_path / "durations.jsonl").read_text().splitlines()[1:]
    assert json.loads(last)["recording"][0] == recording


def test_a_recording_that_has_changed_is_looked_at_again(tmp_path, voice):
    path = tmp_path / "a.wav"
    soundfile.write(path, voice(0.5), 16_000)
    reader = Audio()
    assert reader.measure(str(path)) == 50
    soundfile.write(path, voice(0.7), 16_000)
    assert reader.measure(str(path)) == 70
    path.write_bytes(b"no recording any more")
    with pytest.raises(UserError, match="got something else"):
        reader.read(str(path))


def test_a_run_folder_that_cannot_be_written_to_costs_only_time(recording, tmp_path):
    reader = Audio()
    reader.load(tmp_path / "nowhere", None)
    assert reader.measure(recording) == reader.measure(recording) == 52


def test_slots_are_times_and_have_no_names(recording):
    assert Audio().labels(recording) == []


def test_every_recording_of_an4_is_as_long_as_its_manifest_says(real_corpus):
    folder = real_corpus("an4")
    rows = [json.loads(line) for line in (folder / "dev.jsonl").read_text().splitlines()]
    reader = Audio()
    for row in rows:
        assert reader.measure(str(folder / row["audio"])) == pytest.approx(100 * row["seconds"])
