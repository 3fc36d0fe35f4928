"""Pictures from anywhere as upright RGB, and what is refused. It judges nothing it sees. No torch.

Files are told apart by content, not by name, and opened by the classes of Pillow's own formats:
``PIL.Image.open`` would try every format it knows, warn of large pictures and open several of a
camera's at once.

Letters: H rows, W columns of pixels.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from PIL import ImageOps
from PIL.BmpImagePlugin import BmpImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from multiattn.errors import UserError

Picture = str | Path | bytes | PIL.Image.Image | NDArray[np.uint8]

MEGAPIXELS = 100.0  # 300 MB once decoded; twice what most cameras make
SHORTEST_SIDE = 8  # below it there is nothing to describe
WHITE = (255, 255, 255, 255)

# How the other files begin that people take for pictures.
STRANGERS = {
    b"GIF8": "a GIF",
    b"II*\0": "a TIFF",
    b"MM\0*": "a TIFF",
    b"%PDF": "a PDF",
    b"<": "a web page or a drawing (XML)",
    b"{": "JSON",
}
# How a file ends that has all its rows; without it, and in other formats, decoding tells.
ENDS: dict[type[ImageFile], bytes] = {JpegImageFile: b"\xff\xd9", PngImageFile: b"IEND\xaeB`\x82"}


def name_of(picture: Picture) -> str:
    """What an error calls it."""
    if isinstance(picture, bytes):
        return f"the {len(picture)} bytes given"
    if isinstance(picture, PIL.Image.Image):
        return f"the {picture.mode} picture given, {picture.width} × {picture.height}"
    if isinstance(picture, np.ndarray):
        return f"the array given, {picture.shape} of {picture.dtype}"
    return str(picture)


def check(picture: Picture, most_megapixels: float = MEGAPIXELS) -> None:
    """Look at its header and its end; only where these say little, decode it.

    Raises UserError for what is missing, no picture, cut off, too large or too small.
    """
    with _opened(picture, most_megapixels) as image:
        if isinstance(image, ImageFile) and not _has_its_end(image):
            image.load()


def decode(picture: Picture, most_megapixels: float = MEGAPIXELS) -> PIL.Image.Image:
    """Upright (EXIF) RGB of 8 bits, what is transparent on white.

    Raises UserError for what is missing, no picture, damaged, too large or too small.
    """
    with _opened(picture, most_megapixels) as image:
        image.load()
        return _opaque(_eight_bits(ImageOps.exif_transpose(image)))


def centre_square(image: PIL.Image.Image, size: int) -> PIL.Image.Image:
    """The middle of the picture, as large as fits, resized to size × size (antialiased)."""
    return ImageOps.fit(image, (size, size), PIL.Image.Resampling.BILINEAR)


@contextmanager
def _opened(picture: Picture, most_megapixels: float) -> Iterator[PIL.Image.Image]:
    """A picture of which only the header is read; what Pillow raises until it closes is ours."""
    name = name_of(picture)
    if isinstance(picture, PIL.Image.Image | np.ndarray):
        image = _from_array(picture) if isinstance(picture, np.ndarray) else picture
        with _damage_named(name):
            _check_size(image, name, most_megapixels)
            yield image
        return
    with _bytes_of(picture) as file, _damage_named(name):
        image = _format_of(file, name)(file)
        _check_size(image, name, most_megapixels)
        yield image


@contextmanager
def _bytes_of(picture: str | Path | bytes) -> Iterator[BinaryIO]:
    if isinstance(picture, bytes):
        yield io.BytesIO(picture)
        return
    try:
        file = Path(picture).open("rb")  # noqa: SIM115 (only opening it is tried)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(
            f"expected a picture in {picture}, cannot read it ({reason}); check the path"
        ) from error
    with file:
        yield file


@contextmanager
def _damage_named(name: str) -> Iterator[None]:
    try:
        yield
    except PIL.Image.DecompressionBombError as error:  # WebP's own limit, before it says how large
        raise UserError(
            f"expected a picture that can be decoded in {name}, got one too large ({error}); "
            "make it smaller"
        ) from error
    # What decoders raise at bytes that make no sense is as various as the formats.
    except (OSError, SyntaxError, ValueError, TypeError, LookupError, struct.error) as error:
        raise UserError(
            f"expected a whole picture in {name}, got one that is cut off or damaged ({error}); "
            "fetch it again"
        ) from error


def _format_of(file: BinaryIO, name: str) -> type[ImageFile]:
    start = file.read(16)
    file.seek(0)
    if start.startswith(b"\xff\xd8\xff"):
        return JpegImageFile
    if start.startswith(b"\x89PNG\r\n\x1a\n"):
        return PngImageFile
    if start.startswith(b"BM"):
        return BmpImageFile
    if start.startswith(b"RIFF") and start[8:12] == b"WEBP":
        return WebPImageFile
    if not start:
        raise UserError(f"expected a picture in {name}, got nothing in it; fetch it again")
    found = [what for first, what in STRANGERS.items() if start.startswith(first)]
    raise UserError(
        f"expected a picture (JPEG, PNG, WebP, BMP) in {name}, got "
        f"{found[0] if found else 'something else'}; convert or remove it"
    )


def _has_its_end(image: ImageFile) -> bool:
    """Whether the file ends as a whole one does; zeros behind it are padding."""
    end = ENDS.get(type(image))
    if end is None or image.fp is None:
        return False
    position = image.fp.tell()
    image.fp.seek(0, io.SEEK_END)
    image.fp.seek(max(0, image.fp.tell() - 64))
    tail = image.fp.read()
    image.fp.seek(position)
    return tail.rstrip(b"\0").endswith(end)


def _check_size(image: PIL.Image.Image, name: str, most_megapixels: float) -> None:
    width, height = image.size
    megapixels = width * height / 1e6
    if megapixels > most_megapixels:
        raise UserError(
            f"expected at most {most_megapixels:g} megapixels in {name}, got {width} × {height} "
            f"({megapixels:.0f} megapixels); make it smaller, or raise the reader's max_megapixels"
        )
    if min(width, height) < SHORTEST_SIDE:
        raise UserError(
            f"expected at least {SHORTEST_SIDE} × {SHORTEST_SIDE} pixels in {name}, "
            f"got {width} × {height}; remove it"
        )
    if getattr(image, "is_animated", False):
        raise UserError(
            f"expected a picture that stands still in {name}, got an animated "
            f"{image.format or 'one'}; save one of its frames as PNG"
        )


def _from_array(array: NDArray[Any]) -> PIL.Image.Image:
    grey = array.ndim == 2
    if array.dtype != np.uint8 or not (grey or (array.ndim == 3 and array.shape[2] in (3, 4))):
        raise UserError(
            "expected an array of uint8 of shape (H, W), (H, W, 3) or (H, W, 4), got "
            f"{array.shape} of {array.dtype}; convert it"
        )
    if not array.size:
        raise UserError(f"expected pixels in the array, got the shape {array.shape}; give some")
    return PIL.Image.fromarray(array)


def _eight_bits(image: PIL.Image.Image) -> PIL.Image.Image:
    """Grey of 16 bits by its upper half, which Pillow would cut off at 255 instead."""
    if image.mode.startswith("I;16"):
        return PIL.Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise UserError(
            f"expected 8 or 16 bits per colour in {name_of(image)}, got 32, whose range is not "
            "known; convert it to L or RGB"
        )
    return image


def _opaque(image: PIL.Image.Image) -> PIL.Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    paper = PIL.Image.new("RGBA", image.size, WHITE)
    return PIL.Image.alpha_composite(paper, image.convert("RGBA")).convert("RGB")
