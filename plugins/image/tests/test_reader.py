"""The image reader: a square of pixels, the same in training and prediction unless augmented."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from pydantic import ValidationError
from torchvision.transforms import v2

from multiattn import UserError
from multiattn.data.collation import Collator
from multiattn.data.rows import Row
from multiattn_image.augmentation import Augmentation
from multiattn_image.reader import ImageReader, ImageSpec

AUGMENTED = Augmentation(brightness=0.3, contrast=0.3, saturation=0.3, hue=0.1)


def seeded_generator(seed):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def path(scene, tmp_path):
    scene(60, 40).save(tmp_path / "a.png")
    return str(tmp_path / "a.png")


def test_an_image_of_the_right_size_is_not_changed(scene):
    image = scene(32, 32)
    pixels = ImageReader(size=32).read(image)
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels.transpose(1, 2, 0), np.asarray(image))


@pytest.mark.parametrize("size", [(96, 64), (64, 96), (301, 200), (64, 64), (20, 33)])
def test_the_shorter_side_is_resized_and_the_centre_kept(size, scene):
    """Close to torchvision's resize and centre crop, which round the longer side first."""
    image = scene(*size)
    steps = [v2.PILToTensor(), v2.Resize(32, antialias=True), v2.CenterCrop(32)]
    expected = v2.Compose(steps)(image).int()
    pixels = ImageReader(size=32).read(image).astype(int)
    assert np.abs(pixels - expected.numpy()).max() <= 6


@pytest.mark.parametrize("name", ["bilinear", "bicubic", "lanczos"])
def test_interpolation_is_pillows_and_told_to_the_encoder(name, scene):
    reader = ImageReader(size=32, interpolation=name)
    wanted = scene(50, 50).resize((32, 32), PIL.Image.Resampling[name.upper()])
    assert np.array_equal(reader.read(scene(50, 50)).transpose(1, 2, 0), np.asarray(wanted))
    assert reader.spec == ImageSpec(3, 32, name)
    augmented = ImageReader(size=32, interpolation=name, augmentation=Augmentation(scale=(1, 1)))
    assert f"interpolation=InterpolationMode.{name.upper()}" in str(augmented._transform)


def test_a_very_long_image_is_cropped_before_it_is_resized(scene):
    assert ImageReader(size=224).read(scene(8, 4000)).shape == (3, 224, 224)


def test_without_augmentation_training_and_prediction_read_the_same_pixels(path):
    reader = ImageReader(size=24)
    assert not reader.random
    assert np.array_equal(reader.read(path, seeded_generator(1)), reader.read(path))


def test_augmentation_depends_on_the_generator_alone(path):
    reader = ImageReader(size=24, augmentation=AUGMENTED)
    assert reader.random
    assert np.array_equal(
        reader.read(path, seeded_generator(1)), reader.read(path, seeded_generator(1))
    )
    assert not np.array_equal(
        reader.read(path, seeded_generator(1)), reader.read(path, seeded_generator(2))
    )


def test_prediction_is_never_augmented(path):
    assert np.array_equal(
        ImageReader(size=24, augmentation=AUGMENTED).read(path), ImageReader(size=24).read(path)
    )


def test_augmentation_restores_the_global_generator(path):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    ImageReader(size=24, augmentation=AUGMENTED).read(path, seeded_generator(1))
    assert torch.equal(torch.rand(3), expected)


def test_an_augmentation_without_changes_is_the_identity(scene):
    reader = ImageReader(size=24, augmentation=Augmentation(scale=(1, 1), ratio=(1, 1), flip=0))
    image = scene(24, 24)
    assert np.array_equal(reader.read(image, seeded_generator(3)), reader.read(image))


def test_flip_probability_one_mirrors_the_image(scene):
    reader = ImageReader(size=24, augmentation=Augmentation(scale=(1, 1), ratio=(1, 1), flip=1))
    image = scene(24, 24)
    assert np.array_equal(reader.read(image, seeded_generator(3)), reader.read(image)[..., ::-1])


def test_crops_cover_the_share_given_by_scale(scene):
    """A crop a quarter as wide as a ramp from 0 to 255 spans a quarter of its range, anywhere."""
    reader = ImageReader(size=16, augmentation=Augmentation(scale=(1 / 16, 1 / 16), ratio=(1, 1)))
    for seed in range(5):
        red = reader.read(scene(256, 256), seeded_generator(seed))[0].astype(int)
        assert int(red.max() - red.min()) == pytest.approx(64, abs=8)


@pytest.mark.parametrize(
    "settings",
    [
        {"scale": (0.9, 0.5)},
        {"scale": (0.5, 1.5)},
        {"scale": (0, 1)},
        {"ratio": (2, 1)},
        {"flip": 1.5},
        {"hue": 0.6},
        {"brightness": -1},
        {"rotation": 10},
    ],
    ids=str,
)
def test_invalid_augmentation_settings_are_rejected(settings):
    with pytest.raises(ValidationError):
        Augmentation(**settings)


def test_images_have_length_one_and_are_stacked(path, scene):
    reader = ImageReader(size=16)
    assert reader.measure(path) == 1
    assert reader.spec == ImageSpec(3, 16)
    values, lengths = reader.collate([reader.read(path), reader.read(scene())])
    assert values.shape == (2, 3, 16, 16)
    assert lengths.tolist() == [1, 1]
    assert reader.labels(path) == []


def test_measure_and_read_refuse_the_same_image(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8\xff")
    reader = ImageReader()
    for method in (reader.measure, reader.read):
        with pytest.raises(UserError, match=r"a\.jpg"):
            method(str(tmp_path / "a.jpg"))


def test_the_size_limit_is_a_setting(path):
    with pytest.raises(UserError, match=r"at most 0\.001 megapixels"):
        ImageReader(max_megapixels=0.001).measure(path)


@pytest.mark.parametrize("augmentation", [None, AUGMENTED])
def test_a_reader_can_be_pickled(augmentation, path):
    reader = ImageReader(size=24, augmentation=augmentation)
    unpickled = pickle.loads(pickle.dumps(reader))
    assert np.array_equal(
        unpickled.read(path, seeded_generator(1)), reader.read(path, seeded_generator(1))
    )


def test_augmentation_does_not_depend_on_the_rest_of_the_batch(path, scene):
    rows = [Row("a", {"photo": path}), Row("b", {"photo": None}), Row("c", {"photo": path})]
    collate = Collator({"photo": ImageReader(size=24, augmentation=AUGMENTED)}, seed=5)
    together, alone = collate(rows).sources["photo"], collate(rows[2:]).sources["photo"]
    assert together.rows.tolist() == [0, 2]
    assert torch.equal(together.values[1], alone.values[0])
    assert not torch.equal(together.values[0], together.values[1])
    next_epoch = collate(rows, epoch=1).sources["photo"]
    assert not torch.equal(next_epoch.values, together.values)


def test_a_real_photograph_of_the_right_size_is_not_changed(real_corpus):
    path = min(Path(real_corpus("flickr8k") / "images").iterdir())
    with PIL.Image.open(path) as image:
        assert image.size == (224, 224)
        expected = np.asarray(image.convert("RGB"))
    assert np.array_equal(ImageReader().read(str(path)).transpose(1, 2, 0), expected)
