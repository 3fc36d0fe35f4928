"""Encoders, decoder and heads as one module; weights that survive being written and read."""

from __future__ import annotations

import itertools
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors import safe_open
from torch import Tensor, nn

from multiattn.engine.attention import Additive
from multiattn.engine.batch import Batch, Inputs
from multiattn.engine.decoder import LSTMDecoder
from multiattn.engine.fusion import Concat, Gate, Hierarchical
from multiattn.engine.layouts import Tokens
from multiattn.engine.memory import Memory, MemorySpec, length_mask
from multiattn.engine.model import Model
from multiattn.engine.output_layer import Copy, Deep, Linear
from multiattn.errors import UserError
from multiattn.recipe.settings import RecipeSettings
from multiattn.runs.system import build_model
from multiattn.training.ctc_objective import CTC
from multiattn.training.objectives import CrossEntropy
from multiattn.training.weights import load_weights, save_weights

pytestmark = pytest.mark.usefixtures("double")

VOCABULARY = 9
FUSIONS = {
    "concat": Concat,
    "hierarchical": partial(Hierarchical, dim=5),
    "gate": partial(Gate, dim=5),
}
OUTPUTS = {
    "linear": Linear,
    "tied": partial(Linear, tied=True),
    "copy": partial(Copy, of=partial(Deep, tied=True)),
}


class Words(nn.Module):
    """A stand-in for an encoder: embeds ids (B, L), hands them on as symbols, sums them up."""

    def __init__(self, input_spec: int, *, dim: int = 6) -> None:
        super().__init__()
        self.out_dim = self.summary_dim = dim
        self.embedding = nn.Embedding(input_spec, dim)

    def forward(self, inputs: Tensor, lengths: Tensor) -> Memory:
        mask = length_mask(lengths, inputs.size(1))
        values = self.embedding(inputs) * mask.unsqueeze(-1)
        return Memory(values, mask, Tokens(), values.sum(1), inputs.masked_fill(~mask, -1))


def build(fusion="concat", output="copy", hidden_dim=6) -> Model:
    encoders = {"german": Words(VOCABULARY), "dutch": Words(VOCABULARY, dim=4)}
    specs = {
        name: MemorySpec(encoder.out_dim, encoder.out_dim) for name, encoder in encoders.items()
    }
    decoder = LSTMDecoder(
        VOCABULARY,
        specs,
        embedding_dim=5,
        hidden_dim=hidden_dim,
        attention=partial(Additive, dim=5),
        fusion=FUSIONS[fusion],
        output=OUTPUTS[output],
    )
    return Model(encoders, decoder, {"ctc-german": nn.Linear(6, VOCABULARY)})


def inputs_of(sentences: dict[int, list[int]]) -> Inputs:
    """Words of the examples that have the source, by their row in the batch."""
    lengths = torch.tensor([len(words) for words in sentences.values()])
    values = nn.utils.rnn.pad_sequence([torch.tensor(words) for words in sentences.values()], True)
    return Inputs(values, lengths, torch.tensor(list(sentences)))


SOURCES = {
    "german": {0: [4, 5, 4], 1: [6, 5, 7, 7, 4], 3: [7, 8, 8]},
    "dutch": {0: [5, 5], 2: [8, 4, 6]},
}
SENTENCES = ([4, 5], [6, 7, 8, 4], [8], [4, 4])


@pytest.fixture
def batch(targets_of) -> Batch:
    """Both sources, German alone, Dutch alone, German alone."""
    sources = {name: inputs_of(sentences) for name, sentences in SOURCES.items()}
    return Batch(("both", "german", "dutch", "more german"), sources, targets_of(*SENTENCES))


def test_memories_lie_in_the_rows_of_the_examples_that_have_the_source(batch):
    model = build()
    memories = model.encode(batch.sources, batch.size)
    for name, sentences in SOURCES.items():
        for row in range(4):
            values = memories[name].values[row, memories[name].mask[row]]
            if row in sentences:
                expected = model.encoders[name].embedding(torch.tensor(sentences[row]))
                assert torch.equal(values, expected)
            else:
                assert len(values) == 0
                assert not memories[name].values[row].any()
                assert not memories[name].summary[row].any()


def test_a_source_that_nobody_has_is_a_masked_memory_of_the_right_width(batch):
    memories = build().encode({"german": batch.sources["german"]}, 4)
    assert memories["dutch"].values.shape[::2] == (4, 4)
    assert memories["dutch"].summary.shape == (4, 4)
    assert not memories["dutch"].mask.any()
    assert not memories["dutch"].values.any()


@pytest.mark.parametrize(("fusion", "output"), list(itertools.product(FUSIONS, OUTPUTS)), ids=str)
@torch.no_grad()
def test_an_output_never_depends_on_what_else_is_in_the_batch(fusion, output, batch, targets_of):
    model = build(fusion, output)
    _, together = model(batch, keep=("weights",))
    for row, words in enumerate(SENTENCES):
        sources = {
            name: inputs_of({0: sentences[row]})
            for name, sentences in SOURCES.items()
            if row in sentences
        }
        _, alone = model(Batch((batch.ids[row],), sources, targets_of(words)), keep=("weights",))
        torch.testing.assert_close(
            torch.log_softmax(alone.scores, -1),
            torch.log_softmax(together.scores[together.rows == row], -1),
            rtol=1e-9,
            atol=1e-11,
        )


def test_every_parameter_of_a_model_gets_a_gradient(batch):
    model = build()
    memories, output = model(batch)
    total, _ = CrossEntropy().loss(model, batch, memories, output)
    alignment, _ = CTC(source="german").loss(model, batch, memories, output)
    (total + alignment).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


