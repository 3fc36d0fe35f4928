"""Every output against its formula; copying against a loop over slots."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from multiattn.engine.output_layer import Copy, Deep, Linear

pytestmark = pytest.mark.usefixtures("double")

VOCABULARY, EMBEDDING, FEATURES = 7, 3, 4


@pytest.fixture
def embedding() -> nn.Embedding:
    return nn.Embedding(VOCABULARY, EMBEDDING)


def softmax_over_slots(*mask: int) -> torch.Tensor:
    """Random weights (2, 3, S) that sum to one over the slots whose mask is 1."""
    real = torch.tensor(mask, dtype=torch.bool)
    scores = torch.randn(2, 3, len(mask)).masked_fill(~real, -math.inf)
    return torch.softmax(scores, -1).nan_to_num(0.0)


def test_linear_scores_are_one_product(embedding):
    output, features = Linear(FEATURES, embedding), torch.randn(2, 3, FEATURES)
    expected = F.linear(features, output.vocabulary.weight, output.vocabulary.bias)
    assert torch.equal(output(features, torch.randn(2, 3, EMBEDDING)), expected)


@pytest.mark.parametrize(("dim", "width"), [(0, EMBEDDING), (5, 5)])
def test_deep_scores_are_a_product_of_a_tanh_layer(embedding, dim, width):
    output = Deep(FEATURES, embedding, dim=dim)
    features, word = torch.randn(2, 3, FEATURES), torch.randn(2, 3, EMBEDDING)
    seen, read = output.from_features, output.from_word
    deep = torch.tanh(features @ seen.weight.T + seen.bias + word @ read.weight.T)
    assert deep.shape[-1] == width
    expected = deep @ output.vocabulary.weight.T + output.vocabulary.bias
    torch.testing.assert_close(output(features, word), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("build", "width"),
    [
        (partial(Linear, FEATURES, tied=True), FEATURES),
        (partial(Linear, EMBEDDING, tied=True), EMBEDDING),
        (partial(Deep, FEATURES, tied=True), FEATURES),
        (partial(Deep, FEATURES, dim=5, tied=True), FEATURES),
    ],
)
def test_tied_weights_are_the_embedding_itself(build, width, embedding):
    output = build(embedding)
    (name,) = [name for name, leaf in output.named_parameters() if leaf is embedding.weight]
    bias = output.get_parameter(name.replace("weight", "bias"))
    word, features = embedding(torch.randint(VOCABULARY, (2, 3))), torch.randn(2, 3, width)
    before = output(features, word)
    with torch.no_grad():
        embedding.weight[4] = 0
    after = output(features, word)
    torch.testing.assert_close(after[..., 4], bias[4].expand(2, 3), rtol=1e-9, atol=1e-12)
    assert torch.equal(after[..., :4], before[..., :4])


def copied(output, features, word, copies):
    """P(w) of See et al. 2017, equation 9, slot by slot; what cannot be copied is written."""
    written = torch.softmax(output.of(features, word), -1)
    gate = output.write_from_features(features) + output.write_from_word(word)
    p_copy = 1 - torch.sigmoid(gate.squeeze(-1))
    result = torch.zeros(*features.shape[:-1], VOCABULARY)
    for row in range(features.size(0)):
        for place in range(features.size(1)):
            looks = [
                (weights[row, place].tolist(), symbols[row, 0].tolist())
                for weights, symbols in copies
                if weights[row, place].any()  # a source that this input lacks is no source
            ]
            left = 1.0
            for weights, symbols in looks:
                for weight, symbol in zip(weights, symbols, strict=True):
                    share = float(p_copy[row, place]) * weight / len(looks)
                    if symbol >= 0:
                        result[row, place, symbol] += share
                        left -= share
            result[row, place] += left * written[row, place]
    return result


@pytest.mark.parametrize(
    ("weights", "symbols"),
    [
        ([(1, 1, 1, 1)], [[[3, 5, 3, 6], [0, 1, 2, 3]]]),  # a word stands in two slots
        ([(1, 1, 1, 1)], [[[3, -1, 3, -1], [-1, 2, 2, 2]]]),  # slots that cannot be copied
        ([(1, 1, 0, 0)], [[[3, 5, 0, 0], [6, -1, -1, -1]]]),  # padding
        ([(1, 1, 1), (1, 1)], [[[3, 5, 3], [1, 2, 2]], [[5, -1], [2, 4]]]),  # two sources
        ([(1, 1, 1), (0, 0)], [[[3, 5, 3], [1, 2, 2]], [[0, 0], [0, 0]]]),  # one of them absent
        ([(0, 0), (0, 0)], [[[0, 0], [0, 0]], [[0, 0], [0, 0]]]),  # both
    ],
)
@torch.no_grad()
def test_copying_is_its_loop_and_sums_to_one(weights, symbols, embedding):
    output = Copy(FEATURES, embedding)
    features, word = torch.randn(2, 3, FEATURES), torch.randn(2, 3, EMBEDDING)
    copies = [
        (softmax_over_slots(*mask), torch.tensor(ids).unsqueeze(1))
        for mask, ids in zip(weights, symbols, strict=True)
    ]
    scores = output(features, word, copies)
    torch.testing.assert_close(scores.exp().sum(-1), torch.ones(2, 3), rtol=1e-9, atol=0)
    expected = copied(output, features, word, copies)
    torch.testing.assert_close(scores.exp(), expected, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(scores, torch.log_softmax(scores, -1), rtol=1e-9, atol=1e-12)


def test_without_copyable_sources_copying_is_what_it_extends(embedding):
    output = Copy(FEATURES, embedding, of=Linear)
    features, word = torch.randn(2, 3, FEATURES), torch.randn(2, 3, EMBEDDING)
    assert torch.equal(output(features, word), output.of(features, word))


def test_rows_packed_for_training_copy_as_rows_in_search_do(embedding):
    output, symbols = Copy(FEATURES, embedding), torch.tensor([[3, 3, -1], [5, 0, 1]])
    features, word = torch.randn(2, 3, FEATURES), torch.randn(2, 3, EMBEDDING)
    weights = softmax_over_slots(1, 1, 1)
    search = output(features, word, [(weights, symbols.unsqueeze(1))])
    packed = output(
        features.flatten(0, 1),
        word.flatten(0, 1),
        [(weights.flatten(0, 1), symbols.repeat_interleave(3, 0))],
    )
    torch.testing.assert_close(packed, search.flatten(0, 1), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_a_word_that_cannot_be_written_has_a_finite_score_and_gradient(dtype, embedding):
    output = Copy(FEATURES, embedding, of=Linear)
    with torch.no_grad():
        output.of.vocabulary.bias[2] = -1e6
    output.to(dtype)
    features = torch.randn(2, 1, FEATURES, dtype=dtype, requires_grad=True)
    weights, symbols = softmax_over_slots(1, 1)[:, :1].to(dtype), torch.tensor([[[3, 4]]])
    scores = output(features, torch.randn(2, 1, EMBEDDING, dtype=dtype), [(weights, symbols)])
    assert scores.isfinite().all()
    assert (scores[..., 2] == math.log(torch.finfo(scores.dtype).tiny)).all()
    F.nll_loss(scores.flatten(0, 1), torch.tensor([2, 3])).backward()
    assert features.grad.isfinite().all()
    assert all(leaf.grad.isfinite().all() for leaf in output.of.parameters())


def test_copying_in_single_precision_matches_double(embedding):
    output, symbols = Copy(FEATURES, embedding), torch.tensor([[[3, 3, -1]], [[5, 0, 1]]])
    features, word = torch.randn(2, 3, FEATURES), torch.randn(2, 3, EMBEDDING)
    weights = softmax_over_slots(1, 1, 1)
    wide = output(features, word, [(weights, symbols)])
    narrow = output.float()(features.float(), word.float(), [(weights.float(), symbols)])
    torch.testing.assert_close(narrow.double(), wide, rtol=1e-5, atol=1e-5)
