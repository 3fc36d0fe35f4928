"""Samples as soundfile, scipy and librosa know them; one sentence for everything that is bad."""

from __future__ import annotations

import io
import pkgutil
import subprocess
import sys
import wave

import librosa
import numpy as np
import pytest
import scipy.io.wavfile
import scipy.signal
import scipy.stats
import soundfile

from multiattn.errors import UserError
from multiattn_audio import corpora, recordings
from multiattn_audio.recordings.checks import Checks, check_header, check_samples, spectral_flatness
from multiattn_audio.recordings.decoding import (
    Header,
    Sound,
    decode,
    mix_down,
    read_header,
)
from multiattn_audio.recordings.formats import RawFormat
from multiattn_audio.recordings.resampling import resample, resampled_length

RAW = RawFormat()


def written(samples, sample_rate_hz=16_000, **container) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, sample_rate_hz, **container)
    return file.getvalue()


def frequency_hz(waveform, sample_rate_hz) -> float:
    """Where the spectrum is highest, between the bins: parabola through the logarithms."""
    spectrum = np.log(np.abs(np.fft.rfft(waveform * np.hanning(len(waveform)))) + 1e-12)
    peak = int(spectrum.argmax())
    left, middle, right = spectrum[peak - 1 : peak + 2]
    offset = (left - right) / (2 * (left - 2 * middle + right))
    return (peak + offset) * sample_rate_hz / len(waveform)


def test_a_wav_of_scipy_is_what_it_was(tmp_path, voice):
    samples = np.int16(voice() * 32767)
    scipy.io.wavfile.write(tmp_path / "a.wav", 16_000, samples)
    assert read_header(tmp_path / "a.wav", RAW) == Header(16_000, 16_000, 1)
    assert np.array_equal(decode(str(tmp_path / "a.wav"), RAW)[:, 0], samples / 32768)


@pytest.mark.parametrize(
    ("container", "error"),
    [
        ({"format": "WAV", "subtype": "PCM_16"}, 4e-5),
        ({"format": "WAV", "subtype": "PCM_24"}, 2e-7),
        ({"format": "WAV", "subtype": "FLOAT"}, 0.0),
        ({"format": "FLAC"}, 4e-5),
        ({"format": "NIST", "subtype": "PCM_16"}, 4e-5),
        ({"format": "OGG", "subtype": "VORBIS"}, 0.05),
        ({"format": "MP3"}, 0.05),
    ],
)
def test_every_format_gives_the_samples_back(tmp_path, voice, container, error):
    samples = voice()
    content = written(samples, **container)
    path = tmp_path / "any.suffix"
    path.write_bytes(content)
    for recording in (content, path, str(path)):
        assert read_header(recording, RAW) == Header(16_000, 16_000, 1)
        assert np.abs(decode(recording, RAW)[:, 0] - samples).max() <= error


def test_opus_is_read_too(voice):
    samples = decode(written(voice(), format="OGG", subtype="OPUS"), RAW)
    assert frequency_hz(samples[:, 0], 16_000) == pytest.approx(120, abs=1)


@pytest.mark.parametrize("byte_order", ["little", "big"])
@pytest.mark.parametrize(("sample", "kind"), [("int16", "i2"), ("float32", "f4"), ("int32", "i4")])
def test_headerless_samples_are_read_as_the_settings_say(tmp_path, voice, sample, kind, byte_order):
    stereo = np.stack([voice(), voice(pitch_hz=200)], axis=1)
    scaled = stereo if kind == "f4" else stereo * (2 ** (15 if kind == "i2" else 31) - 1)
    path = tmp_path / "a.RAW"
    scaled.astype({"little": "<", "big": ">"}[byte_order] + kind).tofile(path)
    raw = RawFormat(sample_rate_hz=8_000, sample=sample, byte_order=byte_order, channels=2)
    assert read_header(path, raw) == Header(16_000, 8_000, 2)
    assert np.abs(decode(path, raw) - stereo).max() < 1e-4


@pytest.mark.parametrize(
    ("kind", "scale", "middle"),
    [("i2", 32768, 0), ("i4", 2**31, 0), ("u1", 128, 128), ("f8", 1, 0), ("f4", 1, 0)],
)
def test_an_array_is_scaled_by_the_range_of_its_type(kind, scale, middle):
    values = np.array([-0.5, 0.0, 0.25, 0.5])
    sound = Sound((values * scale + middle).astype(kind), 16_000)
    assert decode(sound, RAW).tolist() == [[-0.5], [0.0], [0.25], [0.5]]


