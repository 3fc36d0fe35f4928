"""Reading images: the pixels of every format, and the message for every refused file."""

from __future__ import annotations

import io
import re
import struct
import zlib

import numpy as np
import PIL.Image
import pytest
from PIL import ImageFile

from multiattn import UserError
from multiattn_image.image_files import MIN_SIDE, check_image, decode_image


def encode(image, image_format, **options):
    content = io.BytesIO()
    image.save(content, image_format, **options)
    return content.getvalue()


def pixels(image):
    return np.asarray(decode_image(image)).astype(int)


def refusal_message(image):
    """The message of the check; decoding must refuse the image too."""
    with pytest.raises(UserError) as error:
        check_image(image)
    with pytest.raises(UserError, match="expected"):
        decode_image(image)
    return str(error.value)


@pytest.mark.parametrize(
    ("image_format", "options", "tolerance"),
    [
        ("JPEG", {"quality": 95, "subsampling": 0}, 6),
        ("PNG", {}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("BMP", {}, 0),
    ],
)
def test_the_saved_pixels_are_read_whatever_the_file_name(
    image_format, options, tolerance, scene, tmp_path
):
    image = scene(30, 20)
    path = tmp_path / "misnamed.txt"
    path.write_bytes(encode(image, image_format, **options))
    for source in (path, str(path), path.read_bytes(), image, np.asarray(image)):
        check_image(source)
        assert np.abs(pixels(source) - np.asarray(image)).max() <= tolerance


# The transformation from stored to displayed pixels per orientation (EXIF 2.3, tag 0x0112).
ORIENTATIONS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a),
}


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_exif_orientation_is_applied(orientation, scene):
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    stored = scene(24, 16)
    displayed = ORIENTATIONS[orientation](np.asarray(stored))
    assert np.array_equal(pixels(encode(stored, "PNG", exif=exif)), displayed)


def test_transparency_is_blended_with_white(scene):
    image = scene().convert("RGBA")
    image.putalpha(PIL.Image.new("L", image.size, 0))
    assert (pixels(encode(image, "PNG")) == 255).all()
    assert (pixels(np.asarray(image)) == 255).all()
    half = PIL.Image.new("LA", (9, 9), (100, 51))  # a fifth of 100, four fifths of 255
    assert (pixels(encode(half, "PNG")) == 224).all()


def test_a_transparent_palette_colour_is_white(scene):
    image = scene().quantize(8)
    content = encode(image, "PNG", transparency=image.getpixel((0, 0)))
    assert (pixels(content)[0, 0] == 255).all()


def test_palette_images_are_converted_to_rgb(scene):
    image = scene().quantize(64)
    assert np.array_equal(pixels(encode(image, "PNG")), np.asarray(image.convert("RGB")))


def test_grey_is_repeated_in_all_three_channels(scene):
    grey = scene().convert("L")
    for source in (encode(grey, "PNG"), grey, np.asarray(grey)):
        assert np.array_equal(pixels(source), np.stack([np.asarray(grey)] * 3, axis=2))
    assert set(np.unique(pixels(encode(grey.convert("1"), "PNG")))) == {0, 255}


def test_cmyk_is_converted_to_rgb(scene):
    """JPEG stores CMYK inverted; read without inverting, the result would be the negative."""
    cmyk = scene().convert("CMYK")
    rgb = pixels(encode(cmyk, "JPEG", quality=95, subsampling=0))
    assert np.abs(rgb - np.asarray(scene())).max() <= 8


def test_sixteen_bit_grey_keeps_its_range():
    ramp = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64)
    rgb = pixels(encode(PIL.Image.fromarray(ramp), "PNG"))
    assert np.array_equal(rgb[:, :, 0], ramp >> 8)


def test_images_of_an_unknown_value_range_are_refused():
    with pytest.raises(UserError, match="8 or 16 bits"):
        decode_image(PIL.Image.new("F", (20, 20)))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_an_image_with_damaged_exif_is_read(scene):
    exif = b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01"
    content = encode(scene(), "JPEG", exif=exif)
    check_image(content)
    assert pixels(content).shape == (40, 40, 3)


def test_of_a_multi_picture_file_the_first_image_is_read(scene):
    both = encode(scene(), "MPO", save_all=True, append_images=[scene(20, 20)])
    check_image(both)
    assert pixels(both).shape == (40, 40, 3)


