"""Backbones of timm: features against timm called directly, freezing, levels and weights."""

from __future__ import annotations

import builtins

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch.nn import functional

from multiattn import UserError
from multiattn.data.features.key import feature_dependencies
from multiattn.registry.host import load_host
from multiattn.registry.schema import Named
from multiattn_image import timm_weights
from multiattn_image.encoder import CNNGrid
from multiattn_image.reader import ImageReader, ImageSpec

SPEC = ImageSpec(3, 160)
LITE2 = "timm/tf_efficientnet_lite2"
# The smallest networks of timm, made for tests: convolutions, channels last, tokens, both.
NAMES = ["test_resnet", "test_efficientnet", "test_convnext", "test_mambaout", "test_vit"]
NAMES += ["test_vit_relpos", "test_maxvit"]


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def build_encoder(name, spec=SPEC, **settings) -> CNNGrid:
    torch.manual_seed(0)
    settings = {"weights": "none", "normalisation": "none", **settings}
    return CNNGrid(spec, backbone=f"timm/{name}", **settings).eval()


def random_images(count=2, size=160) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(256, (count, 3, size, size), dtype=torch.uint8, generator=generator)


def timm_network(name, tmp_path, size=160) -> torch.nn.Module:
    """A network made by timm alone, with its weights in ``tmp_path``."""
    torch.manual_seed(3)
    settings = {"img_size": size} if timm.get_pretrained_cfg(name).fixed_input_size else {}
    network = timm.create_model(name, **settings).eval()
    for leaf in network.parameters():  # layer scales start so small that blocks do nothing
        torch.nn.init.normal_(leaf, std=0.2) if leaf.dim() == 1 else None
    save_file(network.state_dict(), tmp_path / "own.safetensors")
    return network


def normalised(name, images):
    config = timm.get_pretrained_cfg(name)
    mean, deviation = (torch.tensor(each).view(3, 1, 1) for each in (config.mean, config.std))
    return (images / 255 - mean) / deviation


def timms_grid(name, network, images):
    with torch.no_grad():
        values = network.forward_features(normalised(name, images))
    if values.dim() == 3:
        values = values[:, network.num_prefix_tokens :].transpose(1, 2).unflatten(2, (10, 10))
    return values.permute(0, 3, 1, 2) if name == "test_mambaout" else values


def memory_of(encoder, images):
    with torch.no_grad():
        return encoder(images, torch.ones(len(images)).long())


def relative_error(got, wanted):
    return ((got - wanted).abs().max() / wanted.abs().max()).item()


@pytest.mark.parametrize("name", NAMES)
def test_the_slots_are_timms_features_whatever_is_in_the_batch(name, tmp_path):
    wanted = timms_grid(name, timm_network(name, tmp_path), random_images(3))
    trained = build_encoder(name, train_from="", weights="own.safetensors")
    trained.start_from(tmp_path)
    memory = memory_of(trained, random_images(3))
    assert relative_error(memory.values, wanted.flatten(2).transpose(1, 2)) < 1e-5
    assert (memory.layout.height, memory.layout.width) == tuple(wanted.shape[2:])
    frozen = build_encoder(name, weights="own.safetensors")
    frozen.start_from(tmp_path)
    features = frozen.features(random_images(3), torch.ones(3))
    assert relative_error(features.float(), wanted.permute(0, 2, 3, 1)) < 1e-3  # float16
    alone = [frozen.features(image[None], torch.ones(1)) for image in random_images(3)]
    assert torch.equal(features, torch.cat(alone))
    assert torch.equal(
        frozen.forward_features(features).values, memory_of(frozen, random_images(3)).values
    )


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_vit", "test_maxvit"])
def test_levels_side_by_side_are_timms_at_the_cells_of_the_first_one(name, tmp_path):
    network = timm_network(name, tmp_path)
    modules = [info["module"] for info in network.feature_info]
    with torch.no_grad():
        images = normalised(name, random_images())
        first, second, third = network.forward_intermediates(
            images, indices=[1, 2, 3], intermediates_only=True
        )
    cells = second.shape[2:]
    wanted = torch.cat(
        [
            second,
            functional.interpolate(third, cells, mode="bilinear", align_corners=False),
            functional.adaptive_avg_pool2d(first, cells),
        ],
        1,
    )
    encoder = build_encoder(name, cut=[2, modules[3], 1], train_from="", weights="own.safetensors")
    encoder.start_from(tmp_path)
    memory = memory_of(encoder, random_images())
    assert relative_error(memory.values, wanted.flatten(2).transpose(1, 2)) < 1e-5
    assert encoder.out_dim == wanted.size(1)


