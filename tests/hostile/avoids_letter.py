"""A scorer that learns the target's tokens before the search and keeps those with a letter out."""

import math

from multiattn import Scorer, UserError, hookimpl


@hookimpl
def multiattn_components():
    yield Scorer(name="avoid", target="avoids_letter:Avoid", summary="avoids a letter")


class Avoid:
    ceiling = 0.0

    def __init__(self, *, letter: str = "a") -> None:
        self.letter = letter

    def prepare(self, tokenizer):
        import torch

        unwanted = [self.letter in tokenizer.decode([token]) for token in range(tokenizer.size)]
        if not any(unwanted):
            raise UserError(f"expected a letter that the target has, got {self.letter!r}")
        self.terms = torch.where(torch.tensor(unwanted), -math.inf, 0.0)  # (V,)

    def start(self, memories, heads, batch_size):
        return None, None

    def score(self, tokens, weights, state, shared):
        return self.terms.expand(*tokens.shape, -1), None  # (B, N, V)

    def finish(self, state, shared):
        return None
