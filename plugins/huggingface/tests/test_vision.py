"""Images: memories against the library called directly, and the features of a frozen model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers

from multiattn import UserError, load_host
from multiattn.protocols import FeatureEncoder
from multiattn.registry.schema import Named
from multiattn_huggingface.media_readers import VisionReader
from multiattn_huggingface.vision_encoder import VisionEncoder

pytest.importorskip("multiattn_image")

TRANSFORMERS = {"vit": 1, "deit": 2, "clip": 1, "dinov2": 1}
CONVOLUTIONAL = ("resnet", "convnext", "convnextv2")
FAMILIES = (*TRANSFORMERS, *CONVOLUTIONAL)
HALF = {"atol": 2e-3, "rtol": 1e-3}  # features are float16
MEAN, DEVIATION = (torch.tensor(each).view(3, 1, 1) for each in ((0.5, 0.4, 0.3), (0.2, 0.3, 0.4)))


def reader_of(folder, **settings):
    reader = VisionReader(model=str(folder), **settings)
    reader.fit([], None)
    return reader


def encoder_of(folder, **settings):
    encoder = VisionEncoder(reader_of(folder).spec, **settings)
    encoder.start_from(Path())
    return encoder.eval()


def images(count=3, side=16):
    torch.manual_seed(0)
    pixels = torch.randint(256, (count, 3, side, side), dtype=torch.uint8)
    return pixels, torch.ones(count).long()


def library(folder, family):
    chosen = transformers.CLIPVisionModel if family == "clip" else transformers.AutoModel
    return chosen.from_pretrained(folder).eval()


@torch.no_grad()
@pytest.mark.parametrize("family", FAMILIES)
def test_the_grid_is_the_librarys(saved, family):
    folder, (pixels, lengths) = saved(family), images()
    normalised = (pixels / 255 - MEAN) / DEVIATION
    output = library(folder, family)(normalised, output_hidden_states=True)
    encoder = encoder_of(folder)
    if family in TRANSFORMERS:
        slots, summary = output.last_hidden_state[:, TRANSFORMERS[family] :], None
        summary = output.last_hidden_state[:, 0]
    else:
        slots = output.last_hidden_state.flatten(2).transpose(1, 2)
        summary = slots.mean(1)
    trained = encoder_of(folder, train_from=0)  # in float32
    for each, tolerance in ((encoder, HALF), (trained, {"atol": 1e-5, "rtol": 0})):
        memory = each(pixels, lengths)
        assert memory.layout.height * memory.layout.width == memory.values.size(1)
        torch.testing.assert_close(memory.values, slots, **tolerance)
        torch.testing.assert_close(memory.summary, summary, **tolerance)
        assert memory.values.size(2) == each.out_dim


@torch.no_grad()
@pytest.mark.parametrize("family", FAMILIES)
def test_each_layer_can_be_used(saved, family):
    folder, (pixels, lengths) = saved(family), images()
    normalised = (pixels / 255 - MEAN) / DEVIATION
    states = library(folder, family)(normalised, output_hidden_states=True).hidden_states
    for layer in (0, 1):
        memory = encoder_of(folder, layer=layer, train_from=0)(pixels, lengths)
        wanted = states[layer]
        if family in TRANSFORMERS:
            wanted = wanted[:, TRANSFORMERS[family] :]
        else:
            wanted = wanted.flatten(2).transpose(1, 2)
        torch.testing.assert_close(memory.values, wanted, atol=1e-5, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("family", FAMILIES)
def test_the_features_of_an_image_are_the_same_in_any_batch(saved, family):
    encoder, (pixels, lengths) = encoder_of(saved(family)), images()
    assert isinstance(encoder, FeatureEncoder)
    assert encoder.frozen
    together = encoder.features(pixels, lengths)
    assert together.dtype == torch.float16
    for row in range(len(pixels)):
        assert torch.equal(encoder.features(pixels[[row]], lengths[[row]])[0], together[row])
    memory = encoder.forward_features(together)
    assert torch.equal(memory.values, encoder(pixels, lengths).values)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_trains_from_a_layer_on(saved, family):
    encoder = encoder_of(saved(family), train_from=2).train()
    assert not encoder.frozen
    memory = encoder(*images())
    (memory.values.square().sum() + memory.summary.sum()).backward()
    learning = {name for name, leaf in encoder.named_parameters() if leaf.requires_grad}
    assert {name for name, leaf in encoder.named_parameters() if leaf.grad is not None} == learning
    assert learning
    assert not any("embed" in name for name in learning)


def test_a_weighted_sum_learns_from_cached_features(saved):
    encoder = encoder_of(saved("vit"), layer="all")
    features = encoder.features(*images())
    assert features.shape == (3, 4, 17, 16)
    encoder.forward_features(features).values.square().sum().backward()
    assert encoder.layer_weights.grad.abs().sum() > 0
    with pytest.raises(UserError, match="stages of resnet have different widths"):
        encoder_of(saved("resnet"), layer="all")


@torch.no_grad()
def test_a_file_is_read_at_the_models_size(saved, tmp_path):
    import PIL.Image

    path = tmp_path / "a.png"
    PIL.Image.new("RGB", (40, 30), (250, 10, 60)).save(path)
    reader = reader_of(saved("vit"))
    inputs, lengths = reader.collate([reader.read(str(path))])
    assert inputs.shape == (1, 3, 16, 16)
    assert encoder_of(saved("vit"))(inputs, lengths).mask.sum() == 16
    assert reader.measure(str(path)) == 1
    assert reader.labels(str(path)) == []
    (tmp_path / "kept").mkdir()
    reader.save(tmp_path / "kept")
    again = VisionReader(model="gone")
    again.load(tmp_path / "kept", None)
    assert again.spec.processor == reader.spec.processor


def test_images_of_a_size_that_the_model_is_not_made_for_are_refused(saved):
    named = {"name": "hf-vision", "model": str(saved("vit")), "of": {"name": "image", "size": 32}}
    reader = load_host().build("reader", Named.model_validate(named))
    reader.fit([], None)
    with pytest.raises(UserError, match=r"images of 16 pixels a side.*got 32"):
        VisionEncoder(reader.spec)


def test_dinov2_takes_any_multiple_of_its_patches(saved):
    named = {
        "name": "hf-vision",
        "model": str(saved("dinov2")),
        "of": {"name": "image", "size": 24},
    }
    reader = load_host().build("reader", Named.model_validate(named))
    reader.fit([], None)
    memory = VisionEncoder(reader.spec).eval()(*images(side=24))
    assert (memory.layout.height, memory.layout.width) == (6, 6)
