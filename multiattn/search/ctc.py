"""CTC in the search: a scorer with the prefix scores of a trained CTC head.

The real slots of an input must come first, as the objective ``ctc`` also expects. PAD, which
occurs in no output, is the blank.

Letters: B inputs, N hypotheses per input, K candidates, S memory slots, T output steps,
V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from multiattn.engine.memory import Memory, length_mask
from multiattn.errors import UserError, shown
from multiattn.search.scorers import Weights
from multiattn.symbols import BOS, EOS, PAD

TINY = torch.finfo(torch.double).tiny  # lower bound on the probability of a symbol in a real slot


def ctc_source(asked: str | None, sources: Iterable[str], asker: str) -> str:
    """The source that CTC reads: the one named ``asked``, or the only one.

    Raises UserError for an unknown name, or for None unless there is exactly one source.
    """
    names = tuple(sources)
    if asked is None and len(names) == 1:
        return names[0]
    if asked is None or asked not in names:
        raise UserError(
            f"{asker} 'ctc' needs the name of one source, got {shown(asked)}; "
            f"choose one of {', '.join(names) or 'none (this recipe has no sources)'}"
        )
    return asked


def ctc_head_name(source: str, sources: Iterable[str]) -> str:
    """The name of the head on a source: ``ctc``, or ``ctc-SOURCE`` if there are several sources."""
    return "ctc" if tuple(sources) == (source,) else f"ctc-{source}"


class CTCPosteriors(NamedTuple):
    """The head's output for the inputs, independent of any hypothesis.

    shares: (B, V, S) probability of each symbol in each slot, 0 in padding.
    blanks: (B, S + 1) log-probability that the first t slots are all blank.
    slots: (B,) number of real slots. dtype: of the scorer's additions.
    """

    shares: Tensor
    blanks: Tensor
    slots: Tensor
    dtype: torch.dtype

    @property
    def real(self) -> Tensor:
        """Mask of the real slots (B, 1, S)."""
        return length_mask(self.slots, self.shares.shape[2]).unsqueeze(1)

    @property
    def worst(self) -> Tensor:
        """The score (B, 1, 1) of an impossible token, lower than that of any path."""
        return (math.log(TINY) * (self.slots + 1).double())[:, None, None]

    def of(self, tokens: Tensor) -> Tensor:
        """Log-probabilities (B, N, S) of one symbol (B, N) per hypothesis, finite everywhere."""
        rows = torch.arange(len(tokens), device=tokens.device).unsqueeze(1)
        return self.shares[rows, tokens].clamp(min=TINY).log()


class CTCPrefixState(NamedTuple):
    """Log-probabilities that the first t slots, t from 0 to S, emit exactly the hypothesis.

    word, blank: (B, N, S + 1), over the paths that end in the last token, or in a blank.
    prefix: (B, N), that all slots emit an output that begins with the hypothesis.
    last: (B, N), the last token.
    """

    word: Tensor
    blank: Tensor
    prefix: Tensor
    last: Tensor

    @property
    def either(self) -> Tensor:
        """Over all paths, (B, N, S + 1)."""
        return torch.logaddexp(self.word, self.blank)


class CTCPrefix:
    """log Ψ(g·c) − log Ψ(g): what CTC adds when token c follows g. Watanabe et al. 2017, alg. 2.

    Ψ(g) is the probability of all outputs that begin with g; for the end symbol, of g itself as the
    whole output. An output's additions therefore sum to minus its CTC loss. With weight w the beam
    ranks by log p_att + w · log p_ctc; the paper's λ is w / (1 + w), so λ = 0.3 is a weight of
    0.43. CTC already models the length of an output: use ``length_penalty: 0`` with it, as ESPnet
    does.

    source: the one that the head of the objective ``ctc`` reads; not needed if there is only one.
    An input without this source gets 0 for every token. A token that needs more slots than there
    are scores lower than any path (``CTCPosteriors.worst``) but not -inf, so that a forced prefix
    or a minimum length remains possible. Computed in float64: path probabilities are too small for
    single precision.
    """

    ceiling = 0.0

    def __init__(self, *, source: str | None = None) -> None:
        self.source = source

    def start(
        self, memories: Mapping[str, Memory], heads: Mapping[str, nn.Module], batch_size: int
    ) -> tuple[CTCPosteriors, None]:
        """Raises UserError for an unknown source, and for a model without the head."""
        source = ctc_source(self.source, memories, "scorer")
        name, memory = ctc_head_name(source, memories), memories[source]
        if name not in heads:
            raise UserError(
                f"scorer 'ctc' needs the head {name!r} in the model, got "
                f"{', '.join(heads) or 'no heads'}; train with the objective 'ctc' on {source!r}, "
                "or search without it: --set search.method=beam --set search.scorers=[]"
            )
        slots = memory.mask.sum(1)
        shares = heads[name](memory.values).double().softmax(-1)  # (B, S, V)
        shares = shares.clamp_(min=TINY).mul_(memory.mask.unsqueeze(2))
        shares = shares.transpose(1, 2).contiguous()  # (B, V, S)
        blanks = shares[:, PAD].clamp(min=TINY).log().cumsum(1)  # (B, S)
        dtype = torch.promote_types(memory.values.dtype, torch.float)
        return CTCPosteriors(shares, F.pad(blanks, (1, 0)), slots, dtype), None

    def score(
        self, tokens: Tensor, weights: Weights, state: CTCPrefixState | None, shared: CTCPosteriors
    ) -> tuple[Tensor, CTCPrefixState]:
        """Additions (B, N, V), never above 0. The first tokens are BOS."""
        after = begin(tokens, shared) if state is None else follow(tokens, state, shared)
        scores = continuations(after, shared)  # (B, N, V)
        before = after.prefix.unsqueeze(2)  # (B, N, 1)
        impossible = (scores == -math.inf) | (before == -math.inf)
        gained = torch.where(impossible, shared.worst, scores - before)
        gained = gained.masked_fill((shared.slots == 0)[:, None, None], 0.0).clamp(max=0.0)
        return gained.to(shared.dtype), after

    def finish(self, state: CTCPrefixState, shared: CTCPosteriors) -> None:
        return None


def begin(tokens: Tensor, heard: CTCPosteriors) -> CTCPrefixState:
    """State of the empty hypothesis, all slots blank: the initialisation of algorithm 2."""
    blank = heard.blanks.unsqueeze(1).expand(-1, tokens.shape[1], -1)  # (B, N, S + 1)
    start = torch.full_like(tokens, BOS)
    return CTCPrefixState(torch.full_like(blank, -math.inf), blank, blank[..., 0], start)


def follow(tokens: Tensor, before: CTCPrefixState, heard: CTCPosteriors) -> CTCPrefixState:
    """Extend hypotheses by tokens (B, N). Algorithm 2, lines 9 to 14, for all slots at once.

    Both recursions are x_t = (x_{t-1} + y_{t-1}) p_t, so x_t = P_t Σ_{u<t} y_u / P_u with P_t the
    product of p up to t.
    """
    said = heard.of(tokens)  # (B, N, S)
    reached = before.either[..., :-1]  # (B, N, S), the paths that may emit the token next
    repeats = (tokens == before.last).unsqueeze(2)
    # repeated tokens need a blank in between
    reached = torch.where(repeats, before.blank[..., :-1], reached)
    product = F.pad(said.cumsum(2), (1, 0))  # (B, N, S + 1)
    word = _summed(reached, product)
    blank = _summed(word[..., :-1], heard.blanks.unsqueeze(1))
    prefix = (reached + said).masked_fill(~heard.real, -math.inf).logsumexp(2)
    return CTCPrefixState(word, blank, prefix, tokens)


def _summed(entering: Tensor, product: Tensor) -> Tensor:
    """log(P_t Σ_{u<t} y_u / P_u) for t from 0 to S; entering (…, S) is log y, product is log P."""
    sums = (entering - product[..., :-1]).logcumsumexp(-1)  # (B, N, S)
    return F.pad(product[..., 1:] + sums, (1, 0), value=-math.inf)  # (B, N, S + 1)


def continuations(here: CTCPrefixState, heard: CTCPosteriors) -> Tensor:
    """Compute log Ψ (B, N, V) of each hypothesis extended by one token; EOS adds nothing.

    A token's Ψ is Σ_t reached_{t-1} p_t(token) (line 12), one matrix product for all tokens. Only
    a repetition of the last token differs: it must follow a blank.
    """
    reached = here.either  # (B, N, S + 1)
    ends = heard.slots[:, None, None].expand(-1, reached.shape[1], 1)
    whole = reached.gather(2, ends)  # (B, N, 1)
    reached = reached[..., :-1].masked_fill(~heard.real, -math.inf)  # (B, N, S)
    peak = reached.amax(2, keepdim=True).nan_to_num(neginf=0.0)  # (B, N, 1)
    scores = torch.bmm((reached - peak).exp(), heard.shares.transpose(1, 2)).log() + peak
    again = here.blank[..., :-1] + heard.of(here.last)  # (B, N, S)
    again = again.masked_fill(~heard.real, -math.inf).logsumexp(2, keepdim=True)
    scores.scatter_(2, here.last.unsqueeze(2), again)
    scores[..., EOS] = whole.squeeze(2)
    return scores