def test_a_model_learns_one_batch_by_heart(batch):
    model = build(output="tied", hidden_dim=16)
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    for _ in range(100):
        memories, output = model(batch)
        total, count = CrossEntropy().loss(model, batch, memories, output)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    assert total / count < 0.01
    assert torch.equal(output.scores.argmax(-1), batch.targets.tokens[output.rows, output.steps])


def test_a_recipe_names_what_a_model_is_built_from():
    parts = {
        ("encoder", "words"): Words,
        ("decoder", "lstm"): LSTMDecoder,
        ("objective", "cross-entropy"): CrossEntropy,
        ("objective", "ctc"): CTC,
    }
    host = SimpleNamespace(
        build=lambda kind, named, *supplied: parts[kind, named.name](*supplied, **named.settings)
    )
    source = {"field": "de", "reader": "text"}
    settings = RecipeSettings.model_validate(
        {
            "corpus": {"name": "parallel"},
            "sources": {
                "german": {**source, "encoder": {"name": "words", "dim": 3}},
                "dutch": {**source, "encoder": "words"},
            },
            "target": {"field": "en"},
            "decoder": {"name": "lstm", "hidden_dim": 7},
            "objectives": ["cross-entropy", {"name": "ctc", "weight": 0.3, "source": "dutch"}],
        }
    )
    model, objectives = build_model(settings, host, {"german": 11, "dutch": 12}, VOCABULARY)
    assert model.encoders["german"].embedding.weight.shape == (11, 3)
    assert model.encoders["dutch"].embedding.weight.shape == (12, 6)
    assert model.decoder.vocabulary_size == VOCABULARY
    assert model.decoder.initial_state.bridge.in_features == 3 + 6
    assert model.heads["ctc-dutch"].weight.shape == (VOCABULARY, 6)
    assert [(one.name, one.weight) for one in objectives] == [("cross-entropy", 1.0), ("ctc", 0.3)]


@pytest.mark.parametrize("output", OUTPUTS)
def test_weights_survive_being_written_and_read(output, batch, tmp_path):
    model, other, path = build(output=output), build(output=output), tmp_path / "model.safetensors"
    save_weights(model, path)
    load_weights(other, path)
    assert list(tmp_path.iterdir()) == [path]
    for name, leaf in model.state_dict().items():
        assert torch.equal(other.state_dict()[name], leaf), name
    _, expected = model(batch)
    _, found = other(batch)
    assert torch.equal(found.scores, expected.scores)


def test_tied_weights_are_written_once_and_stay_tied_when_read(tmp_path):
    model, other, path = build(output="tied"), build(output="tied"), tmp_path / "model.safetensors"
    save_weights(model, path)
    with safe_open(path, "pt") as file:
        written = set(file.keys())
    names = set(model.state_dict())
    assert len(names - written) == 1
    load_weights(other, path)
    tied = [
        leaf
        for leaf in other.state_dict().values()
        if leaf.shape == other.decoder.embedding.weight.shape
    ]
    assert len({leaf.data_ptr() for leaf in tied}) == 1


def test_a_new_file_of_weights_replaces_the_old_one(tmp_path):
    path = tmp_path / "model.safetensors"
    for _ in range(2):
        model, other = build(), build()
        save_weights(model, path)
        load_weights(other, path)
        assert torch.equal(other.decoder.embedding.weight, model.decoder.embedding.weight)


@pytest.mark.parametrize("left", [0, 4, 100, -1])
def test_truncated_weights_are_refused_by_name(left, tmp_path):
    path = tmp_path / "model.safetensors"
    save_weights(build(), path)
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(UserError, match=rf"{path}, which cannot be read .* it may be truncated"):
        load_weights(build(), path)


@pytest.mark.parametrize("content", [b"\x80\x04pickle", b"PK\x03\x04" * 40])
def test_a_file_of_another_kind_is_refused_by_name(content, tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(UserError, match=str(path)):
        load_weights(build(), path)


@pytest.mark.parametrize("place", ["nowhere.safetensors", "."])
def test_a_place_without_weights_is_refused_by_name(place, tmp_path):
    with pytest.raises(UserError, match=str(tmp_path)):
        load_weights(build(), tmp_path / place)


OTHER_MODELS = {
    "another fusion": partial(build, "gate"),
    "another output": partial(build, output="linear"),
    "another width": partial(build, hidden_dim=7),
}


@pytest.mark.parametrize("write", OTHER_MODELS.values(), ids=OTHER_MODELS)
def test_weights_of_another_model_are_refused_and_nothing_is_changed(write, tmp_path):
    model, path = build(), Path(tmp_path / "model.safetensors")
    before = {name: leaf.clone() for name, leaf in model.state_dict().items()}
    save_weights(write(), path)
    with pytest.raises(
        UserError, match=rf"{path}, which differs in .*; use the recipe that wrote it"
    ):
        load_weights(model, path)
    for name, leaf in model.state_dict().items():
        assert torch.equal(leaf, before[name]), name


@pytest.mark.parametrize(("written", "read"), [("tied", "linear"), ("linear", "tied")])
def test_tied_and_separate_weights_are_not_taken_for_each_other(written, read, tmp_path):
    """The decoder's features are as wide as its embedding, so that all other names agree."""

    def narrow(output: str) -> Model:
        return build("hierarchical", output, hidden_dim=5)

    path = tmp_path / "model.safetensors"
    save_weights(narrow(written), path)
    with pytest.raises(UserError, match=r"differs in decoder\.output\.vocabulary\.weight"):
        load_weights(narrow(read), path)
