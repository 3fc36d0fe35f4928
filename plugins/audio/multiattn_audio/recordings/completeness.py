"""Whether a recording is all there, and a common fault of wav files that costs no sound."""

from __future__ import annotations

from multiattn import UserError

MISSING_SECONDS = 0.1  # more than this is noticed: a short word
MISSING_SHARE = 0.01
CODEC_FRAME_SECONDS = 0.02  # headers and lossy codecs disagree by as much

CHUNKS = {b"data", b"fact", b"fmt ", b"LIST", b"PEAK", b"bext", b"cue ", b"id3 ", b"JUNK", b"smpl"}


def check_complete(got_seconds: float, stated_seconds: float, name: str) -> None:
    """Raise UserError for a recording that lacks a noticeable part of what its header states.

    Noticeable is more than 0.1 seconds, or more than 1 % unless that is less than 0.02 seconds.
    """
    missing = stated_seconds - got_seconds
    if missing > min(MISSING_SECONDS, max(MISSING_SHARE * stated_seconds, CODEC_FRAME_SECONDS)):
        raise UserError(
            f"expected {stated_seconds:.3f} seconds of sound in {name}, as its header says, got "
            f"{got_seconds:.3f}: it is cut off or damaged; fetch it again"
        )


def with_pad_bytes(content: bytes) -> bytes | None:
    """A wav file with the pad bytes that its chunks of odd length lack; None if none is missing.

    RIFF aligns chunks to two bytes; some writers forget to after a LIST chunk.
    """
    parts, position = [content[:12]], 12
    while position < len(content) and content[position : position + 4] != b"data":
        size = int.from_bytes(content[position + 4 : position + 8], "little")
        end = position + 8 + size
        lacks_pad = size % 2 == 1 and content[end : end + 4] in CHUNKS
        next_position = end if lacks_pad else end + size % 2
        parts += [content[position:next_position], b"\0" * lacks_pad]
        position = next_position
    mended = b"".join([*parts, content[position:]])
    return mended if len(mended) > len(content) else None
