"""The reader: measuring, checks, resampling, speed perturbation and the header cache."""

from __future__ import annotations

import io
import json
import math

import librosa
import numpy as np
import pytest
import soundfile
import torch

from multiattn import UserError
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


def test_paths_bytes_and_arrays_give_the_same_waveform(recording, tmp_path):
    samples, rate = soundfile.read(recording, dtype="float32")
    content = (tmp_path / "voice.flac").read_bytes()
    for value in (recording, tmp_path / "voice.flac", content, Sound(samples, rate)):
        waveform = Audio().read(value)
        assert waveform.dtype == np.float32
        assert np.array_equal(waveform, samples)
        assert Audio().measure(value) == 52


@pytest.mark.parametrize("rate", [8_000, 22_050, 48_000])
def test_a_waveform_has_the_readers_rate_and_one_channel(voice, rate):
    stereo = np.stack([voice(0.4, rate), voice(0.4, rate, 150.0)], axis=1)
    reader = Audio(sample_rate_hz=8_000)
    assert reader.spec == AudioSpec(8_000)
    expected = librosa.resample(
        librosa.to_mono(stereo.T), orig_sr=rate, target_sr=8_000, res_type="soxr_hq"
    )
    waveform = reader.read(Sound(stereo, rate))
    assert waveform.shape == (3_200,)
    assert np.abs(waveform - expected).max() < 1e-6


def test_a_lower_rate_is_refused_unless_upsampling_is_allowed(voice):
    telephone = Sound(voice(0.5, 8_000), 8_000)
    with pytest.raises(UserError, match="got 8000 Hz; read everything at this rate"):
        Audio().read(telephone)
    assert len(Audio(checks=Checks(upsample=True)).read(telephone)) == 8_000


def test_the_generator_draws_the_speed_in_training(voice):
    times = np.arange(16_000) / 16_000
    reader = Audio(speed_perturbation=SPEEDS)
    sine = Sound(np.float32(0.3 * np.sin(2 * np.pi * 500 * times)), 16_000)
    draws = [reader.read(sine, seeded(seed)) for seed in range(30)]
    repeated = [reader.read(sine, seeded(seed)) for seed in range(30)]
    assert all(np.array_equal(left, right) for left, right in zip(draws, repeated, strict=True))
    lengths = [len(waveform) for waveform in draws]
    assert set(lengths) == {math.ceil(16_000 / speed) for speed in SPEEDS}
    for waveform in draws:
        speed = 16_000 / len(waveform)
        spectrum = np.abs(np.fft.rfft(waveform[:8_000] * np.hanning(8_000)))
        assert spectrum.argmax() * 2 == pytest.approx(500 * speed, abs=2)  # bins of 2 Hz
    assert len(reader.read(sine)) == 16_000


def test_only_speed_perturbation_makes_a_reader_random(recording):
    assert Audio(speed_perturbation=SPEEDS).random
    assert not Audio().random
    assert np.array_equal(Audio().read(recording, seeded(0)), Audio().read(recording))


@pytest.mark.parametrize("rate", [16_000, 22_050, 44_100])
@pytest.mark.parametrize("speeds", [(), (1.1,), SPEEDS, (0.5, 2.0)])
def test_the_measured_length_is_that_of_the_longest_waveform(voice, rate, speeds):
    reader = Audio(speed_perturbation=speeds)
    for samples in (rate // 4 - 1, rate // 4, rate // 4 + 1):
        sound = Sound(voice(1, rate)[:samples], rate)
        longest = max(
            len(reader.read(sound)), *(len(reader.read(sound, seeded(n))) for n in range(9))
        )
        assert reader.measure(sound) == math.ceil(longest / 160)


def test_a_waveform_stays_within_full_scale():
    square = np.float32(np.sign(np.sin(np.arange(48_000) / 60))) * np.float32(0.99)
    assert np.abs(Audio().read(Sound(square, 48_000))).max() <= 1.0


def test_a_batch_is_padded_with_silence_after_each_recording(voice):
    items = [Audio().read(Sound(voice(seconds), 16_000)) for seconds in (0.2, 0.5, 0.3)]
    inputs, lengths = Audio().collate(items)
    assert lengths.tolist() == [3_200, 8_000, 4_800]
    assert inputs.shape == (3, 8_000)
    for row, item in zip(inputs, items, strict=True):
        assert np.array_equal(row[: len(item)], item)
        assert not row[len(item) :].any()


def test_too_long_a_recording_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    path = tmp_path / "lecture.wav"
    with soundfile.SoundFile(path, "w", 16_000, 1) as file:
        for _ in range(60):
            file.write(np.zeros(60 * 16_000, np.int16))

    def refuse(*arguments):
        raise AssertionError("decoded")

    monkeypatch.setattr(reader_module, "decode", refuse)
    for method in (Audio().measure, Audio().read):
        with pytest.raises(UserError, match=r"lecture\.wav, got 3600\.0; cut it"):
            method(str(path))


def bad_recordings(folder, voice):
    """A file per kind of damage that only decoding reveals."""
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


def test_bad_recordings_are_refused_before_training_or_when_read(tmp_path, voice):
    for path in bad_recordings(tmp_path, voice):
        for method in (
            Audio().measure,
            Audio().read,
            Audio(checks=Checks(before_training=False)).read,
        ):
            with pytest.raises(UserError, match=path.name):
                method(str(path))
        assert Audio(checks=Checks(before_training=False)).measure(str(path)) == 100


def test_raw_samples_in_the_wrong_byte_order_are_refused(tmp_path, voice):
    path = tmp_path / "a.raw"
    np.int16(voice() * 32767).astype(">i2").tofile(path)
    assert Audio(raw=RawFormat(byte_order="big")).measure(str(path)) == 100
    with pytest.raises(UserError, match=r"a\.raw, got what looks like white noise"):
        Audio().measure(str(path))


def test_saved_headers_spare_decoding_again(recording, tmp_path, monkeypatch):
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
    with pytest.raises(TypeError):  # its header is read again, so it was not cached
        later.measure(nowhere)


def test_later_recordings_are_appended_even_after_an_incomplete_line(recording, tmp_path):
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
    again.measure(
        recording
    )  # was appended to the incomplete line and lost with it; now it gets its own line
    (last,) = (tmp_path / "durations.jsonl").read_text().splitlines()[1:]
    assert json.loads(last)["recording"][0] == recording


def test_a_changed_recording_is_measured_again(tmp_path, voice):
    path = tmp_path / "a.wav"
    soundfile.write(path, voice(0.5), 16_000)
    reader = Audio()
    assert reader.measure(str(path)) == 50
    soundfile.write(path, voice(0.7), 16_000)
    assert reader.measure(str(path)) == 70
    path.write_bytes(b"no recording any more")
    with pytest.raises(UserError, match="got something else"):
        reader.read(str(path))


def test_an_unwritable_run_folder_only_disables_the_cache_file(recording, tmp_path):
    reader = Audio()
    reader.load(tmp_path / "nowhere", None)
    assert reader.measure(recording) == reader.measure(recording) == 52


def test_slots_have_no_labels(recording):
    assert Audio().labels(recording) == []


def test_recordings_of_an4_are_as_long_as_its_manifest_says(real_corpus):
    folder = real_corpus("an4")
    rows = [json.loads(line) for line in (folder / "dev.jsonl").read_text().splitlines()]
    reader = Audio()
    for row in rows:
        assert reader.measure(str(folder / row["audio"])) == pytest.approx(100 * row["seconds"])
