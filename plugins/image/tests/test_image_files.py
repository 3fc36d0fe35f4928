"""Pictures from anywhere: every format is read as people see it, every damage is a sentence."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import PIL.Image
import pytest
from PIL import ImageFile

from multiattn.errors import UserError
from multiattn_image.image_files import SHORTEST_SIDE, check, decode


def encoded(image, kind, **options):
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def pixels(picture):
    return np.asarray(decode(picture)).astype(int)


def refusal(picture):
    """The sentence, which decoding gives too."""
    with pytest.raises(UserError) as error:
        check(picture)
    with pytest.raises(UserError, match="expected"):
        decode(picture)
    return str(error.value)


@pytest.mark.parametrize(
    ("kind", "options", "tolerance"),
    [
        ("JPEG", {"quality": 95, "subsampling": 0}, 6),
        ("PNG", {}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("BMP", {}, 0),
    ],
)
def test_a_file_is_what_was_saved_whatever_it_is_called(kind, options, tolerance, scene, tmp_path):
    image = scene(30, 20)
    path = tmp_path / "misnamed.txt"
    path.write_bytes(encoded(image, kind, **options))
    for picture in (path, str(path), path.read_bytes(), image, np.asarray(image)):
        check(picture)
        assert np.abs(pixels(picture) - np.asarray(image)).max() <= tolerance


# How rows and columns of what is stored become those that are seen (EXIF 2.3, tag 0x0112).
SEEN = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a),
}


@pytest.mark.parametrize("orientation", SEEN)
def test_a_camera_that_was_turned_is_turned_back(orientation, scene):
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    stored = scene(24, 16)
    seen = SEEN[orientation](np.asarray(stored))
    assert np.array_equal(pixels(encoded(stored, "PNG", exif=exif)), seen)


def test_what_is_transparent_lies_on_white(scene):
    image = scene().convert("RGBA")
    image.putalpha(PIL.Image.new("L", image.size, 0))
    assert (pixels(encoded(image, "PNG")) == 255).all()
    assert (pixels(np.asarray(image)) == 255).all()
    half = PIL.Image.new("LA", (9, 9), (100, 51))  # a fifth of 100, four fifths of 255
    assert (pixels(encoded(half, "PNG")) == 224).all()


def test_a_transparent_colour_of_a_palette_lies_on_white(scene):
    image = scene().quantize(8)
    content = encoded(image, "PNG", transparency=image.getpixel((0, 0)))
    assert (pixels(content)[0, 0] == 255).all()


def test_a_palette_is_looked_up(scene):
    image = scene().quantize(64)
    assert np.array_equal(pixels(encoded(image, "PNG")), np.asarray(image.convert("RGB")))


def test_grey_is_three_times_the_same(scene):
    grey = scene().convert("L")
    for picture in (encoded(grey, "PNG"), grey, np.asarray(grey)):
        assert np.array_equal(pixels(picture), np.stack([np.asarray(grey)] * 3, axis=2))
    assert set(np.unique(pixels(encoded(grey.convert("1"), "PNG")))) == {0, 255}


def test_four_inks_are_mixed_to_colours(scene):
    """Grey does without the black ink, and comes back: a wrong reading would be its negative."""
    inks = scene().convert("CMYK")
    seen = pixels(encoded(inks, "JPEG", quality=95, subsampling=0))
    assert np.abs(seen - np.asarray(scene())).max() <= 8


def test_sixteen_bits_of_grey_keep_their_range():
    ramp = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64)
    seen = pixels(encoded(PIL.Image.fromarray(ramp), "PNG"))
    assert np.array_equal(seen[:, :, 0], ramp >> 8)


def test_pictures_of_a_range_that_nobody_knows_are_refused():
    with pytest.raises(UserError, match="8 or 16 bits"):
        decode(PIL.Image.new("F", (20, 20)))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # Pillow says so, which is well
def test_damaged_exif_costs_no_picture(scene):
    exif = b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01"
    content = encoded(scene(), "JPEG", exif=exif)
    check(content)
    assert pixels(content).shape == (40, 40, 3)


def test_two_pictures_in_one_file_of_a_camera_are_the_first(scene):
    both = encoded(scene(), "MPO", save_all=True, append_images=[scene(20, 20)])
    check(both)
    assert pixels(both).shape == (40, 40, 3)


def test_what_is_not_there_is_named(tmp_path):
    assert f"in {tmp_path / 'no.jpg'}, cannot read it (No such file" in refusal(tmp_path / "no.jpg")
    assert "Is a directory" in refusal(str(tmp_path))
    assert "cannot read it" in refusal("a\0b.jpg")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "got nothing in it; fetch it again"),
        (b"<!DOCTYPE html>\n<html>", "got a web page"),
        (b"%PDF-1.7", "got a PDF"),
        (b"what is this?", "got something else; convert or remove it"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "got something else"),
    ],
)
def test_what_is_no_picture_is_named(content, said, tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    sentence = refusal(path)
    assert f"in {path}, " in sentence
    assert said in sentence
    if content:
        assert "(JPEG, PNG, WebP, BMP)" in sentence


def test_a_gif_is_refused_moving_or_not(scene):
    frames = [scene(), scene().rotate(90)]
    moving = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    for content in (moving, encoded(frames[0], "GIF")):
        assert "got a GIF" in refusal(content)
    assert "animated GIF" in refusal(PIL.Image.open(io.BytesIO(moving)))


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_what_moves_is_refused_in_other_formats_too(kind, scene):
    frames = [scene(), scene().rotate(90)]
    content = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    assert "stands still in the" in refusal(content)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP"])
def test_a_file_that_is_cut_off_is_refused_before_training(kind, share, scene, tmp_path):
    content = encoded(scene(300, 200), kind)
    path = tmp_path / "cut.jpg"
    path.write_bytes(content[: int(share * len(content))])
    sentence = refusal(path)
    assert f"in {path}, got one that is cut off or damaged" in sentence


def test_what_cameras_write_behind_a_picture_is_no_damage(scene):
    content = encoded(scene(), "JPEG")
    for behind in (b"\0" * 5000, b"\n", b"SEFT and the like" * 99):
        check(content + behind)


def test_a_whole_jpeg_is_checked_without_decoding_it(scene, monkeypatch):
    content = [encoded(scene(), kind) for kind in ("JPEG", "PNG")]
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda _: pytest.fail("decoded"))
    for each in content:
        check(each)


def test_damage_in_the_middle_is_met_when_it_is_decoded(scene):
    content = bytearray(encoded(scene(300, 200), "PNG"))
    content[len(content) // 2] ^= 0xFF
    with pytest.raises(UserError, match="cut off or damaged"):
        decode(bytes(content))


def bomb(width, height):
    """A PNG of a few bytes that says it is as large."""

    def chunk(name, content):
        checksum = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def test_a_bomb_that_webp_refuses_itself_is_a_sentence_too(scene):
    image = scene().convert("RGBA")
    image.putalpha(99)
    content = bytearray(encoded(image, "WEBP"))
    assert content[12:16] == b"VP8X"
    content[24:30] = (b"\x1f\x4e\0") * 2  # 20,000 × 20,000
    assert "expected a picture that can be decoded in the" in refusal(bytes(content))


@pytest.mark.parametrize(
    ("side", "megapixels"), [(10_500, 110), (20_000, 400), (60_000, 3600)]
)  # in between Pillow would warn, above it would raise without saying how large
def test_a_bomb_is_refused_before_it_is_decoded(side, megapixels, tmp_path):
    path = tmp_path / "bomb.png"
    path.write_bytes(bomb(side, side))
    sentence = refusal(path)
    assert f"at most 100 megapixels in {path}, got {side} × {side} ({megapixels} " in sentence


def test_the_limit_is_the_readers(scene):
    check(scene(40, 40), most_megapixels=0.0016)
    with pytest.raises(UserError, match="max_megapixels"):
        check(scene(40, 41), most_megapixels=0.0016)


@pytest.mark.parametrize("size", [(1, 1), (SHORTEST_SIDE - 1, 100), (100, SHORTEST_SIDE - 1)])
def test_a_picture_too_small_to_show_anything_is_refused(size, scene):
    sentence = refusal(encoded(PIL.Image.new("RGB", size), "PNG"))
    assert "at least 8 × 8 pixels in the" in sentence
    assert f"got {size[0]} × {size[1]}" in sentence
    check(scene(SHORTEST_SIDE, SHORTEST_SIDE))


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
def test_an_array_that_is_no_picture_is_refused_with_its_shape(array):
    assert str(array.shape) in refusal(array)
