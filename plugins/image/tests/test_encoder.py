"""Any network of torchvision's as a grid: its numbers, its weights from files, what is frozen."""

from __future__ import annotations

import pickle

import pytest
import torch
from safetensors.torch import save_file
from torchvision import models

from multiattn.errors import UserError
from multiattn_image import backbone as parts
from multiattn_image.encoder import CNNGrid
from multiattn_image.reader import ImageSpec

torch.set_num_threads(1)
SMALL = ImageSpec(3, 64)


def encoder_of(name="squeezenet1_1", spec=SMALL, **settings) -> CNNGrid:
    torch.manual_seed(0)
    return CNNGrid(spec, **{"backbone": name, "weights": "none", **settings}).eval()


def pictures(count=3, size=64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(256, (count, 3, size, size), dtype=torch.uint8, generator=generator)


def encoded(encoder, inputs):
    return encoder(inputs, torch.ones(len(inputs)).long())


# Where torchvision's own forward has the grid: the input of this module, channels first.
FAMILIES = {
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


@pytest.mark.parametrize("name", FAMILIES)
def test_the_grid_is_what_torchvision_computes_before_its_head(name):
    size = 224 if name in ("maxvit_t", "swin_t") else 64
    torch.manual_seed(0)
    whole = models.get_model(name, weights=None).eval()
    seen = []
    head = whole.get_submodule(FAMILIES[name])
    head.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    values = torch.rand(1, 3, size, size)
    with torch.no_grad():
        whole(values)
        network = parts.build_network(name, size).eval()
        network.load_state_dict(whole.state_dict(), strict=False)
        names = parts.part_names(network)
        grid = parts.as_grid(network, names[-1], parts.apply(network, names, values))
    torch.testing.assert_close(grid, seen[0])
    assert parts.grid_width(network, names, 3, size) == grid.size(1)


@pytest.mark.parametrize("name", ["shufflenet_v2_x0_5", "mnasnet0_5"])
def test_a_grid_whose_mean_is_classified_is_that_grid(name):
    whole = models.get_model(name, weights=None).eval()
    seen = []
    head = whole.fc if hasattr(whole, "fc") else whole.classifier
    head.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    values = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        whole(values)
        network = parts.build_network(name, 64).eval()
        network.load_state_dict(whole.state_dict(), strict=False)
        grid = parts.apply(network, parts.part_names(network), values)
    torch.testing.assert_close(grid.mean((2, 3)), seen[0])


def test_a_vision_transformers_slots_are_its_tokens_without_the_first():
    torch.manual_seed(0)
    whole = models.vit_b_16(weights=None, image_size=32).eval()
    seen = []
    whole.encoder.register_forward_hook(lambda module, given, found: seen.append(found))
    values = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        whole(values)
        network = parts.build_network("vit_b_16", 32).eval()
        network.load_state_dict(whole.state_dict(), strict=False)
        names = parts.part_names(network)
        grid = parts.as_grid(network, names[-1], parts.apply(network, names, values))
    torch.testing.assert_close(grid.flatten(2).transpose(1, 2), seen[0][:, 1:])
    assert grid.shape == (1, 768, 2, 2)


def test_slots_are_the_cells_row_by_row_and_the_summary_their_mean():
    encoder = encoder_of(normalisation="none")
    memory = encoded(encoder, pictures())
    values = (pictures() / 255 - encoder.mean) / encoder.deviation
    with torch.no_grad():
        grid = encoder.backbone.features(values)
    assert (memory.layout.height, memory.layout.width, memory.layout.kind) == (3, 3, "grid")
    assert memory.mask.all()
    expected = torch.stack([grid[:, :, y, x] for y in range(3) for x in range(3)], 1)
    torch.testing.assert_close(memory.values, expected, rtol=2e-3, atol=1e-3)
    torch.testing.assert_close(memory.summary, memory.values.mean(1))


def test_a_grid_of_another_size_is_averaged_and_a_projection_changes_the_width():
    memory = encoded(encoder_of(grid=2, projection_dim=7), pictures())
    assert memory.values.shape == (3, 4, 7)
    assert (memory.layout.height, memory.layout.width) == (2, 2)
    assert (memory.values >= 0).all()


def test_features_depend_on_no_neighbour_to_the_bit():
    encoder = encoder_of()
    together = encoder.features(pictures(5), torch.ones(5))
    alone = [encoder.features(one[None], torch.ones(1)) for one in pictures(5)]
    assert torch.equal(together, torch.cat(alone))
    assert together.dtype == torch.float16


@pytest.mark.parametrize("train_from", [None, "layer4", "layer3"])
def test_forward_is_its_two_halves_to_the_bit_whatever_is_kept_of_the_first(train_from):
    encoder = encoder_of("resnet18", train_from=train_from)
    features = encoder.features(pictures(), torch.ones(3))
    kept = torch.stack([torch.from_numpy(row.numpy().copy()) for row in features])
    found, expected = encoder.forward_features(kept), encoded(encoder, pictures())
    assert torch.equal(found.values, expected.values)


def test_what_learns_learns_and_frozen_statistics_stay():
    encoder = encoder_of("resnet18", train_from="layer4").train()
    before = {name: leaf.clone() for name, leaf in encoder.state_dict().items()}
    encoded(encoder, pictures()).values.square().sum().backward()
    learning = {name for name, leaf in encoder.named_parameters() if leaf.grad is not None}
    assert {name.split(".")[1] for name in learning if "backbone" in name} == {"layer4"}
    after = encoder.state_dict()
    changed = {name for name in after if not torch.equal(after[name], before[name])}
    assert changed
    assert all(name.startswith("backbone.layer4") for name in changed)
    assert encoder.frozen


def test_without_anything_frozen_all_of_it_learns_and_nothing_is_rounded():
    encoder = encoder_of(train_from="").train()
    encoded(encoder, pictures()).values.square().sum().backward()
    assert all(leaf.grad is not None for leaf in encoder.parameters())
    assert not encoder.frozen
    assert encoder.features(pictures(), torch.ones(3)).dtype == torch.float32


def test_a_cut_backbone_has_no_later_parts():
    encoder = encoder_of("vgg11", cut="features.9")
    assert encoder.out_dim == 256
    assert all(int(name.split(".")[2]) <= 9 for name, _ in encoder.backbone.named_parameters("b"))


def test_mistakes_name_what_there_is():
    with pytest.raises(UserError, match="did you mean resnet50"):
        encoder_of("resnet5O")
    with pytest.raises(UserError, match="got 'inception_v3'"):
        encoder_of("inception_v3")
    with pytest.raises(UserError, match=r"as cut a part .* got 'layer5'; did you mean layer"):
        encoder_of("resnet18", cut="layer5")
    with pytest.raises(UserError, match="as train_from a part"):
        encoder_of("resnet18", cut="layer2", train_from="layer4")
    with pytest.raises(UserError, match=r"large enough .* got 8 pixels"):
        encoder_of("alexnet", ImageSpec(3, 8))
    with pytest.raises(UserError, match="vit_b_16 is made for, got 65"):
        encoder_of("vit_b_16", ImageSpec(3, 65))


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("wrapped", [False, True])
def test_weights_come_from_a_file_in_half_precision_too(tmp_path, suffix, wrapped):
    torch.manual_seed(5)
    state = {name: leaf.half() for name, leaf in models.squeezenet1_1().state_dict().items()}
    path = tmp_path / f"weights{suffix}"
    if suffix == ".safetensors":
        save_file(state, path)
    elif wrapped:
        torch.save({"state_dict": {f"module.{name}": leaf for name, leaf in state.items()}}, path)
    else:
        torch.save(state, path)
    encoder = encoder_of(weights=path.name)
    assert encoder.start_from(tmp_path) == f"squeezenet1_1 from {path}"
    own = encoder.backbone.state_dict()
    assert own
    assert all(torch.equal(own[name], state[name].float()) for name in own)
    assert encoder_of().start_from(tmp_path) == ""


def test_safetensors_are_known_by_what_is_in_the_file(tmp_path):
    state = models.squeezenet1_1().state_dict()
    save_file(state, tmp_path / "weights.bin")
    encoder = encoder_of(weights="weights.bin")
    encoder.start_from(tmp_path)
    assert torch.equal(encoder.backbone.state_dict()["features.0.bias"], state["features.0.bias"])


def test_a_file_of_another_network_is_named_with_what_differs(tmp_path):
    state = models.squeezenet1_1().state_dict()
    wrong = {**state, "features.0.weight": torch.zeros(96, 3, 7, 7)}
    del wrong["features.3.squeeze.bias"]
    save_file(wrong, tmp_path / "wrong.safetensors")
    with pytest.raises(
        UserError,
        match=r"features.0.weight \(64, 3, 3, 3\), got \(96, 3, 7, 7\); "
        r"features.3.squeeze.bias \(16,\), got none",
    ):
        encoder_of(weights="wrong.safetensors").start_from(tmp_path)


def test_a_file_that_is_missing_damaged_or_could_run_code_is_a_sentence(tmp_path):
    (tmp_path / "short.safetensors").write_bytes(b"no tensors")
    (tmp_path / "short.pth").write_bytes(b"no tensors")
    (tmp_path / "word.pth").write_bytes(b"hello")
    (tmp_path / "code.pth").write_bytes(pickle.dumps(print, protocol=2))
    torch.save({"epoch": 3}, tmp_path / "empty.pth")
    for name, sentence in {
        "none.pth": "found no file",
        "short.safetensors": "may be damaged",
        "short.pth": "nothing but tensors|may be damaged",
        "word.pth": "may be damaged",
        "code.pth": "nothing but tensors",
        "empty.pth": "got none; save",
    }.items():
        with pytest.raises(UserError, match=sentence):
            encoder_of(weights=name).start_from(tmp_path)


def test_a_download_that_fails_says_what_to_do_without_internet(monkeypatch, tmp_path):
    def refuse(*given, **settings):
        raise OSError("no route to host")

    monkeypatch.setattr("torch.hub.load_state_dict_from_url", refuse)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", refuse)
    for weights in ("imagenet", "IMAGENET1K_V1"):
        with pytest.raises(UserError, match=r"squeezenet1_1-.*no route to host; where there is no"):
            encoder_of(weights=weights).start_from(tmp_path)


def test_the_squeezenet_that_comes_with_the_corpora_gives_a_grid_of_13_by_13(real_corpus):
    folder = real_corpus("weights")
    encoder = encoder_of("squeezenet1_0", ImageSpec(), weights="weights/squeezenet1_0.safetensors")
    assert encoder.start_from(folder.parent).endswith("squeezenet1_0.safetensors")
    assert encoder.features(pictures(1, 224), torch.ones(1)).shape == (1, 13, 13, 512)
