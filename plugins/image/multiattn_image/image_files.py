"""Reads images as upright 8-bit RGB, and refuses unsupported or damaged files. Imports no torch.

The format is detected from the content, not from the file name, and each file is opened by
Pillow's class for that format. ``PIL.Image.open`` would try every format it knows, warn about
large images, and open a camera's multi-picture JPEG as another format (MPO).

Letters: H rows and W columns of pixels.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from PIL import ImageOps
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from multiattn import StoredMedia, UserError

ImageInput = str | Path | bytes | PIL.Image.Image | NDArray[np.uint8] | StoredMedia
Interpolation = Literal["bilinear", "bicubic", "lanczos"]

MAX_MEGAPIXELS = 100.0  # 300 MB once decoded; twice what most cameras produce
MIN_SIDE = 8  # pixels; anything smaller is too small to describe
WHITE = (255, 255, 255, 255)

# Each format's decoder raises its own kinds of errors for invalid bytes.
DECODER_ERRORS = (OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError, struct.error)
# First bytes of a file.
SUPPORTED_FORMATS: dict[bytes, type[ImageFile]] = {
    b"\xff\xd8\xff": JpegImageFile,
    b"\x89PNG\r\n\x1a\n": PngImageFile,
    b"BM": BmpImageFile,
    b"GIF8": GifImageFile,
    b"II*\0": TiffImageFile,
    b"MM\0*": TiffImageFile,
}
# First bytes of other files that are often passed as images.
UNSUPPORTED_FORMATS = {
    b"%PDF": "a PDF",
    b"<": "a web page or a drawing (XML)",
    b"{": "JSON",
}
# Last bytes of a complete file. A file that ends otherwise, or in another format, is decoded.
END_MARKERS: dict[type[ImageFile], bytes] = {
    JpegImageFile: b"\xff\xd9",
    PngImageFile: b"IEND\xaeB`\x82",
}


def describe_input(image: ImageInput) -> str:
    """The name of an image in error messages."""
    if isinstance(image, bytes):
        return f"the {len(image)} bytes given"
    if isinstance(image, PIL.Image.Image):
        return f"the {image.mode} image given, {image.width} × {image.height}"
    if isinstance(image, np.ndarray):
        return f"the array given, {image.shape} of {image.dtype}"
    return str(image)


def check_image(image: ImageInput, max_megapixels: float = MAX_MEGAPIXELS) -> None:
    """Check the header and the end of a file, and decode it only where these do not suffice.

    Raises UserError for a file that is missing, truncated or not an image, and for an image that
    is too large or too small.
    """
    with _open_image(image, max_megapixels) as opened:
        if isinstance(opened, ImageFile) and not _ends_with_marker(opened):
            opened.load()


def decode_image(image: ImageInput, max_megapixels: float = MAX_MEGAPIXELS) -> PIL.Image.Image:
    """8-bit RGB, upright according to EXIF, with transparency over white.

    Raises UserError for a file that is missing, damaged or not an image, and for an image that is
    too large or too small.
    """
    with _open_image(image, max_megapixels) as opened:
        opened.load()
        return _to_opaque_rgb(_to_eight_bits(ImageOps.exif_transpose(opened)))


def centre_square(
    image: PIL.Image.Image, size: int, interpolation: Interpolation = "bilinear"
) -> PIL.Image.Image:
    """The largest square in the centre of the image, resized to size × size with antialiasing."""
    return ImageOps.fit(image, (size, size), PIL.Image.Resampling[interpolation.upper()])


@contextmanager
def _open_image(image: ImageInput, max_megapixels: float) -> Iterator[PIL.Image.Image]:
    """Open an image, reading only its header. Pillow's errors within the block are UserErrors."""
    name = describe_input(image)
    content: Any = image.load() if isinstance(image, StoredMedia) else image
    if isinstance(content, PIL.Image.Image | np.ndarray):
        opened = _from_array(content) if isinstance(content, np.ndarray) else content
        with _pillow_errors_as_user_errors(name):
            _check_size(opened, name, max_megapixels)
            yield opened
        return
    with _open_binary(content) as file, _pillow_errors_as_user_errors(name):
        opened = _detect_format(file, name)(file)
        _check_size(opened, name, max_megapixels)
        yield opened


