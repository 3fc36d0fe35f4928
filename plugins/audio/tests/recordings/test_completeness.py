"""Faults of wav files that cost no sound, and those that do."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from multiattn import UserError
from multiattn_audio.recordings.completeness import check_complete
from multiattn_audio.recordings.decoding import Header, decode, read_header
from multiattn_audio.recordings.formats import RawFormat

RAW = RawFormat()


def chunk(name: bytes, content: bytes, pad: bool = True) -> bytes:
    padding = b"\0" if pad and len(content) % 2 else b""
    return name + struct.pack("<I", len(content)) + content + padding


def wav(samples, *chunks: bytes, stated_bytes: int | None = None, rate: int = 8_000) -> bytes:
    """A 16-bit wav whose data chunk says ``stated_bytes``."""
    data = np.int16(samples * 32767).tobytes()
    size = len(data) if stated_bytes is None else stated_bytes
    form = chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, rate, 2 * rate, 2, 16))
    body = b"WAVE" + form + b"".join(chunks) + b"data" + struct.pack("<I", size) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize("name", [b"LIST", b"JUNK", b"bext", b"id3 "])
@pytest.mark.parametrize("pad", [True, False])
def test_a_chunk_of_odd_length_with_or_without_its_pad_byte_is_passed(tmp_path, voice, name, pad):
    samples = voice(1.0, 8_000)
    odd = chunk(name, b"INFOISFT\x01\0\0\0x", pad)
    for chunks in ([odd], [odd, odd], [odd, chunk(b"fact", b"\0\0\0\0"), odd]):
        path = tmp_path / "a.wav"
        path.write_bytes(wav(samples, *chunks))
        for recording in (path, path.read_bytes()):
            assert read_header(recording, RAW) == Header(8_000, 8_000, 1)
            assert np.abs(decode(recording, RAW)[:, 0] - samples).max() < 5e-5


@pytest.mark.parametrize("surplus", [2, 36, 44, 160])
def test_a_header_that_says_a_few_bytes_too_many_is_read_for_what_is_there(voice, surplus):
    samples = voice(1.0, 8_000)
    content = wav(samples, stated_bytes=16_000 + surplus)
    assert read_header(content, RAW) == Header(8_000, 8_000, 1)
    assert len(decode(content, RAW)) == 8_000


@pytest.mark.parametrize(("seconds", "kept"), [(1.0, 0.95), (1.0, 0.98), (20.0, 19.85), (1.0, 0.0)])
def test_a_recording_that_lacks_a_noticeable_part_is_refused(voice, seconds, kept):
    samples = voice(seconds, 8_000)
    rest = samples[: round(kept * 8_000)]
    with pytest.raises(UserError, match=f"expected {seconds:.3f} seconds.*got {kept:.3f}"):
        decode(wav(rest, stated_bytes=2 * len(samples)), RAW)


@pytest.mark.parametrize(
    ("got", "stated", "noticed"),
    [
        (59.91, 60.0, False),
        (59.89, 60.0, True),  # more than 0.1 seconds
        (4.96, 5.0, False),
        (4.94, 5.0, True),  # more than 1 %
        (0.49, 0.5, False),  # 2 %, but less than a codec's frame
        (0.47, 0.5, True),
        (1.2, 1.0, False),
    ],
)
def test_noticeable_is_more_than_a_tenth_of_a_second_or_one_percent(got, stated, noticed):
    if noticed:
        with pytest.raises(UserError, match="cut off or damaged"):
            check_complete(got, stated, "a.wav")
    else:
        check_complete(got, stated, "a.wav")