def test_levels_side_by_side_are_normalised_one_by_one():
    encoder = build_encoder("test_resnet", cut=[2, 4], normalisation="slots", train_from="")
    slots = memory_of(encoder, random_images()).values
    for level in slots.split([48, 96], -1):
        torch.testing.assert_close(level.mean(-1), torch.zeros(level.shape[:2]), atol=1e-5, rtol=0)
        assert (level.std(-1) > 0.9).all()


def test_what_the_grid_does_not_need_is_removed_and_all_that_is_left_is_trained():
    for name in NAMES:
        for cut in ("", 1):
            encoder = build_encoder(name, cut=cut, train_from="").train()
            encoder(random_images(), torch.ones(2)).values.square().sum().backward()
            assert all(leaf.grad is not None for leaf in encoder.parameters()), (name, cut)
    assert not [name for name, _ in encoder.backbone.named_parameters() if "head" in name]


@pytest.mark.parametrize(
    ("name", "train_from", "trained"),
    [("test_resnet", "layer3", {"layer3", "layer4"}), ("test_vit", "blocks.4", {"blocks", "norm"})],
)
def test_from_a_part_on_the_backbone_is_trained_and_the_rest_does_not_change(
    name, train_from, trained
):
    encoder = build_encoder(name, train_from=train_from).train()
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    encoder(random_images(), torch.ones(2)).values.square().sum().backward()
    graded = {
        key.split(".")[2] for key, leaf in encoder.named_parameters() if leaf.grad is not None
    }
    assert graded == trained
    changed = {
        key.split(".")[2]
        for key, value in encoder.state_dict().items()
        if not torch.equal(value, before[key])
    }
    assert changed <= trained
    blocks = {
        key.split(".")[3]
        for key, leaf in encoder.named_parameters()
        if leaf.grad is not None and ".blocks." in key
    }
    assert blocks <= {"4", "5"}
    assert not encoder.frozen


def test_frozen_batch_statistics_do_not_change_in_training():
    encoder = build_encoder("test_resnet").train()
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    memory_of(encoder, random_images())
    assert all(torch.equal(value, before[key]) for key, value in encoder.state_dict().items())
    assert encoder.frozen
    assert not any(leaf.requires_grad for leaf in encoder.backbone.parameters())


def test_a_transformer_is_built_for_the_readers_size():
    assert memory_of(
        build_encoder("test_vit", ImageSpec(3, 96)), random_images(1, 96)
    ).values.shape == (1, 36, 64)
    with pytest.raises(UserError, match="a size that timm/test_vit is made for, got 100"):
        build_encoder("test_vit", ImageSpec(3, 100))


