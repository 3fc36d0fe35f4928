"""Sound in containers that FFmpeg reads, encoded here with PyAV and compared with the original."""

from __future__ import annotations

import io
from fractions import Fraction

import av
import numpy as np
import pytest

from multiattn import UserError
from multiattn_audio.reader import Audio
from multiattn_audio.recordings import decoding
from multiattn_audio.recordings.decoding import decode, read_header
from multiattn_audio.recordings.formats import RawFormat

RAW = RawFormat()
FRAME = {"aac": 1024, "libopus": 960}


def encode_media(samples, rate, container, codec, *, video=False, options=None) -> bytes:
    """samples (L, C) as bytes of a container; with ``video``, a black picture of one second."""
    file = io.BytesIO()
    with av.open(file, "w", format=container, options=options or {}) as output:
        streams = []
        if video:
            picture = output.add_stream("mpeg4" if container == "mp4" else "libvpx", rate=10)
            picture.width, picture.height, picture.pix_fmt = 32, 32, "yuv420p"
            black = np.zeros((32, 32, 3), np.uint8)
            streams.append((picture, [av.VideoFrame.from_ndarray(black) for _ in range(10)]))
        if samples is not None:
            sound = output.add_stream(codec, rate=rate)
            sound.layout = {1: "mono", 2: "stereo"}[samples.shape[1]]
            planes = np.ascontiguousarray(samples.T, np.float32)
            frame = av.AudioFrame.from_ndarray(planes, "fltp", sound.layout.name)
            frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
            own = av.AudioResampler(sound.format, sound.layout, rate, sound.frame_size)
            streams.append((sound, [*own.resample(frame), *own.resample(None)]))
        for stream, frames in streams:
            for frame in [*frames, None]:
                output.mux(stream.encode(frame))
    return file.getvalue()


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(
    ("container", "codec", "options"),
    [
        ("mp4", "aac", {}),
        ("mp4", "aac", {"movflags": "frag_keyframe+empty_moov", "frag_duration": "200000"}),
        ("ipod", "aac", {}),  # m4a
        ("adts", "aac", {}),
        ("webm", "libopus", {}),
        ("webm", "libopus", {"live": "1"}),  # as browsers record: without a duration
        ("matroska", "pcm_s16le", {}),
    ],
)
def test_the_sound_is_what_was_encoded(tmp_path, voice, container, codec, options, channels):
    rate = 48_000
    left = voice(1.7, rate)
    samples = np.stack([left, left * 0.5], axis=1)[:, :channels]
    content = encode_media(samples, rate, container, codec, options=options)
    path = tmp_path / "any.suffix"
    path.write_bytes(content)
    for recording in (content, path, str(path)):
        decoded, header = decode(recording, RAW), read_header(recording, RAW)
        assert (header.samples, header.sample_rate_hz, header.channels) == (
            len(decoded),
            rate,
            channels,
        )
    # neither ADTS nor fragments say that the first frame is only the encoder's delay
    delay = 1024 if container == "adts" or "movflags" in options else 0
    assert abs(len(decoded) - delay - len(samples)) <= FRAME.get(codec, 0)
    common = min(len(decoded) - delay, len(samples))
    for channel in range(channels):
        original, got = samples[:common, channel], decoded[delay : delay + common, channel]
        assert np.corrcoef(original, got)[0, 1] > 0.99
        assert got.std() == pytest.approx(original.std(), rel=0.05)


@pytest.mark.parametrize(("container", "codec"), [("mp4", "aac"), ("webm", "libopus")])
def test_of_a_video_only_the_sound_is_read_at_the_rate_of_the_reader(voice, container, codec):
    samples = voice(1.5, 48_000)
    content = encode_media(samples[:, None], 48_000, container, codec, video=True)
    read = Audio(sample_rate_hz=16_000).read(content)
    assert len(read) == pytest.approx(24_000, abs=400)  # a frame at 48 kHz is 341 samples at 16
    expected = voice(1.5, 16_000)[: len(read)]
    assert np.corrcoef(expected, read[: len(expected)])[0, 1] > 0.99


def test_a_file_without_sound_or_cut_off_is_refused_in_one_sentence(tmp_path, voice):
    samples = voice(1.0, 48_000)[:, None]
    space = {"moov_size": "4000"}  # for the index, before the sound
    mp4 = encode_media(samples, 48_000, "mp4", "aac", options=space)
    webm = encode_media(samples, 48_000, "webm", "libopus")
    contents = {
        "silent.mp4": (encode_media(None, 0, "mp4", "", video=True), "expected sound in"),
        "half.mp4": (mp4[: len(mp4) * 2 // 3], "damaged"),
        "half.webm": (webm[: len(webm) * 2 // 3], "damaged"),
        "start.m4a": (mp4[:200], "cut off before it"),
        "holes.mp4": (mp4[:-3000] + b"\xa5" * 3000, "damaged"),
    }
    for name, (content, sentence) in contents.items():
        path = tmp_path / name
        path.write_bytes(content)
        for read in (decode, read_header):
            with pytest.raises(UserError, match=sentence) as caught:
                read(path, RAW)
            assert str(path) in str(caught.value)
            assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{other}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile '{other}'\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
    ],
)
def test_a_playlist_opens_no_other_file_and_no_address(tmp_path, voice, content):
    other = tmp_path / "other.m4a"
    other.write_bytes(encode_media(voice(1.0, 48_000)[:, None], 48_000, "ipod", "aac"))
    with pytest.raises(UserError, match="something else or a damaged one"):
        decode(content.format(other=other).encode(), RAW)


def test_without_the_extra_the_sentence_names_it(monkeypatch, voice):
    content = encode_media(voice(1.0, 48_000)[:, None], 48_000, "ipod", "aac")
    monkeypatch.setattr(decoding, "can_read_media", lambda: False)
    with pytest.raises(UserError, match=r"install multiattn-audio\[media\] to read m4a, mp4, webm"):
        decode(content, RAW)
