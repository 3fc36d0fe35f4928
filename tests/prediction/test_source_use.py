"""How much each source counted, against contexts of single sources and without the gate."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from multiattn.engine.attention import Additive
from multiattn.engine.attention_wrappers import Gated
from multiattn.engine.decoder import LSTMDecoder
from multiattn.engine.fusion import Gate, Hierarchical
from multiattn.engine.layouts import Tokens
from multiattn.engine.memory import Memory, MemorySpec
from multiattn.prediction.source_use import source_use, weighs

TOKENS = (5, 6, 4, 7)
DIM = 6


def memories(*, absent=None):
    torch.manual_seed(2)
    made = {}
    for name, slots in (("photo", 4), ("text", 3)):
        mask = torch.full((1, slots), name != absent)
        made[name] = Memory(torch.randn(1, slots, DIM), mask, Tokens())
    return made


def decoder(fusion=Hierarchical, attention=Additive):
    torch.manual_seed(3)
    specs = {name: MemorySpec(DIM) for name in ("photo", "text")}
    made = LSTMDecoder(
        9,
        specs,
        embedding_dim=5,
        hidden_dim=8,
        attention=attention,
        fusion=partial(fusion, dim=7),
        initial_state="zero",
    )
    return made.eval()


@pytest.mark.parametrize("fusion", [Hierarchical, Gate])
def test_the_shares_of_the_sources_sum_to_one(fusion):
    use = source_use(decoder(fusion), memories(), TOKENS)
    both = torch.tensor([use.shares["photo"], use.shares["text"]])
    assert both.shape == (2, len(TOKENS) + 1)
    torch.testing.assert_close(both.sum(0), torch.ones(len(TOKENS) + 1))
    assert both.std(1).min() > 0
    without = source_use(decoder(fusion), memories(absent="text"), TOKENS)
    assert without.shares["text"] == [0.0] * (len(TOKENS) + 1)


def test_a_share_is_the_part_of_the_context_that_comes_from_the_source():
    fusion = decoder().recurrence.fusion
    query = torch.randn(1, 2, 8)
    with torch.no_grad():
        alone = [
            fusion(query, fusion.prepare(memories(absent=other)), None)[0]
            for other in ("text", "photo")
        ]
        keys = fusion.prepare(memories())
        context, _, _ = fusion(query, keys, None)
        shares = fusion.shares(query, keys, None)
    torch.testing.assert_close(
        sum(shares[..., k, None] * alone[k] for k in range(2)), context, atol=1e-6, rtol=1e-5
    )


def test_a_gate_is_what_is_left_of_the_context():
    gated = Gated(8, DIM).eval()
    query, memory = torch.randn(1, 3, 8), memories()["photo"]
    with torch.no_grad():
        context, _, _ = gated(query, gated.prepare(memory), None)
        whole, _, _ = gated.attention(query, gated.attention.prepare(memory), None)
        torch.testing.assert_close(gated.openness(query).unsqueeze(2) * whole, context)
    use = source_use(decoder(attention=Gated), memories(), TOKENS)
    assert use.gates.keys() == {"photo", "text"}
    assert all(0 < value < 1 for values in use.gates.values() for value in values)


def test_a_decoder_without_either_has_nothing_to_say():
    plain = LSTMDecoder(9, {"text": MemorySpec(DIM)}, embedding_dim=5, hidden_dim=8)
    assert not weighs(plain)
    assert weighs(decoder())