def test_weights_of_a_file_are_checked_and_its_classifier_is_ignored(tmp_path):
    state = timm_network("test_resnet", tmp_path).state_dict()
    encoder = build_encoder("test_resnet", weights=str(tmp_path / "own.safetensors"), cut="layer2")
    assert encoder.start_from(tmp_path / "elsewhere").startswith("timm/test_resnet from ")
    own = encoder.backbone.network.state_dict()
    assert own
    assert all(torch.equal(own[key], state[key]) for key in own)
    save_file({**state, "layer1.7.conv1.weight": torch.zeros(1)}, tmp_path / "deeper.safetensors")
    lacking = {key: value for key, value in state.items() if key != "layer2.0.bn1.bias"}
    save_file(lacking, tmp_path / "less.safetensors")
    save_file({**state, "conv1.1.weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    for name, message in {
        "deeper.safetensors": "only weights of timm/test_resnet, got 1 others, such as layer1.7",
        "less.safetensors": r"layer2.0.bn1.bias \(\d+,\), got none",
        "other.safetensors": "such as conv1.1.weight|conv1.1.weight",
        "none.safetensors": "got no such file",
    }.items():
        with pytest.raises(UserError, match=message):
            build_encoder("test_resnet", weights=name).start_from(tmp_path)


def test_a_reader_that_differs_from_what_the_weights_are_made_for_is_told(tmp_path):
    timm_network("test_resnet", tmp_path)
    told = build_encoder(
        "test_resnet", ImageSpec(3, 96, "bicubic"), weights="own.safetensors"
    ).start_from(tmp_path)
    assert told.endswith(
        "(made for 160 pixels a side resized by bilinear; the reader gives 96 by bicubic)"
    )
    assert "made for" not in build_encoder("test_resnet", weights="own.safetensors").start_from(
        tmp_path
    )


def test_without_the_hub_a_sentence_says_so_at_once(monkeypatch, tmp_path):
    def refuse(*args, **kwargs):
        if not kwargs.get("local_files_only"):
            assert args == ("timm/test_resnet.r160_in1k",)
        raise FileNotFoundError("no such name\nand more")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", refuse)
    monkeypatch.setattr("huggingface_hub.model_info", refuse)
    for weights in ("timm", "imagenet"):
        with pytest.raises(
            UserError, match=r"r160_in1k from the .* no such name; without internet"
        ):
            build_encoder("test_resnet", weights=weights).start_from(tmp_path)


@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
def test_weights_from_the_hub_are_those_that_timm_loads(name, monkeypatch, tmp_path):
    state = timm_network(name, tmp_path).state_dict()
    asked = []

    def cached(repository, file, **kwargs):
        asked.append((repository, file, kwargs["local_files_only"]))
        return str(tmp_path / "own.safetensors")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", cached)
    encoder = build_encoder(name, weights="timm")
    assert f"timm's timm/{name}.r160_in1k" in encoder.start_from(tmp_path)
    own = encoder.backbone.network.state_dict()
    assert all(torch.equal(own[key], state[key]) for key in own)
    assert asked == [(f"timm/{name}.r160_in1k", "model.safetensors", True)]


def test_wrong_settings_are_reported_with_the_alternatives(monkeypatch):
    wrong = {
        "did you mean timm/test_resnet": {"name": "test_resnett"},
        "timm.list_models": {"name": "??"},
        "did you mean timm/test_resnet.r160_in1k": {"name": "test_resnet.r160_in2k"},
        r"different levels of timm/test_resnet, got \[7\]; .* 4 \(layer4\)": {"cut": 7},
        r"got \['layer9'\]": {"cut": "layer9"},
        r"got \[1, 1\]": {"cut": [1, 1]},
        r"got \[\]": {"cut": []},
        "as train_from a part of timm/test_resnet, got 'layer5'; did you mean": {
            "train_from": "layer5"
        },
        "got 'layer4'": {"train_from": "layer4", "cut": "layer2"},
    }
    for message, settings in wrong.items():
        with pytest.raises(UserError, match=message):
            build_encoder(**{"name": "test_resnet", **settings})
    for cut in (2, ["layer1", "layer2"]):
        with pytest.raises(UserError, match="need a backbone of timm"):
            CNNGrid(SPEC, backbone="resnet18", cut=cut)
    own_import = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name == "timm":
            raise ImportError("No module named 'timm'")
        return own_import(name, *args, **kwargs)

    monkeypatch.setattr("builtins.__import__", refuse)
    with pytest.raises(UserError, match=r"pip install 'multiattn-image\[timm\]'"):
        build_encoder("test_resnet")


def test_cached_features_depend_on_timms_version_for_its_backbones_alone(monkeypatch):
    host = load_host()

    def key(backbone):
        settings = {"backbone": backbone, "weights": "none", "cut": "layer1"}
        named, reader = Named(name="cnn-grid", **settings), Named(name="image")
        torch.manual_seed(0)
        encoder = host.build("encoder", named, SPEC)
        return feature_dependencies(named, encoder, reader, ImageReader(), host)

    before = key("timm/test_resnet"), key("resnet18")
    monkeypatch.setattr("multiattn_image.encoder.timm_version", lambda: "9.0")
    assert key("timm/test_resnet") != before[0]
    assert key("resnet18") == before[1]
    assert "timm" not in before[1]["versions"]


def test_levels_are_read_from_a_recipe_as_numbers_or_names():
    host = load_host()
    settings = {"name": "cnn-grid", "backbone": "timm/test_resnet", "cut": [2, "layer4"]}
    encoder = host.build("encoder", Named.model_validate(settings), SPEC)
    assert encoder.out_dim == 48 + 96
    (mistake,) = host.mistakes("encoder", Named(name="cnn-grid", cut=-1), "place")
    assert "cut" in mistake.key


def test_the_lite2_weights_beside_the_corpora_give_timms_features(real_corpus):
    folder = real_corpus("weights")
    spec = ImageSpec(3, 260, "bicubic")
    encoder = build_encoder(
        LITE2.removeprefix("timm/"), spec, weights="weights/tf_efficientnet_lite2.safetensors"
    )
    assert encoder.start_from(folder.parent).endswith("lite2.safetensors")
    network = timm.create_model("tf_efficientnet_lite2").eval()
    path = folder / "tf_efficientnet_lite2.safetensors"
    state = timm_weights.read_state_dict(path)
    missing, unexpected = network.load_state_dict(state, strict=False)
    assert not unexpected
    assert all(key.startswith("classifier") for key in missing if "num_batches" not in key)
    images = random_images(1, 260)
    with torch.no_grad():
        wanted = network.forward_features((images / 255 - 0.5) / 0.5)
        grid = encoder.backbone((images / 255 - 0.5) / 0.5)
    assert relative_error(grid, wanted) < 1e-5
    assert encoder.features(images, torch.ones(1)).shape == (1, 9, 9, 1280)