def test_a_missing_file_is_named(tmp_path):
    assert f"in {tmp_path / 'no.jpg'}, cannot read it (No such file" in refusal_message(
        tmp_path / "no.jpg"
    )
    assert "Is a directory" in refusal_message(str(tmp_path))
    assert "cannot read it" in refusal_message("a\0b.jpg")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "got an empty file; fetch it again"),
        (b"<!DOCTYPE html>\n<html>", "got a web page"),
        (b"%PDF-1.7", "got a PDF"),
        (b"what is this?", "got something else; convert or remove it"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "got something else"),
    ],
)
def test_a_file_that_is_not_an_image_is_named(content, expected, tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    message = refusal_message(path)
    assert f"in {path}, " in message
    assert expected in message
    if content:
        assert "(JPEG, PNG, WebP, AVIF, GIF, TIFF, BMP)" in message


@pytest.mark.parametrize(
    ("image_format", "options"),
    [
        ("GIF", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {"compression": "tiff_adobe_deflate"}),
        ("AVIF", {"quality": 100, "subsampling": "4:4:4"}),
    ],
)
def test_still_images_of_rarer_formats_are_read(image_format, options, scene):
    image = scene().quantize(64) if image_format == "GIF" else scene()
    content = encode(image, image_format, **options)
    check_image(content)
    tolerance = 4 if image_format == "AVIF" else 0
    original = np.asarray(image.convert("RGB"), int)
    assert np.abs(pixels(content).astype(int) - original).max() <= tolerance


def test_sixteen_bit_grey_tiff_keeps_its_range():
    ramp = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64)
    rgb = pixels(encode(PIL.Image.fromarray(ramp), "TIFF"))
    assert np.array_equal(rgb[:, :, 0], ramp >> 8)


def test_a_transparent_colour_of_a_gif_is_white(scene):
    image = scene().quantize(8)
    content = encode(image, "GIF", transparency=image.getpixel((0, 0)))
    assert (pixels(content)[0, 0] == 255).all()


def test_a_tiff_of_several_pages_is_refused(scene):
    content = encode(scene(), "TIFF", save_all=True, append_images=[scene()])
    assert "got a TIFF of several pages; save one of its pages" in refusal_message(content)


@pytest.mark.parametrize("image_format", ["PNG", "WEBP", "GIF", "AVIF"])
def test_animations_are_refused(image_format, scene):
    frames = [scene(), scene().rotate(90)]
    content = encode(frames[0], image_format, save_all=True, append_images=frames[1:])
    for animation in (content, PIL.Image.open(io.BytesIO(content))):
        message = refusal_message(animation)
        assert "expected a still image in the" in message
        assert f"got an animated {image_format}" in message


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF"])
def test_a_truncated_file_is_refused_by_the_check(image_format, share, scene, tmp_path):
    content = encode(scene(300, 200), image_format)
    path = tmp_path / "cut.jpg"
    path.write_bytes(content[: int(share * len(content))])
    message = refusal_message(path)
    assert f"in {path}, got one that is cut off or damaged" in message


def test_trailing_bytes_of_cameras_are_accepted(scene):
    content = encode(scene(), "JPEG")
    for trailing in (b"\0" * 5000, b"\n", b"SEFT and the like" * 99):
        check_image(content + trailing)


def test_complete_files_are_checked_without_decoding(scene, monkeypatch):
    contents = [encode(scene(), image_format) for image_format in ("JPEG", "PNG")]
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda _: pytest.fail("decoded"))
    for content in contents:
        check_image(content)


def test_damage_in_the_middle_is_detected_when_decoding(scene):
    content = bytearray(encode(scene(300, 200), "PNG"))
    content[len(content) // 2] ^= 0xFF
    with pytest.raises(UserError, match="cut off or damaged"):
        decode_image(bytes(content))


def decompression_bomb(width, height):
    """A PNG of a few bytes whose header claims this size."""

    def chunk(name, content):
        checksum = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def test_a_bomb_that_webp_itself_refuses_is_a_user_error(scene):
    image = scene().convert("RGBA")
    image.putalpha(99)
    content = bytearray(encode(image, "WEBP"))
    assert content[12:16] == b"VP8X"
    content[24:30] = (b"\x1f\x4e\0") * 2  # 20,000 × 20,000
    # Pillow before 13 does not say why, and takes it for damage
    asked = r"expected (an image that can be decoded|a complete image) in the"
    assert re.match(asked, refusal_message(bytes(content)))


@pytest.mark.parametrize(
    ("side", "megapixels"), [(10_500, 110), (20_000, 400), (60_000, 3600)]
)  # Pillow itself would warn at the first and raise at the others, without width and height
def test_a_decompression_bomb_is_refused_before_decoding(side, megapixels, tmp_path):
    path = tmp_path / "bomb.png"
    path.write_bytes(decompression_bomb(side, side))
    message = refusal_message(path)
    assert f"at most 100 megapixels in {path}, got {side} × {side} ({megapixels} " in message


def test_the_message_names_the_readers_setting(scene):
    check_image(scene(40, 40), max_megapixels=0.0016)
    with pytest.raises(UserError, match="max_megapixels"):
        check_image(scene(40, 41), max_megapixels=0.0016)


@pytest.mark.parametrize("size", [(1, 1), (MIN_SIDE - 1, 100), (100, MIN_SIDE - 1)])
def test_too_small_an_image_is_refused(size, scene):
    message = refusal_message(encode(PIL.Image.new("RGB", size), "PNG"))
    assert "at least 8 × 8 pixels in the" in message
    assert f"got {size[0]} × {size[1]}" in message
    check_image(scene(MIN_SIDE, MIN_SIDE))


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((20, 20), np.float32),
        np.zeros((3, 20, 20), np.uint8),
        np.zeros((20, 20, 2), np.uint8),
        np.zeros((0, 20, 3), np.uint8),
        np.zeros(20, np.uint8),
    ],
    ids=str,
)
def test_an_array_of_a_wrong_shape_or_type_is_refused(array):
    assert str(array.shape) in refusal_message(array)