@pytest.mark.parametrize(
    "sound",
    [
        Sound(np.zeros((1, 16_000), np.float32), 16_000),
        Sound(np.zeros((3, 2, 1)), 16_000),
        Sound(np.array(["a", "b"]), 16_000),
        Sound(np.zeros(9), 0),
        Sound(np.zeros(9), "16000"),
    ],
)
def test_an_array_that_is_no_recording_is_refused(sound):
    with pytest.raises(UserError, match=r"array of samples \(L,\) or \(L, channels\)"):
        read_header(sound, RAW)


@pytest.mark.parametrize("value", [np.zeros(9), None, 17])
def test_what_is_no_recording_at_all_is_refused(value):
    with pytest.raises(UserError, match=f"a path, bytes or Sound.*got {type(value).__name__};"):
        read_header(value, RAW)


def test_eight_channels_are_averaged(tmp_path):
    channels = np.random.default_rng(0).uniform(-0.5, 0.5, (400, 8))
    soundfile.write(tmp_path / "a.wav", channels, 16_000, subtype="FLOAT")
    assert read_header(tmp_path / "a.wav", RAW).channels == 8
    mixed = mix_down(decode(tmp_path / "a.wav", RAW))
    assert mixed.shape == (400,)
    assert np.allclose(mixed, [sum(row) / 8 for row in channels.tolist()], atol=1e-6)


@pytest.mark.parametrize("source_hz", [48_000, 44_100, 22_050, 8_000, 17_600.0])
def test_a_sine_keeps_its_frequency_when_it_is_resampled(source_hz):
    times = np.arange(int(source_hz)) / source_hz
    sine = np.float32(0.5 * np.sin(2 * np.pi * 1_000 * times))
    resampled = resample(sine, source_hz, 16_000)
    assert len(resampled) == resampled_length(len(sine), source_hz, 16_000) == 16_000
    assert frequency_hz(resampled, 16_000) == pytest.approx(1_000, abs=0.1)
    assert np.abs(resampled[2_000:-2_000]).max() == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize("source_hz", [48_000, 44_100, 8_000])
def test_resampling_is_librosas(voice, source_hz):
    samples = voice(0.7313, source_hz)
    theirs = librosa.resample(samples, orig_sr=source_hz, target_sr=16_000, res_type="soxr_hq")
    ours = resample(samples, source_hz, 16_000)
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() < 1e-6


def test_what_lies_above_half_the_new_rate_does_not_fold_down():
    times = np.arange(48_000) / 48_000
    high = np.float32(np.sin(2 * np.pi * 11_000 * times))
    assert np.abs(resample(high, 48_000, 16_000)[1_000:-1_000]).max() < 1e-4


