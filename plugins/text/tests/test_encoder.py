"""The LSTM encoder against ``nn.LSTM`` on packed sequences, and its independence of padding."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from multiattn import EOS, PAD, UNK
from multiattn.engine.bilstm import similar_lengths
from multiattn.layers import length_mask
from multiattn_text.encoder import Lstm
from multiattn_text.reader import TextSpec

SPEC = TextSpec(vocabulary_size=30, joint=True)
EXACT = {"rtol": 0.0, "atol": 1e-9}


@pytest.fixture(autouse=True)
def _double():
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(7)
    yield
    torch.set_default_dtype(before)


def batch_of(*lengths: int, slots: int = 0) -> tuple[Tensor, Tensor]:
    counts = torch.tensor(lengths)
    mask = length_mask(counts, slots or max(lengths))
    return torch.randint(UNK + 1, 30, mask.shape).masked_fill(~mask, PAD), counts


def small(layers: int = 1, **settings) -> Lstm:
    return Lstm(SPEC, embedding_dim=5, hidden_dim=4, layers=layers, **settings).eval()


def torch_lstm(encoder: Lstm) -> nn.LSTM:
    """Build PyTorch's bidirectional LSTM with the weights of this encoder."""
    layers = len(encoder.forwards)
    reference = nn.LSTM(5, 4, num_layers=layers, bidirectional=True, batch_first=True)
    weights = {}
    for layer in range(layers):
        for directions, suffix in ((encoder.forwards, ""), (encoder.backwards, "_reverse")):
            for name, weight in directions[layer].state_dict().items():
                weights[name.replace("_l0", f"_l{layer}{suffix}")] = weight
    reference.load_state_dict(weights)
    return reference


VARIED = [7, 1, 3, 7, 2]
MANY = [1 + index % 20 for index in range(70)]  # enough, and different enough, to be grouped


@pytest.mark.parametrize("lengths", [VARIED, [4], MANY], ids=["varied", "one", "grouped"])
@pytest.mark.parametrize("layers", [1, 3])
def test_it_equals_the_bidirectional_lstm_of_pytorch_on_packed_sequences(layers, lengths):
    encoder = small(layers)
    inputs, counts = batch_of(*lengths)
    reference = torch_lstm(encoder)
    embedded = encoder.embedding(inputs)
    packed = pack_padded_sequence(embedded, counts, batch_first=True, enforce_sorted=False)
    outputs, (states, _) = reference(packed)
    expected, _ = pad_packed_sequence(outputs, batch_first=True)
    memory = encoder(inputs, counts)
    assert (len(similar_lengths(counts)) > 1) is (lengths is MANY)
    torch.testing.assert_close(memory.values, expected, **EXACT)
    torch.testing.assert_close(memory.summary, torch.cat([states[-2], states[-1]], 1), **EXACT)

    probe = torch.randn_like(expected)
    ours = torch.autograd.grad((memory.values * probe).sum(), encoder.embedding.weight)
    theirs = torch.autograd.grad((expected * probe).sum(), encoder.embedding.weight)
    torch.testing.assert_close(ours, theirs, **EXACT)


@pytest.mark.parametrize("lengths", [VARIED, MANY], ids=["varied", "grouped"])
def test_in_single_precision_it_equals_the_lstm_of_pytorch_to_1e_5(lengths):
    encoder = small(2).float()
    inputs, counts = batch_of(*lengths)
    embedded = encoder.embedding(inputs)
    packed = pack_padded_sequence(embedded, counts, batch_first=True, enforce_sorted=False)
    expected, _ = pad_packed_sequence(torch_lstm(encoder).float()(packed)[0], batch_first=True)
    torch.testing.assert_close(encoder(inputs, counts).values, expected, rtol=1e-5, atol=1e-6)


def test_padding_changes_no_value_and_padded_slots_are_zero():
    encoder = small(2)
    inputs, lengths = batch_of(*VARIED)
    padded = torch.cat([inputs, torch.full((5, 4), PAD)], dim=1)
    plain, longer = encoder(inputs, lengths), encoder(padded, lengths)
    torch.testing.assert_close(longer.values[:, :7], plain.values, **EXACT)
    torch.testing.assert_close(longer.summary, plain.summary, **EXACT)
    assert torch.equal(longer.mask, length_mask(lengths, 11))
    assert (longer.values[~longer.mask] == 0).all()


def test_ids_in_the_padding_have_no_effect():
    encoder = small(2)
    inputs, lengths = batch_of(*VARIED)
    padded_with_ids = inputs.where(length_mask(lengths, 7), torch.tensor(17))
    torch.testing.assert_close(
        encoder(padded_with_ids, lengths).values, encoder(inputs, lengths).values, **EXACT
    )


@pytest.mark.parametrize("lengths", [VARIED, MANY], ids=["varied", "grouped"])
def test_a_batch_equals_its_inputs_encoded_one_by_one_in_any_order(lengths):
    encoder = small(2)
    inputs, counts = batch_of(*lengths)
    order = torch.randperm(len(counts))
    memory, shuffled = encoder(inputs, counts), encoder(inputs[order], counts[order])
    torch.testing.assert_close(shuffled.values, memory.values[order], **EXACT)
    for row, length in enumerate(lengths):
        single = encoder(inputs[row : row + 1, :length], counts[row : row + 1])
        torch.testing.assert_close(single.values[0], memory.values[row, :length], **EXACT)
        torch.testing.assert_close(single.summary[0], memory.summary[row], **EXACT)


def test_symbols_are_the_input_ids_where_the_tokenizer_is_shared():
    inputs = torch.tensor([[5, UNK, 9, EOS], [8, EOS, PAD, PAD]])
    lengths = torch.tensor([4, 2])
    assert small()(inputs, lengths).symbols.tolist() == [[5, -1, 9, -1], [8, -1, -1, -1]]
    separate = Lstm(TextSpec(30), embedding_dim=5, hidden_dim=4)
    assert separate(inputs, lengths).symbols is None


def test_its_outputs_have_the_declared_widths_and_its_example_runs():
    encoder = Lstm(SPEC, embedding_dim=5, hidden_dim=4)
    inputs, lengths = encoder.example_inputs()
    memory = encoder(inputs, lengths)
    assert memory.values.shape == (2, 5, encoder.out_dim)
    assert memory.summary is not None
    assert memory.summary.shape == (2, encoder.summary_dim)
    assert memory.layout.kind == "tokens"
    (memory.values.sum() + memory.summary.sum()).backward()
    assert all(weight.grad is not None for weight in encoder.parameters())


def test_dropout_is_active_in_training_only_and_not_on_final_states():
    encoder = small(dropout=0.5)
    inputs, lengths = batch_of(*VARIED)
    assert torch.equal(encoder(inputs, lengths).values, encoder(inputs, lengths).values)
    trained = encoder.train()(inputs, lengths)
    real = trained.values[trained.mask]
    assert 0.3 < (real == 0).double().mean() < 0.7
    assert trained.summary is not None
    assert (trained.summary != 0).all()