@contextmanager
def _open_binary(source: str | Path | bytes) -> Iterator[BinaryIO]:
    if isinstance(source, bytes):
        yield io.BytesIO(source)
        return
    try:
        file = Path(source).open("rb")  # noqa: SIM115 (the try covers only the opening)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(
            f"expected an image in {source}, cannot read it ({reason}); check the path"
        ) from error
    with file:
        yield file


@contextmanager
def _pillow_errors_as_user_errors(name: str) -> Iterator[None]:
    try:
        yield
    except PIL.Image.DecompressionBombError as error:  # WebP's own, before the size is known
        raise UserError(
            f"expected an image that can be decoded in {name}, got one too large ({error}); "
            "make it smaller"
        ) from error
    except DECODER_ERRORS as error:
        raise UserError(
            f"expected a complete image in {name}, got one that is cut off or damaged ({error}); "
            "fetch it again"
        ) from error


def _detect_format(file: BinaryIO, name: str) -> type[ImageFile]:
    start = file.read(64)
    file.seek(0)
    for prefix, kind in SUPPORTED_FORMATS.items():
        if start.startswith(prefix):
            return kind
    if start.startswith(b"RIFF") and start[8:12] == b"WEBP":
        return WebPImageFile
    brands = start[8 : int.from_bytes(start[:4])] if start[4:8] == b"ftyp" else b""
    if b"avif" in brands or b"avis" in brands:
        return AvifImageFile
    if not start:
        raise UserError(f"expected an image in {name}, got an empty file; fetch it again")
    matches = [kind for prefix, kind in UNSUPPORTED_FORMATS.items() if start.startswith(prefix)]
    raise UserError(
        f"expected an image (JPEG, PNG, WebP, AVIF, GIF, TIFF, BMP) in {name}, got "
        f"{matches[0] if matches else 'something else'}; convert or remove it"
    )


def _ends_with_marker(image: ImageFile) -> bool:
    """Whether the file ends as a complete one does, zero padding aside."""
    marker = END_MARKERS.get(type(image))
    if marker is None or image.fp is None:
        return False
    position = image.fp.tell()
    image.fp.seek(0, io.SEEK_END)
    image.fp.seek(max(0, image.fp.tell() - 64))
    tail = image.fp.read()
    image.fp.seek(position)
    return tail.rstrip(b"\0").endswith(marker)


def _check_size(image: PIL.Image.Image, name: str, max_megapixels: float) -> None:
    width, height = image.size
    megapixels = width * height / 1e6
    if megapixels > max_megapixels:
        raise UserError(
            f"expected at most {max_megapixels:g} megapixels in {name}, got {width} × {height} "
            f"({megapixels:.0f} megapixels); make it smaller, or raise the reader's max_megapixels"
        )
    if min(width, height) < MIN_SIDE:
        raise UserError(
            f"expected at least {MIN_SIDE} × {MIN_SIDE} pixels in {name}, "
            f"got {width} × {height}; remove it"
        )
    if getattr(image, "is_animated", False):
        pages = image.format == "TIFF"
        kind = f"{image.format or 'one'}{' of several pages' if pages else ''}"
        raise UserError(
            f"expected a still image in {name}, got {'a' if pages else 'an animated'} {kind}; "
            f"save one of its {'pages' if pages else 'frames'} as PNG"
        )


def _from_array(array: NDArray[Any]) -> PIL.Image.Image:
    is_grey = array.ndim == 2
    if array.dtype != np.uint8 or not (is_grey or (array.ndim == 3 and array.shape[2] in (3, 4))):
        raise UserError(
            "expected an array of uint8 of shape (H, W), (H, W, 3) or (H, W, 4), got "
            f"{array.shape} of {array.dtype}; convert it"
        )
    if not array.size:
        raise UserError(f"expected pixels in the array, got the shape {array.shape}; give an image")
    return PIL.Image.fromarray(array)


def _to_eight_bits(image: PIL.Image.Image) -> PIL.Image.Image:
    """Keep the high byte of 16-bit grey; Pillow's own conversion would clip values at 255."""
    if image.mode.startswith("I;16"):
        return PIL.Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise UserError(
            f"expected 8 or 16 bits per colour in {describe_input(image)}, got 32, whose range is "
            "not known; convert it to L or RGB"
        )
    return image


def _to_opaque_rgb(image: PIL.Image.Image) -> PIL.Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    background = PIL.Image.new("RGBA", image.size, WHITE)
    return PIL.Image.alpha_composite(background, image.convert("RGBA")).convert("RGB")