def bad_files(folder, voice):
    """A file per kind of damage, and what is said of it."""
    flac, wav = written(voice(), format="FLAC"), written(voice(), format="WAV")
    contents = {
        "text.wav": (b"certainly no recording\n" * 99, "Format not recognised"),
        "empty.flac": (b"", "an empty file"),
        "half.flac": (flac[: len(flac) // 2], "damaged|cut off"),
        "half.wav": (wav[: len(wav) // 2], "cut off"),
        "half.mp3": (written(voice(), format="MP3")[:1500], "cut off or damaged"),
        "noise.flac": (flac[:3000] + b"\0" * 2000 + flac[5000:], "damaged|cut off"),
    }
    for name, (content, sentence) in contents.items():
        (folder / name).write_bytes(content)
        yield folder / name, sentence
    yield folder / "nowhere.wav", "No such file or directory"
    yield folder, "Is a directory"


def test_what_cannot_be_decoded_is_one_sentence_that_names_the_file(tmp_path, voice):
    for path, sentence in bad_files(tmp_path, voice):
        with pytest.raises(UserError, match=sentence) as caught:
            decode(path, RAW)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_wav_whose_writer_could_not_know_its_length_is_whole(voice):
    content = bytearray(written(voice(), format="WAV", subtype="PCM_16"))
    at = content.index(b"data")
    for place in (4, at + 4):
        content[place : place + 4] = b"\xff\xff\xff\xff"
    assert len(decode(bytes(content), RAW)) == 16_000


def noise(**settings):
    return np.random.default_rng(0).normal(0, 0.1, (16_000, 1)).astype(np.float32)


def swapped(samples):
    return np.float32(np.int16(samples * 32767).byteswap() / 32768)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda samples: samples * np.nan, "16000 that are NaN"),
        (
            lambda samples: np.where(np.arange(len(samples))[:, None] == 7, np.inf, samples),
            "got 1 ",
        ),
        (lambda samples: samples * 0, "silence"),
        (lambda samples: samples * 0 + 0.3, "silence"),
        (lambda samples: samples * 1e-4, "silence"),
        (lambda samples: np.hstack([samples, -samples]), "cancel each other out"),
        (lambda samples: (samples * 20).clip(-1, 1), "clipped"),
        (lambda samples: samples * 32767, "divide them by full scale"),
        (swapped, "white noise"),
        (lambda samples: noise(), "white noise"),
    ],
)
def test_what_nobody_can_have_said_is_one_sentence(voice, damage, sentence):
    samples = voice()[:, None]
    check_samples(samples, 16_000, "a.wav", Checks())
    with pytest.raises(UserError, match=sentence) as caught:
        check_samples(np.float32(damage(samples)), 16_000, "a.wav", Checks())
    assert "a.wav" in str(caught.value)


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        (Header(0, 16_000, 1), "at least 0.1 seconds of sound in a.wav, got 0;"),
        (Header(1_599, 16_000, 1), "at least 0.1 seconds"),
        (Header(3600 * 16_000, 16_000, 1), r"at most 60 seconds .* got 3600\.0; cut it"),
        (Header(8_000, 8_000, 1), "rate of 16000 Hz or more in a.wav, got 8000 Hz;"),
    ],
)
def test_a_header_can_say_enough(header, sentence):
    with pytest.raises(UserError, match=sentence):
        check_header(header, "a.wav", Checks(), 16_000, 60.0)


def test_limits_are_settings():
    check_header(Header(800, 8_000, 1), "a", Checks(upsample=True), 16_000, 60.0)
    check_header(Header(800, 16_000, 1), "a", Checks(shortest_seconds=0.01), 16_000, 60.0)
    check_samples(noise(), 16_000, "a", Checks(noise_flatness=1.0))
    for length in (2, 3, 20):
        check_samples(
            noise()[:length], 16_000, "a", Checks(shortest_seconds=0.0, noise_flatness=1.0)
        )
    with pytest.raises(UserError, match="at least 0 seconds"):
        check_header(Header(0, 16_000, 1), "a", Checks(shortest_seconds=0.0), 16_000, 60.0)


def test_flatness_is_that_of_scipys_spectrum(voice):
    samples = voice(25.0) + np.random.default_rng(0).normal(0, 0.01, 400_000).astype(np.float32)
    middle = samples[120_000:280_000]
    _, power = scipy.signal.welch(middle, 16_000, nperseg=512, window=np.hanning(512))
    expected = scipy.stats.gmean(power[1:-1]) / power[1:-1].mean()
    assert spectral_flatness(samples, 16_000) == pytest.approx(expected, rel=1e-4)


def test_white_noise_is_flat_and_a_tone_is_not(voice):
    assert spectral_flatness(noise()[:, 0], 16_000) == pytest.approx(1.0, abs=0.05)
    assert spectral_flatness(voice(), 16_000) < 0.01


def test_every_recording_of_an4_passes_and_none_in_the_wrong_byte_order(real_corpus):
    paths = sorted(real_corpus("an4").glob("audio/*/*.flac"))
    assert len(paths) == 948
    for path in paths[::7]:
        samples = decode(path, RAW)
        check_samples(samples, 16_000, str(path), Checks())
        with pytest.raises(UserError, match="white noise"):
            check_samples(swapped(samples), 16_000, str(path), Checks())


def test_a_recording_of_the_wave_module_is_read(tmp_path, voice):
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((2, 2, 44_100, 0, "NONE", ""))
        file.writeframes(np.int16(voice() * 9999).repeat(2).tobytes())
    assert read_header(tmp_path / "a.wav", RAW) == Header(16_000, 44_100, 2)


def test_corpora_and_recordings_import_no_torch():
    modules = [
        f"{package.__name__}.{module.name}"
        for package in (corpora, recordings)
        for module in pkgutil.iter_modules(package.__path__)
    ]
    script = f"import sys, {', '.join(modules)}; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)
