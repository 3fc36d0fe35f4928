"""The automaton of a prefix accepts exactly the tokens whose text begins with it."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiattn.data.tokenizer import Tokenizer
from multiattn.errors import UserError
from multiattn.recipe.settings import TokenizerSettings
from multiattn.search.constraints import SPELLED, START, Pieces, PrefixAutomaton
from multiattn.symbols import UNK

TEXTS = [
    "das mädchen, das den apfel hat",
    "die mäuse im büro: das mäd chen",
    "ein ☃ und das ☃chen, 日本",
]
TOKENIZERS = {
    kind: Tokenizer.train(TEXTS * 3, TokenizerSettings(kind=kind, size=300))
    for kind in ("char", "word", "bpe", "byte", "unigram")
}
PIECES = {kind: Pieces(tokenizer.spellings) for kind, tokenizer in TOKENIZERS.items()}


def compiled(kind: str, prefix: str) -> PrefixAutomaton:
    return PrefixAutomaton(PIECES[kind], TOKENIZERS[kind].spelling(prefix))


def accepts(automaton: PrefixAutomaton, tokens: list[int]) -> bool:
    state: int | None = START
    for token in tokens:
        if state is None or state == SPELLED:
            break
        state = automaton.moves[state].get(token)
    return state == SPELLED


@pytest.mark.parametrize("kind", TOKENIZERS)
@given(data=st.data())
def test_tokens_are_accepted_if_and_only_if_their_text_begins_with_the_prefix(kind, data):
    tokenizer = TOKENIZERS[kind]
    text = data.draw(st.sampled_from(TEXTS))
    prefix = text[: data.draw(st.integers(1, len(text)))]
    other = data.draw(st.sampled_from([text, *TEXTS]))
    cut = data.draw(st.integers(0, len(other)))
    tokens = [*tokenizer.encode(other[:cut]), *tokenizer.encode(other[cut:])]
    if " " in tokenizer.spellings and data.draw(st.booleans()):
        space = tokenizer.spellings.index(" ")
        tokens.insert(data.draw(st.integers(0, len(tokens))), space)
    if UNK not in tokens:
        begins = tokenizer.decode(tokens).startswith(prefix)
        assert accepts(compiled(kind, prefix), tokens) is begins


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_whatever_is_allowed_leads_to_the_prefix_in_the_tokens_that_are_left(kind):
    draw, tokenizer = random.Random(1), TOKENIZERS[kind]
    for prefix in ("das mäd", "das ", "die mäuse im b", "d"):
        automaton = compiled(kind, prefix)
        for left in range(int(automaton.fewest[START]), 14):
            state, tokens = START, []
            while state != SPELLED:
                allowed = automaton.allowed(state, left - len(tokens) - 1).tolist()
                tokens.append(draw.choice(allowed))
                state = automaton.moves[state][tokens[-1]]
            assert len(tokens) <= left
            assert f"{tokenizer.decode(tokens)} x".startswith(prefix)


def test_a_space_at_the_end_completes_a_word_and_no_space_leaves_it_open():
    tokenizer = TOKENIZERS["word"]
    dass, das = tokenizer.encode("mädchen,")[0], tokenizer.encode("mäd")[0]
    open_word, whole_word = compiled("word", "mäd"), compiled("word", "mäd ")
    assert {dass, das} == set(open_word.moves[START])
    assert {das} == set(whole_word.moves[START])


@pytest.mark.parametrize(
    ("kind", "prefix", "said"),
    [("bpe", "das ζebra", "ζebra"), ("word", "das zebra hat", "zebra"), ("char", "ζ", "ζ")],
)
def test_a_prefix_that_no_pieces_spell_is_refused_in_a_sentence(kind, prefix, said):
    with pytest.raises(UserError, match=f"a prefix that the model can generate.*spell '{said}'"):
        compiled(kind, prefix)
