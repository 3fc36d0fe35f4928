"""Attention scores and their gradients inside the input-feeding loop: additive or location.

    energies.scores(first, queries, before) -> (n, S)          ``first``: where a step begins in M
    pull = energies.backward()                                 once per backward
    pull(first, queries, d_score, d_query) -> d_before         writes d_query, accumulates the rest
    pull.gradients(befores (M, S))                             after the last step

``before`` holds the weights (n, S) of the previous step. Nothing of size (n, S, A) is kept; the
backward recomputes what it needs. There is no tanh, which costs ten times as much as an exponential
or a sigmoid. Scores omit a constant, which does not change the softmax.

Letters: n rows alive at a step, M real tokens (the sum of n), S slots, A attention width,
K location filters.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.grad import conv1d_weight

from multiattn.engine.attention import Additive
from multiattn.engine.attention_wrappers import Location

# For keys within KEY_LIMIT the exponential form is exact: e^{2k} and its inverse are finite, and
# for a query beyond QUERY_LIMIT, where it is clamped, tanh(k + q) is ±1 to the last digit.
KEY_LIMIT = {torch.float32: 20.0, torch.float64: 150.0}
QUERY_LIMIT = {dtype: 2 * limit for dtype, limit in KEY_LIMIT.items()}

Gradients = tuple[Tensor, Tensor, Tensor | None, Tensor | None]  # as in ``energies_of``


def known(attention: Any, keys: Any) -> bool:
    """Whether this module implements the scores of this attention over its prepared keys."""
    return known_location(attention) or (type(attention) is Additive and within_limit(keys.keys))


def known_location(attention: Any) -> bool:
    """Whether this is a location attention of additive scores, whose keys may be of any size."""
    return (
        type(attention) is Location
        and type(attention.content) is Additive
        and not (attention.window and not attention.training)
    )


def parameters(attention: Any) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    """Parameters of a known attention: query (A, H), energy (A,), convolution, feature (A, K)."""
    if type(attention) is Location:
        content = attention.content
        location = attention.convolution.weight, attention.feature.weight
        return content.query.weight, content.energy, *location
    return attention.query.weight, attention.energy, None, None


def within_limit(keys: Tensor) -> bool:
    """Whether the keys are small enough to be kept as e^{2k}."""
    limit = KEY_LIMIT.get(keys.dtype, KEY_LIMIT[torch.float32])
    return bool(keys.detach().abs().amax() <= limit)


def energies_of(
    keys: Tensor, energy: Tensor, convolution: Tensor | None, feature: Tensor | None, tokens: int
) -> AdditiveEnergies | LocationEnergies:
    """From keys (B, S, A), energy (A,); location: convolution (K, 1, width), feature (A, K)."""
    if convolution is None or feature is None:
        return AdditiveEnergies(doubled_exponential(keys), energy)
    responses = keys.new_ones(tokens, keys.size(1), feature.size(1) + 1)  # the last feature stays 1
    return LocationEnergies(2 * keys, energy, convolution, feature, responses)


class AdditiveEnergies(NamedTuple):
    """Σ v tanh(k + q) = Σ v - 2 Σ v r with r = 1 / (1 + e^{2k} e^{2q}); e^{2k} is computed once."""

    exponentials: Tensor
    energy: Tensor

    def scores(self, first: int, queries: Tensor, before: Tensor) -> Tensor:
        """Queries (n, A) -> (n, S)."""
        return additive_scores(self.exponentials[: len(queries)], queries, self.energy)

    def backward(self) -> AdditivePull:
        """What adds up gradients over the steps."""
        return AdditivePull(self)


class AdditivePull:
    """Gradients of additive scores; d tanh / dx = 4 r (1 - r), with 4 v applied at the end."""

    def __init__(self, energies: AdditiveEnergies) -> None:
        self.energies = energies
        self.d_keys = torch.zeros_like(energies.exponentials)  # (B, S, A)
        self.d_energy = torch.zeros_like(energies.exponentials[:, :1])  # (B, 1, A), times -1/2

    def __call__(self, first: int, queries: Tensor, d_score: Tensor, d_query: Tensor) -> None:
        alive = len(queries)
        r = falling(self.energies.exponentials[:alive], queries)
        row = d_score.unsqueeze(1)  # (n, 1, S)
        self.d_energy[:alive] += torch.bmm(row, r)
        slope = torch.addcmul(r, r, r, value=-1, out=r)
        torch.bmm(row, slope, out=d_query.unsqueeze(1))
        d_query *= 4 * self.energies.energy
        self.d_keys[:alive].addcmul_(slope, d_score.unsqueeze(2))

    def gradients(self, befores: Tensor) -> Gradients:
        """Gradients of keys and energy."""
        return (
            self.d_keys.mul_(4 * self.energies.energy),
            -2 * self.d_energy.sum((0, 1)),
            None,
            None,
        )


class LocationEnergies(NamedTuple):
    """Σ v tanh(k + q + U f) = 2 Σ v σ(2k + 2q + 2U f) - Σ v, f the convolved previous weights.

    The query is appended to U as the weight of one more filter, whose output is 1 everywhere.
    doubled: 2k (B, S, A). responses: filter outputs (M, S, K + 1), filled step by step.
    """

    doubled: Tensor
    energy: Tensor
    convolution: Tensor
    feature: Tensor
    responses: Tensor

    def scores(self, first: int, queries: Tensor, before: Tensor) -> Tensor:
        """Queries (n, A) and the previous weights (n, S) -> (n, S)."""
        half = self.convolution.size(2) // 2
        filtered = F.conv1d(before.unsqueeze(1), self.convolution, padding=half)  # (n, K, S)
        self.responses[first : first + len(queries), :, :-1] = filtered.transpose(1, 2)
        return torch.matmul(self.rising(first, queries), 2 * self.energy)

    def rising(self, first: int, queries: Tensor) -> Tensor:
        """σ(2k + 2q + 2U f): (n, S, A)."""
        alive = len(queries)
        feature = self.feature.t().expand(alive, -1, -1)  # (n, K, A)
        weights = torch.cat([feature, queries.unsqueeze(1)], 1).mul_(2)  # (n, K + 1, A)
        responses = self.responses[first : first + alive]
        return torch.baddbmm(self.doubled[:alive], responses, weights).sigmoid_()

    def backward(self) -> LocationPull:
        """What adds up gradients over the steps."""
        return LocationPull(self)


class LocationPull:
    """Gradients of location scores; d tanh / dx = 4 σ (1 - σ), with 4 v applied at the end."""

    def __init__(self, energies: LocationEnergies) -> None:
        self.energies = energies
        self.d_keys = torch.zeros_like(energies.doubled)  # (B, S, A)
        self.d_energy = torch.zeros_like(energies.doubled[:, :1])  # (B, 1, A), times 1/2
        self.d_feature = torch.zeros_like(energies.feature.t())  # (K, A)
        self.d_responses = energies.responses.new_empty(
            len(energies.responses), energies.feature.size(1), energies.responses.size(1)
        )  # (M, K, S)
        scaled = 4 * energies.energy * energies.feature.t()  # (K, A)
        self.feature = scaled.expand(len(energies.doubled), -1, -1)

    def __call__(self, first: int, queries: Tensor, d_score: Tensor, d_query: Tensor) -> Tensor:
        energies, alive = self.energies, len(queries)
        rows = slice(first, first + alive)
        sigma = energies.rising(first, queries)
        self.d_energy[:alive] += torch.bmm(d_score.unsqueeze(1), sigma)
        slope = torch.addcmul(sigma, sigma, sigma, value=-1, out=sigma)
        slope *= d_score.unsqueeze(2)
        self.d_keys[:alive] += slope
        pulled = torch.bmm(energies.responses[rows].transpose(1, 2), slope)  # (n, K + 1, A)
        self.d_feature += pulled[:, :-1].sum(0)
        torch.mul(pulled[:, -1], 4 * energies.energy, out=d_query)
        torch.bmm(self.feature[:alive], slope.transpose(1, 2), out=self.d_responses[rows])
        half = energies.convolution.size(2) // 2
        return F.conv_transpose1d(self.d_responses[rows], energies.convolution, padding=half)[:, 0]

    def gradients(self, befores: Tensor) -> Gradients:
        """Gradients of keys, energy, convolution, feature; befores (M, S): the previous weights."""
        energies = self.energies
        d_convolution = conv1d_weight(  # type: ignore[no-untyped-call]
            befores.unsqueeze(1),
            energies.convolution.shape,
            self.d_responses,
            padding=energies.convolution.size(2) // 2,
        )
        factor = 4 * energies.energy
        d_feature = self.d_feature.mul_(factor).t()
        return (
            self.d_keys.mul_(factor),
            2 * self.d_energy.sum((0, 1)),
            d_convolution,
            d_feature,
        )


def doubled_exponential(values: Tensor) -> Tensor:
    """e^{2x}, with x clamped to ±QUERY_LIMIT so that no exponential overflows."""
    limit = QUERY_LIMIT[values.dtype]
    return values.clamp(-limit, limit).mul_(2).exp_()


def falling(exponentials: Tensor, query: Tensor) -> Tensor:
    """Compute r = 1 / (1 + e^{2k} e^{2q}), so that tanh(k + q) = 1 - 2r: (n, S, A)."""
    product = exponentials * doubled_exponential(query).unsqueeze(-2)
    return product.add_(1).reciprocal_()


def additive_scores(exponentials: Tensor, query: Tensor, energy: Tensor) -> Tensor:
    """Σ v tanh(k + q) without the constant Σ v, which does not change a softmax: (n, S)."""
    return torch.matmul(falling(exponentials, query), -2 * energy)
