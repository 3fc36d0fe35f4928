"""The encoder: grids of torchvision's networks, weights from files, frozen and trained parts."""

from __future__ import annotations

import pickle

import pytest
import torch
from safetensors.torch import save_file
from torchvision import models

from multiattn import UserError
from multiattn_image import backbone
from multiattn_image.encoder import CNNGrid
from multiattn_image.reader import ImageSpec

torch.set_num_threads(1)
SMALL = ImageSpec(3, 64)


def build_encoder(name="squeezenet1_1", spec=SMALL, **settings) -> CNNGrid:
    torch.manual_seed(0)
    return CNNGrid(spec, **{"backbone": name, "weights": "none", **settings}).eval()


def random_images(count=3, size=64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(256, (count, 3, size, size), dtype=torch.uint8, generator=generator)


def encode(encoder, inputs):
    return encoder(inputs, torch.ones(len(inputs)).long())


# The module of each network whose input is the grid in torchvision's own forward pass.
GRID_CONSUMERS = {
    "alexnet": "avgpool",
    "convnext_tiny": "avgpool",
    "efficientnet_b0": "avgpool",
    "maxvit_t": "classifier",
    "mobilenet_v3_small": "avgpool",
    "regnet_y_400mf": "avgpool",
    "resnet18": "avgpool",
    "squeezenet1_1": "classifier",
    "swin_t": "avgpool",
    "vgg11": "avgpool",
}


@pytest.mark.parametrize("name", GRID_CONSUMERS)
def test_the_grid_is_the_input_of_torchvisions_head(name):
    size = 224 if name in ("maxvit_t", "swin_t") else 64
    torch.manual_seed(0)
    whole = models.get_model(name, weights=None).eval()
    captured = []
    head = whole.get_submodule(GRID_CONSUMERS[name])
    head.register_forward_pre_hook(lambda module, inputs: captured.append(inputs[0]))
    values = torch.rand(1, 3, size, size)
    with torch.no_grad():
        whole(values)
        network = backbone.build_network(name, size).eval()
        network.load_state_dict(whole.state_dict(), strict=False)
        names = backbone.part_names(network)
        grid = backbone.to_grid(network, names[-1], backbone.apply_parts(network, names, values))
    torch.testing.assert_close(grid, captured[0])
    assert backbone.grid_channels(network, names, 3, size) == grid.size(1)


@pytest.mark.parametrize("name", ["shufflenet_v2_x0_5", "mnasnet0_5"])
def test_the_mean_of_the_grid_is_the_classifiers_input(name):
    whole = models.get_model(name, weights=None).eval()
    captured = []
    head = whole.fc if hasattr(whole, "fc") else whole.classifier
    head.register_forward_pre_hook(lambda module, inputs: captured.append(inputs[0]))
    values = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        whole(values)
        network = backbone.build_network(name, 64).eval()
        network.load_state_dict(whole.state_dict(), strict=False)
        grid = backbone.apply_parts(network, backbone.part_names(network), values)
    torch.testing.assert_close(grid.mean((2, 3)), captured[0])


def test_a_vision_transformers_slots_are_its_tokens_without_the_class_token():
    torch.manual_seed(0)
    whole = models.vit_b_16(weights=None, image_size=32).eval()
    captured = []
    whole.encoder.register_forward_hook(lambda module, inputs, output: captured.append(output))
    values = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        whole(values)
        network = backbone.build_network("vit_b_16", 32).eval()
        network.load_state_dict(whole.state_dict(), strict=False)
        names = backbone.part_names(network)
        grid = backbone.to_grid(network, names[-1], backbone.apply_parts(network, names, values))
    torch.testing.assert_close(grid.flatten(2).transpose(1, 2), captured[0][:, 1:])
    assert grid.shape == (1, 768, 2, 2)


def test_slots_are_grid_cells_row_by_row_and_the_summary_is_their_mean():
    encoder = build_encoder(normalisation="none")
    memory = encode(encoder, random_images())
    values = (random_images() / 255 - encoder.mean) / encoder.deviation
    with torch.no_grad():
        grid = encoder.backbone.features(values)
    assert (memory.layout.height, memory.layout.width, memory.layout.kind) == (3, 3, "grid")
    assert memory.mask.all()
    expected = torch.stack([grid[:, :, y, x] for y in range(3) for x in range(3)], 1)
    torch.testing.assert_close(memory.values, expected, rtol=2e-3, atol=1e-3)
    torch.testing.assert_close(memory.summary, memory.values.mean(1))


def test_grid_pools_the_cells_and_projection_dim_sets_the_width():
    memory = encode(build_encoder(grid=2, projection_dim=7), random_images())
    assert memory.values.shape == (3, 4, 7)
    assert (memory.layout.height, memory.layout.width) == (2, 2)
    assert (memory.values >= 0).all()


def test_features_do_not_depend_on_the_rest_of_the_batch():
    encoder = build_encoder()
    together = encoder.features(random_images(5), torch.ones(5))
    alone = [encoder.features(image[None], torch.ones(1)) for image in random_images(5)]
    assert torch.equal(together, torch.cat(alone))
    assert together.dtype == torch.float16


@pytest.mark.parametrize("train_from", [None, "layer4", "layer3"])
def test_forward_from_cached_features_is_forward_to_the_bit(train_from):
    encoder = build_encoder("resnet18", train_from=train_from)
    features = encoder.features(random_images(), torch.ones(3))
    cached = torch.stack([torch.from_numpy(row.numpy().copy()) for row in features])
    memory, expected = encoder.forward_features(cached), encode(encoder, random_images())
    assert torch.equal(memory.values, expected.values)


def test_trainable_parts_get_gradients_and_frozen_statistics_do_not_change():
    encoder = build_encoder("resnet18", train_from="layer4").train()
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    encode(encoder, random_images()).values.square().sum().backward()
    with_gradient = {name for name, tensor in encoder.named_parameters() if tensor.grad is not None}
    assert {name.split(".")[1] for name in with_gradient if "backbone" in name} == {"layer4"}
    after = encoder.state_dict()
    changed = {name for name in after if not torch.equal(after[name], before[name])}
    assert changed
    assert all(name.startswith("backbone.layer4") for name in changed)
    assert encoder.frozen


def test_without_frozen_parts_all_are_trained_and_features_are_not_rounded():
    encoder = build_encoder(train_from="").train()
    encode(encoder, random_images()).values.square().sum().backward()
    assert all(tensor.grad is not None for tensor in encoder.parameters())
    assert not encoder.frozen
    assert encoder.features(random_images(), torch.ones(3)).dtype == torch.float32


def test_parts_after_the_cut_are_removed():
    encoder = build_encoder("vgg11", cut="features.9")
    assert encoder.out_dim == 256
    assert all(int(name.split(".")[2]) <= 9 for name, _ in encoder.backbone.named_parameters("b"))


def test_wrong_settings_are_reported_with_the_alternatives():
    with pytest.raises(UserError, match="did you mean resnet50"):
        build_encoder("resnet5O")
    with pytest.raises(UserError, match="got 'inception_v3'"):
        build_encoder("inception_v3")
    with pytest.raises(UserError, match=r"as cut a part .* got 'layer5'; did you mean layer"):
        build_encoder("resnet18", cut="layer5")
    with pytest.raises(UserError, match="as train_from a part"):
        build_encoder("resnet18", cut="layer2", train_from="layer4")
    with pytest.raises(UserError, match=r"large enough .* got 8 pixels"):
        build_encoder("alexnet", ImageSpec(3, 8))
    with pytest.raises(UserError, match="vit_b_16 is made for, got 65"):
        build_encoder("vit_b_16", ImageSpec(3, 65))


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("wrapped", [False, True])
def test_weights_are_loaded_from_a_file_also_in_half_precision(tmp_path, suffix, wrapped):
    torch.manual_seed(5)
    state = {name: tensor.half() for name, tensor in models.squeezenet1_1().state_dict().items()}
    path = tmp_path / f"weights{suffix}"
    if suffix == ".safetensors":
        save_file(state, path)
    elif wrapped:
        torch.save(
            {"state_dict": {f"module.{name}": tensor for name, tensor in state.items()}}, path
        )
    else:
        torch.save(state, path)
    encoder = build_encoder(weights=path.name)
    assert encoder.start_from(tmp_path) == f"squeezenet1_1 from {path}"
    own = encoder.backbone.state_dict()
    assert own
    assert all(torch.equal(own[name], state[name].float()) for name in own)
    assert build_encoder().start_from(tmp_path) == ""


def test_safetensors_are_detected_by_content(tmp_path):
    state = models.squeezenet1_1().state_dict()
    save_file(state, tmp_path / "weights.bin")
    encoder = build_encoder(weights="weights.bin")
    encoder.start_from(tmp_path)
    assert torch.equal(encoder.backbone.state_dict()["features.0.bias"], state["features.0.bias"])


def test_a_file_of_another_network_is_reported_with_the_differences(tmp_path):
    state = models.squeezenet1_1().state_dict()
    wrong = {**state, "features.0.weight": torch.zeros(96, 3, 7, 7)}
    del wrong["features.3.squeeze.bias"]
    save_file(wrong, tmp_path / "wrong.safetensors")
    with pytest.raises(
        UserError,
        match=r"features.0.weight \(64, 3, 3, 3\), got \(96, 3, 7, 7\); "
        r"features.3.squeeze.bias \(16,\), got none",
    ):
        build_encoder(weights="wrong.safetensors").start_from(tmp_path)


def test_a_file_that_is_missing_damaged_or_could_run_code_is_a_user_error(tmp_path):
    (tmp_path / "short.safetensors").write_bytes(b"no tensors")
    (tmp_path / "short.pth").write_bytes(b"no tensors")
    (tmp_path / "word.pth").write_bytes(b"hello")
    (tmp_path / "code.pth").write_bytes(pickle.dumps(print, protocol=2))
    torch.save({"epoch": 3}, tmp_path / "empty.pth")
    for name, message in {
        "none.pth": "got no such file",
        "short.safetensors": "may be damaged",
        "short.pth": "nothing but tensors|may be damaged",
        "word.pth": "may be damaged",
        "code.pth": "nothing but tensors",
        "empty.pth": "got none; save",
    }.items():
        with pytest.raises(UserError, match=message):
            build_encoder(weights=name).start_from(tmp_path)


def test_a_failed_download_says_what_to_do_without_internet(monkeypatch, tmp_path):
    def refuse(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr("torch.hub.load_state_dict_from_url", refuse)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", refuse)
    for weights in ("imagenet", "IMAGENET1K_V1"):
        with pytest.raises(UserError, match=r"squeezenet1_1-.*no route to host; without internet"):
            build_encoder(weights=weights).start_from(tmp_path)


def test_the_squeezenet_weights_beside_the_corpora_give_a_13_by_13_grid(real_corpus):
    folder = real_corpus("weights")
    encoder = build_encoder(
        "squeezenet1_0", ImageSpec(), weights="weights/squeezenet1_0.safetensors"
    )
    assert encoder.start_from(folder.parent).endswith("squeezenet1_0.safetensors")
    assert encoder.features(random_images(1, 224), torch.ones(1)).shape == (1, 13, 13, 512)
