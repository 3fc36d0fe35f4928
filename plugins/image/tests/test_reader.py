"""The image reader: one square of pixels, the same in training and prediction unless augmented."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from pydantic import ValidationError
from torchvision.transforms import v2

from multiattn.data.collation import Collator
from multiattn.data.rows import Row
from multiattn.errors import UserError
from multiattn_image.augmentation import Augmentation
from multiattn_image.reader import Image, ImageSpec

AUGMENTED = Augmentation(brightness=0.3, contrast=0.3, saturation=0.3, hue=0.1)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def path(scene, tmp_path):
    scene(60, 40).save(tmp_path / "a.png")
    return str(tmp_path / "a.png")


def test_a_picture_of_the_right_size_is_kept_to_the_bit(scene):
    image = scene(32, 32)
    read = Image(size=32).read(image)
    assert read.dtype == torch.uint8
    assert np.array_equal(read.permute(1, 2, 0).numpy(), np.asarray(image))


@pytest.mark.parametrize("size", [(96, 64), (64, 96), (301, 200), (64, 64), (20, 33)])
def test_the_shorter_side_is_resized_and_the_middle_kept(size, scene):
    """As torchvision's resize and centre crop, which round the longer side to pixels first."""
    image = scene(*size)
    steps = [v2.PILToTensor(), v2.Resize(32, antialias=True), v2.CenterCrop(32)]
    wanted = v2.Compose(steps)(image).int()
    assert (Image(size=32).read(image).int() - wanted).abs().max() <= 6


def test_a_very_long_picture_is_no_more_work_than_its_middle(scene):
    assert Image(size=224).read(scene(8, 4000)).shape == (3, 224, 224)


def test_without_augmentation_training_sees_what_prediction_sees(path):
    reader = Image(size=24)
    assert not reader.random
    assert torch.equal(reader.read(path, seeded(1)), reader.read(path))


def test_augmentation_is_a_function_of_the_generator(path):
    reader = Image(size=24, augmentation=AUGMENTED)
    assert reader.random
    assert torch.equal(reader.read(path, seeded(1)), reader.read(path, seeded(1)))
    assert not torch.equal(reader.read(path, seeded(1)), reader.read(path, seeded(2)))


def test_augmentation_is_for_training_only(path):
    assert torch.equal(Image(size=24, augmentation=AUGMENTED).read(path), Image(size=24).read(path))


def test_augmentation_leaves_the_global_generator_where_it_was(path):
    torch.manual_seed(7)
    wanted = torch.rand(3)
    torch.manual_seed(7)
    Image(size=24, augmentation=AUGMENTED).read(path, seeded(1))
    assert torch.equal(torch.rand(3), wanted)


def test_an_augmentation_that_changes_nothing_changes_nothing(scene):
    reader = Image(size=24, augmentation=Augmentation(scale=(1, 1), ratio=(1, 1), flip=0))
    image = scene(24, 24)
    assert torch.equal(reader.read(image, seeded(3)), reader.read(image))


def test_a_certain_flip_is_a_mirror(scene):
    reader = Image(size=24, augmentation=Augmentation(scale=(1, 1), ratio=(1, 1), flip=1))
    image = scene(24, 24)
    assert torch.equal(reader.read(image, seeded(3)), reader.read(image).flip(2))


def test_crops_cover_the_share_they_are_told(scene):
    """A quarter of a ramp from 0 to 255 spans a quarter of the way, wherever it lies."""
    reader = Image(size=16, augmentation=Augmentation(scale=(1 / 16, 1 / 16), ratio=(1, 1)))
    for seed in range(5):
        red = reader.read(scene(256, 256), seeded(seed))[0].int()
        assert int(red.max() - red.min()) == pytest.approx(64, abs=8)


@pytest.mark.parametrize(
    "wrong",
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
def test_an_augmentation_that_makes_no_sense_is_a_mistake(wrong):
    with pytest.raises(ValidationError):
        Augmentation(**wrong)


def test_pictures_are_counted_one_each_and_stacked(path, scene):
    reader = Image(size=16)
    assert reader.measure(path) == 1
    assert reader.spec == ImageSpec(3, 16)
    values, lengths = reader.collate([reader.read(path), reader.read(scene())])
    assert values.shape == (2, 3, 16, 16)
    assert lengths.tolist() == [1, 1]
    assert reader.labels(path) == []


def test_a_refused_picture_is_refused_by_measure_and_by_read(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8\xff")
    reader = Image()
    for ask in (reader.measure, reader.read):
        with pytest.raises(UserError, match=r"a\.jpg"):
            ask(str(tmp_path / "a.jpg"))


def test_the_readers_limit_is_a_setting(path):
    with pytest.raises(UserError, match=r"at most 0\.001 megapixels"):
        Image(max_megapixels=0.001).measure(path)


@pytest.mark.parametrize("augmentation", [None, AUGMENTED])
def test_a_reader_goes_to_other_processes(augmentation, path):
    reader = Image(size=24, augmentation=augmentation)
    again = pickle.loads(pickle.dumps(reader))
    assert torch.equal(again.read(path, seeded(1)), reader.read(path, seeded(1)))


def test_a_batch_is_the_same_whoever_is_in_it(path, scene):
    rows = [Row("a", {"photo": path}), Row("b", {"photo": None}), Row("c", {"photo": path})]
    collate = Collator({"photo": Image(size=24, augmentation=AUGMENTED)}, seed=5)
    together, alone = collate(rows).sources["photo"], collate(rows[2:]).sources["photo"]
    assert together.rows.tolist() == [0, 2]
    assert torch.equal(together.values[1], alone.values[0])
    assert not torch.equal(together.values[0], together.values[1])
    later = collate(rows, epoch=1).sources["photo"]
    assert not torch.equal(later.values, together.values)


def test_a_real_photograph_is_read_to_the_bit_as_it_lies_there(real_corpus):
    path = min(Path(real_corpus("flickr8k") / "images").iterdir())
    with PIL.Image.open(path) as image:
        assert image.size == (224, 224)
        wanted = np.asarray(image.convert("RGB"))
    assert np.array_equal(Image().read(str(path)).permute(1, 2, 0).numpy(), wanted)
