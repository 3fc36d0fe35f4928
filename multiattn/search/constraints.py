"""Which tokens may come next: lengths, prefixes, n-gram blocking."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import torch
from torch import Tensor

from multiattn.engine.memory import Memory
from multiattn.errors import UserError, shown
from multiattn.recipe.settings import SearchSettings
from multiattn.symbols import BOS, EOS, PAD, UNK

# Tokens that ``max_length_ratio`` allows on top of the ratio: a source of two slots may need five.
LENGTH_RATIO_SLACK = 10

SPELLED, START = 0, 1  # states of a ``PrefixAutomaton``


@dataclass
class _Node:
    """Where some characters lead in a trie of pieces, and the tokens that end there."""

    children: dict[str, _Node] = field(default_factory=dict)
    tokens: list[int] = field(default_factory=list)


class Pieces:
    """A vocabulary as a trie.

    texts: what each token adds to a text (``Tokenizer.spellings``). Special and unknown tokens
    spell nothing.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self.root = _Node()
        for token, text in enumerate(texts):
            if token > UNK:
                node = self.root
                for char in text:
                    node = node.children.setdefault(char, _Node())
                node.tokens.append(token)


class PrefixAutomaton:
    """The sequences of tokens whose decoded text begins with a string.

    A state is how much has been spelled and whether a space is due before the next character:
    like ``Tokenizer.decode``, an automaton takes several spaces for one and ignores those in front.
    In ``SPELLED`` anything may follow.

    moves: per state the tokens that may follow and the states they lead to.
    fewest: per state the number of tokens that ``SPELLED`` is away, at least.
    """

    def __init__(self, pieces: Pieces, text: str) -> None:
        """Compile a text from ``Tokenizer.spelling``; a space at its end means a complete word.

        Raises UserError if no pieces spell it.
        """
        self._text = text
        self.moves: dict[int, dict[int, int]] = {}
        found = {START}
        while found:
            state = found.pop()
            self.moves[state] = self._moves(pieces.root, state)
            found |= set(self.moves[state].values()) - self.moves.keys() - {SPELLED}
        self.fewest: dict[int, float] = {SPELLED: 0}
        for state in sorted(self.moves, reverse=True):  # no token leads back, but to its own state
            after = (self.fewest.get(each, math.inf) for each in self.moves[state].values())
            self.fewest[state] = 1 + min(after, default=math.inf)
        if self.fewest[START] == math.inf:
            rest = text[(max(self.moves) - START) // 2 :].split(" ")
            raise UserError(
                f"expected a prefix that the model can generate, got {shown(text)}, of which no "
                f"pieces of its vocabulary spell {next(filter(None, rest), ' ')!r}; leave that out"
            )
        self.allowed = lru_cache(64)(self._allowed)

    def _allowed(self, state: int, tokens_left: int) -> Tensor:
        """The tokens after which the prefix can be completed with so many more."""
        moves = self.moves[state].items()
        tokens = [token for token, after in moves if self.fewest[after] <= tokens_left]
        return torch.tensor(tokens, dtype=torch.long)

    def _moves(self, root: _Node, state: int) -> dict[int, int]:
        moves: dict[int, int] = {}
        reached = [(root, state)]
        while reached:
            node, state = reached.pop()
            moves.update(dict.fromkeys(node.tokens, state))
            for char in self._expected(state) or node.children:
                after = self._read(state, char)
                if after is not None and char in node.children:
                    reached.append((node.children[char], after))
        return moves

    def _expected(self, state: int) -> str:
        """The characters that may come next; empty if these are not few."""
        done, space_due = divmod(state - START, 2)
        coming = self._text[done + space_due : done + space_due + 1]
        return "" if state == SPELLED or not coming else f" {coming}"

    def _read(self, state: int, char: str) -> int | None:
        """The state after one more character, None if the string does not go on so."""
        if state == SPELLED:
            return SPELLED
        done, space_due = divmod(state - START, 2)
        if char == " ":
            return START + 2 * done + (done > 0)
        if space_due:
            if self._text[done] != " ":
                return None
            done += 1
        if done < len(self._text):
            if self._text[done] != char:
                return None
            done += 1
        return SPELLED if done == len(self._text) else START + 2 * done


@dataclass(frozen=True)
class Constraints:
    """Which tokens may not come next, per input; leaves (B, …).

    A hypothesis at its limit can only end, so every hypothesis is complete and scores are
    comparable. A prefix overrides all other constraints; a limit overrides the minimum length.
    """

    limits: Tensor  # (B,) tokens, the end symbol not counted
    prefix: Tensor  # (B,) index of the input's prefix among ``prefixes``
    prefixes: tuple[PrefixAutomaton | None, ...]
    min_length: int
    block_ngrams: int
    soonest: int  # the lowest limit
    latest: int  # the highest limit

    def start(self) -> Tensor | None:
        """States (B, 1) of the prefixes before the first token; None if there are no prefixes."""
        if not any(self.prefixes):
            return None
        starts = [SPELLED if each is None else START for each in self.prefixes]
        return torch.tensor(starts, device=self.prefix.device)[self.prefix].unsqueeze(1)

    def follow(self, states: Tensor, tokens: Tensor) -> Tensor | None:
        """States (B, N) after these tokens (B, N); None when all prefixes are spelled."""
        after = [
            [
                SPELLED if automaton is None else automaton.moves.get(state, {}).get(token, SPELLED)
                for state, token in zip(*pair, strict=True)
            ]
            for automaton, *pair in zip(
                self._automata(), states.tolist(), tokens.tolist(), strict=True
            )
        ]
        followed = states.new_tensor(after)
        return followed if followed.any() else None

    def apply(
        self, scores: Tensor, step: int, written: Tensor | None, states: Tensor | None
    ) -> None:
        """Set ``scores`` (B, N, V) of forbidden tokens at ``step`` to -inf, in place.

        written: (B, N, step), the tokens so far; None if no n-grams are blocked. states: (B, N), of
        prefixes that are not yet spelled.
        """
        spelling = None if states is None else self._spelling(scores, step, states)
        scores[..., PAD] = -math.inf
        scores[..., BOS] = -math.inf
        if written is not None:
            _block_ngrams(scores, written, self.block_ngrams)
        if step < self.min_length:
            scores[..., EOS].masked_fill_((self.limits > step)[:, None], -math.inf)
        if step >= self.soonest:
            scores[..., EOS + 1 :].masked_fill_((self.limits <= step)[:, None, None], -math.inf)
        if states is not None and spelling is not None:
            scores.copy_(scores.where((states == SPELLED).unsqueeze(2), spelling))

    def _automata(self) -> list[PrefixAutomaton | None]:
        """The prefix of each input."""
        return [self.prefixes[index] for index in self.prefix.tolist()]

    def _spelling(self, scores: Tensor, step: int, states: Tensor) -> Tensor:
        """The scores (B, N, V) of tokens that may go on spelling a prefix, -inf for all others."""
        allowed = torch.zeros(scores.shape, dtype=torch.bool)
        rows = zip(self._automata(), states.tolist(), self.limits.tolist(), strict=True)
        for row, (automaton, own, limit) in enumerate(rows):
            for place, state in enumerate(own):
                if automaton is not None and state != SPELLED:
                    allowed[row, place, automaton.allowed(state, limit - step - 1)] = True
        return scores.masked_fill(~allowed.to(scores.device), -math.inf)


def make_constraints(
    settings: SearchSettings,
    memories: Mapping[str, Memory],
    batch_size: int,
    prefixes: Sequence[PrefixAutomaton | None],
) -> Constraints:
    """The constraints of each input, which depend on its own slots and prefix alone.

    Raises UserError where prefixes and inputs differ in number.
    """
    if prefixes and len(prefixes) != batch_size:
        raise UserError(
            f"expected a prefix for each of {batch_size} inputs, got {len(prefixes)}; "
            "use None for an input without one"
        )
    distinct = tuple(dict.fromkeys(prefixes)) or (None,)
    limits = torch.full((batch_size,), settings.max_length)
    if settings.max_length_ratio is not None and memories:
        slots = torch.stack([memory.mask.sum(1) for memory in memories.values()]).amax(0).cpu()
        limits = limits.minimum((slots * settings.max_length_ratio).long() + LENGTH_RATIO_SLACK)
    if prefixes:
        shortest = [0 if each is None else int(each.fewest[START]) for each in prefixes]
        limits = limits.maximum(torch.tensor(shortest))
    return Constraints(
        limits=limits,
        prefix=torch.tensor([distinct.index(each) for each in prefixes] or [0] * batch_size),
        prefixes=distinct,
        min_length=settings.min_length,
        block_ngrams=settings.block_ngrams,
        soonest=int(limits.min()),
        latest=int(limits.max()),
    )


def _block_ngrams(scores: Tensor, written: Tensor, order: int) -> None:
    """Forbid every token that would repeat an n-gram of this order (Paulus 2018, section 2.5).

    scores: (B, N, V), changed in place; written: (B, N, t).
    """
    length = written.shape[2]
    if length < order:
        return
    grams = written.unfold(2, order, 1)  # (B, N, t - order + 1, order)
    tail = written[:, :, None, length - order + 1 :]  # (B, N, 1, order - 1)
    repeats = (grams[..., :-1] == tail).all(3)  # (B, N, t - order + 1)
    scores.scatter_(2, grams[..., -1].where(repeats, PAD), -math.inf)
