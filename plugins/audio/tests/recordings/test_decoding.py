"""Headers and samples of every format, and errors for recordings that cannot be decoded."""

from __future__ import annotations

import io
import pkgutil
import subprocess
import sys
import wave

import numpy as np
import pytest
import scipy.io.wavfile
import scipy.signal
import scipy.stats
import soundfile

from multiattn import UserError
from multiattn_audio import corpora, recordings
from multiattn_audio.recordings.decoding import (
    Header,
    Sound,
    decode,
    mix_down,
    read_header,
)
from multiattn_audio.recordings.formats import RawFormat

RAW = RawFormat()


def encode(samples, sample_rate_hz=16_000, **container) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, sample_rate_hz, **container)
    return file.getvalue()


def test_a_wav_written_by_scipy_is_decoded_exactly(tmp_path, voice):
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
def test_every_format_returns_the_samples(tmp_path, voice, container, error):
    samples = voice()
    content = encode(samples, **container)
    path = tmp_path / "any.suffix"
    path.write_bytes(content)
    for recording in (content, path, str(path)):
        assert read_header(recording, RAW) == Header(16_000, 16_000, 1)
        assert np.abs(decode(recording, RAW)[:, 0] - samples).max() <= error


def test_opus_is_decoded(voice, frequency_hz):
    samples = decode(encode(voice(), format="OGG", subtype="OPUS"), RAW)
    assert frequency_hz(samples[:, 0], 16_000) == pytest.approx(120, abs=1)


@pytest.mark.parametrize("byte_order", ["little", "big"])
@pytest.mark.parametrize(("sample", "kind"), [("int16", "i2"), ("float32", "f4"), ("int32", "i4")])
def test_headerless_samples_are_decoded_by_the_raw_format(
    tmp_path, voice, sample, kind, byte_order
):
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
def test_arrays_that_cannot_be_recordings_are_refused(sound):
    with pytest.raises(UserError, match=r"array of samples \(L,\) or \(L, channels\)"):
        read_header(sound, RAW)


@pytest.mark.parametrize("value", [np.zeros(9), None, 17])
def test_other_types_are_refused(value):
    with pytest.raises(UserError, match=f"a path, bytes or Sound.*got {type(value).__name__};"):
        read_header(value, RAW)


def test_eight_channels_are_averaged(tmp_path):
    channels = np.random.default_rng(0).uniform(-0.5, 0.5, (400, 8))
    soundfile.write(tmp_path / "a.wav", channels, 16_000, subtype="FLOAT")
    assert read_header(tmp_path / "a.wav", RAW).channels == 8
    mixed = mix_down(decode(tmp_path / "a.wav", RAW))
    assert mixed.shape == (400,)
    assert np.allclose(mixed, [sum(row) / 8 for row in channels.tolist()], atol=1e-6)


def bad_files(folder, voice):
    """A file per kind of damage, and a pattern for its error."""
    flac, wav = encode(voice(), format="FLAC"), encode(voice(), format="WAV")
    contents = {
        "text.wav": (b"certainly no recording\n" * 99, "something else"),
        "empty.flac": (b"", "an empty file"),
        "half.flac": (flac[: len(flac) // 2], "damaged|cut off"),
        "half.wav": (wav[: len(wav) // 2], "cut off"),
        "half.mp3": (encode(voice(), format="MP3")[:1500], "cut off or damaged"),
        "noise.flac": (flac[:3000] + b"\0" * 2000 + flac[5000:], "damaged|cut off"),
    }
    for name, (content, sentence) in contents.items():
        (folder / name).write_bytes(content)
        yield folder / name, sentence
    yield folder / "nowhere.wav", "No such file or directory"
    yield folder, "Is a directory"


def test_errors_are_one_sentence_that_names_the_file(tmp_path, voice):
    for path, sentence in bad_files(tmp_path, voice):
        with pytest.raises(UserError, match=sentence) as caught:
            decode(path, RAW)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_wav_with_a_placeholder_length_is_decoded_whole(voice):
    content = bytearray(encode(voice(), format="WAV", subtype="PCM_16"))
    data_chunk = content.index(b"data")
    for offset in (4, data_chunk + 4):
        content[offset : offset + 4] = b"\xff\xff\xff\xff"
    assert len(decode(bytes(content), RAW)) == 16_000


def test_a_wav_written_by_the_wave_module_has_the_right_header(tmp_path, voice):
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
