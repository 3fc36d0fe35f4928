"""The decoder: step = forward, batch = singles, and every order of cell, look and output."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from multiattn.engine.attention import Additive, Multiplicative
from multiattn.engine.attention_wrappers import Coverage, Location, MultiHead
from multiattn.engine.batch import Packing, Targets
from multiattn.engine.decoder import DecoderOutput, LSTMDecoder, ScheduledSampling
from multiattn.engine.fusion import Concat, Gate, Hierarchical
from multiattn.engine.memory import Memory, MemorySpec
from multiattn.engine.output_layer import Copy, Deep, Linear
from multiattn.engine.recurrence import Bahdanau, InputFeeding, Luong
from multiattn.engine.recurrence_variants import Conditional
from multiattn.engine.trees import tree_map
from multiattn.symbols import BOS, EOS

pytestmark = pytest.mark.usefixtures("double")

VOCABULARY, HIDDEN = 11, 6
SPECS = {"text": MemorySpec(6, 3), "photo": MemorySpec(4)}
RECURRENCES = {
    "bahdanau": partial(Bahdanau, layers=2),
    "luong": partial(Luong, layers=2),
    "input feeding": InputFeeding,
    "conditional": Conditional,
}
ATTENTIONS = {
    "additive": partial(Additive, dim=5),
    "multiplicative": Multiplicative,
    "location": partial(Location, of=Multiplicative, filters=2, width=3),
    "two heads of coverage": partial(MultiHead, of=partial(Coverage, of=Multiplicative), heads=2),
}
FUSIONS = {
    "concat": Concat,
    "hierarchical": partial(Hierarchical, dim=5),
    "gate": partial(Gate, dim=5),
}
OUTPUTS = {
    "linear": Linear,
    "tied deep": partial(Deep, tied=True),
    "copy": partial(Copy, of=partial(Deep, tied=True)),
}
# Every recurrence, attention, fusion and output once or twice, for the slower questions.
FORMS = {
    "bahdanau": ("bahdanau", "additive", "concat", "copy"),
    "luong": ("luong", "multiplicative", "concat", "linear"),
    "luong, recurrent attention": ("luong", "location", "hierarchical", "copy"),
    "input feeding": ("input feeding", "additive", "gate", "copy"),
    "input feeding, heads": ("input feeding", "two heads of coverage", "concat", "tied deep"),
    "conditional": ("conditional", "location", "gate", "linear"),
    "conditional, heads": ("conditional", "two heads of coverage", "hierarchical", "copy"),
}
every_recurrence = pytest.mark.parametrize("recurrence", RECURRENCES)
every_form = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
close = partial(torch.testing.assert_close, rtol=1e-9, atol=1e-11)


def build(recurrence, attention, fusion, output, specs=SPECS, initial_state="summary"):
    return LSTMDecoder(
        VOCABULARY,
        specs,
        embedding_dim=5,
        hidden_dim=HIDDEN,
        recurrence=RECURRENCES[recurrence],
        attention=ATTENTIONS[attention],
        fusion=FUSIONS[fusion],
        output=OUTPUTS[output],
        initial_state=initial_state,
    )


@pytest.fixture
def memories(memory_of) -> dict[str, Memory]:
    """Three inputs; the second has no photo, the third no text, from which words are copied."""
    text = memory_of([4, 2, 0], 6, summary=3)
    symbols = torch.tensor([[4, 5, 4, -1], [6, 10, 0, 0], [0, 0, 0, 0]])
    return {"text": replace(text, symbols=symbols), "photo": memory_of([2, 0, 3], 4)}


@pytest.fixture
def targets(targets_of) -> Targets:
    """Two, five and four tokens: not in falling order."""
    return targets_of([4], [6, 10, 6, 8], [7, 7, 5])


def one_of(row: int, targets: Targets, memories: dict[str, Memory]):
    """One input alone, without any padding."""
    length = int(targets.lengths[row])
    alone = Targets(targets.tokens[row : row + 1, :length], targets.lengths[row : row + 1])
    cut = {}
    for name, memory in memories.items():
        slots = max(int(memory.mask[row].sum()), 1)
        short = memory.select(torch.tensor([row]))
        cut[name] = replace(
            short,
            values=short.values[:, :slots],
            mask=short.mask[:, :slots],
            symbols=None if short.symbols is None else short.symbols[:, :slots],
        )
    return alone, cut


def stepped(decoder, words: Tensor, memories) -> tuple[Tensor, dict[str, Tensor]]:
    """Words (B, T) read step by step -> scores (B, T, V), weights (B, T, S) per source."""
    shared, state = decoder.begin(memories, len(words))
    scores, weights = [], []
    for step in range(words.size(1)):
        score, state, weight = decoder.step(words[:, step : step + 1], state, shared)
        scores.append(score)
        weights.append(weight)
    return torch.cat(scores, 1), {
        name: torch.cat([weight[name] for weight in weights], 1) for name in memories
    }


def padded(output: DecoderOutput, steps: int) -> Tensor:
    """Packed scores (M, V) -> (B, T, V), zeros past the targets' ends."""
    batch_size = int(output.rows.max()) + 1
    spread = output.scores.new_zeros(batch_size, steps, VOCABULARY)
    return spread.index_put((output.rows, output.steps), output.scores)


def real(targets: Targets) -> Tensor:
    return torch.arange(targets.tokens.size(1)) < targets.lengths.unsqueeze(1)


@pytest.mark.parametrize("sources", [("text", "photo"), ("text",)], ids=len)
@pytest.mark.parametrize(
    "form", list(itertools.product(RECURRENCES, ATTENTIONS, FUSIONS, OUTPUTS)), ids=", ".join
)
@torch.no_grad()
def test_step_is_forward(form, sources, targets, memories):
    memories = {name: memories[name] for name in sources}
    decoder = build(*form, specs={name: SPECS[name] for name in sources})
    output = decoder(targets, memories, keep=("weights",))
    scores, weights = stepped(decoder, targets.inputs(), memories)
    mask = real(targets)
    close(padded(output, 5)[mask], scores[mask])
    for name, kept in output.kept["weights"].items():
        close(kept[mask], weights[name][mask])
        assert not kept[~mask].any()


@every_form
@torch.no_grad()
def test_a_batch_is_its_inputs_one_by_one(form, targets, memories):
    decoder = build(*form)
    together = padded(decoder(targets, memories), 5)
    shared, state = decoder.begin(memories, 3)
    first, _, _ = decoder.step(torch.full((3, 1), BOS), state, shared)
    for row in range(3):
        alone, cut = one_of(row, targets, memories)
        close(decoder(alone, cut).scores, together[row, : alone.lengths[0]])
        shared, state = decoder.begin(cut, 1)
        scores, _, _ = decoder.step(torch.full((1, 1), BOS), state, shared)
        close(scores, first[row : row + 1])


@every_form
@torch.no_grad()
def test_padding_targets_and_memories_changes_nothing(form, targets, memories):
    decoder = build(*form)
    longer = Targets(F.pad(targets.tokens, (0, 3)), targets.lengths)
    wider = {
        name: replace(
            memory,
            values=F.pad(memory.values, (0, 0, 0, 2)),
            mask=F.pad(memory.mask, (0, 2)),
            symbols=None if memory.symbols is None else F.pad(memory.symbols, (0, 2)),
        )
        for name, memory in memories.items()
    }
    plain = decoder(targets, memories, keep=("weights",))
    found = decoder(longer, wider, keep=("weights",))
    assert torch.equal(found.rows, plain.rows)
    assert torch.equal(found.steps, plain.steps)
    close(found.scores, plain.scores)
    for name, kept in plain.kept["weights"].items():
        close(found.kept["weights"][name][..., : kept.size(2)], kept)


@every_form
@torch.no_grad()
def test_the_order_in_which_memories_are_named_does_not_matter(form, targets, memories):
    decoder = build(*form)
    backwards = {name: memories[name] for name in reversed(memories)}
    close(decoder(targets, backwards).scores, decoder(targets, memories).scores)


@every_form
@torch.no_grad()
def test_hypotheses_reordered_by_indexing_are_as_if_read_again(form, memories):
    """Three hypotheses per input; after two steps the third is kept once and the first twice."""
    decoder = build(*form)
    words, kept = torch.randint(4, VOCABULARY, (3, 3, 3)), [2, 0, 0]  # words (T, B, N)
    shared, state = decoder.begin(memories, 3)
    state = tree_map(lambda leaf: leaf.expand(-1, 3, *leaf.shape[2:]), state)
    for step in range(2):
        _, state, _ = decoder.step(words[step], state, shared)
    state = tree_map(lambda leaf: leaf[:, kept], state)
    scores, _, weights = decoder.step(words[2], state, shared)
    for place, history in enumerate(kept):
        again = torch.stack([words[0][:, history], words[1][:, history], words[2][:, place]], 1)
        expected, looks = stepped(decoder, again, memories)
        close(scores[:, place], expected[:, -1])
        for name, look in looks.items():
            close(weights[name][:, place], look[:, -1])


@every_form
@torch.no_grad()
def test_inputs_leave_and_swap_by_indexing_state_and_shared(form, memories):
    decoder, rows = build(*form), torch.tensor([2, 0])
    words = torch.randint(4, VOCABULARY, (3, 2))
    shared, state = decoder.begin(memories, 3)
    _, state, _ = decoder.step(words[:, :1], state, shared)
    shared, state = tree_map(lambda leaf: leaf[rows], (shared, state))
    scores, _, _ = decoder.step(words[rows, 1:], state, shared)
    chosen = {name: memory.select(rows) for name, memory in memories.items()}
    expected, _ = stepped(decoder, words[rows], chosen)
    close(scores, expected[:, 1:])


@every_form
def test_every_parameter_gets_a_gradient(form, targets, memories):
    decoder = build(*form)
    output = decoder(targets, memories)
    gold = targets.tokens[output.rows, output.steps]
    F.cross_entropy(output.scores, gold).backward()
    for name, parameter in decoder.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name
        assert parameter.grad.isfinite().all(), name


def cast(memories: dict[str, Memory], dtype: torch.dtype) -> dict[str, Memory]:
    return tree_map(lambda leaf: leaf.to(dtype) if leaf.is_floating_point() else leaf, memories)


@every_form
@torch.no_grad()
def test_single_precision_matches_double(form, targets, memories):
    decoder = build(*form)
    wide = decoder(targets, memories).scores
    single = cast(memories, torch.float32)
    narrow = decoder.float()(targets, single).scores.double()
    assert (narrow - wide).norm() < 1e-5 * wide.norm()


@every_form
def test_bfloat16_runs_forward_and_back(form, targets, memories):
    decoder = build(*form).bfloat16()
    scores = decoder(targets, cast(memories, torch.bfloat16)).scores
    assert scores.isfinite().all()
    scores.float().square().mean().backward()
    assert all(leaf.grad.isfinite().all() for leaf in decoder.parameters())


@every_form
def test_mixed_precision_runs_forward_and_back_and_step_by_step(form, targets, memories):
    decoder = build(*form).float()
    single = cast(memories, torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        scores = decoder(targets, single).scores
        loss = F.cross_entropy(scores.float(), targets.tokens[real(targets)])
        stepwise, _ = stepped(decoder, targets.inputs(), single)
    assert stepwise.isfinite().all()
    loss.backward()
    assert all(leaf.grad.isfinite().all() for leaf in decoder.parameters())


def test_packed_rows_are_the_real_tokens_step_by_step_longest_first():
    packing = Packing.of(torch.tensor([2, 4, 1, 4]))
    order = sorted(range(4), key=lambda row: -[2, 4, 1, 4][row])
    expected = [
        (order[place], step, place)
        for step in range(4)
        for place in range(4)
        if step < [2, 4, 1, 4][order[place]]
    ]
    found = zip(packing.rows.tolist(), packing.steps.tolist(), packing.places.tolist(), strict=True)
    assert list(found) == expected
    assert packing.counts == (4, 3, 2, 2)


def test_what_is_fed_is_bos_and_then_the_words(targets):
    assert targets.tokens[1].tolist() == [6, 10, 6, 8, EOS]
    assert targets.inputs()[1].tolist() == [BOS, 6, 10, 6, 8]


@torch.no_grad()
def test_kept_weights_sum_to_one_where_a_word_is_written(targets, memories):
    decoder = build("input feeding", "additive", "concat", "linear")
    kept = decoder(targets, memories, keep=("weights",)).kept["weights"]
    for name, memory in memories.items():
        sums = kept[name].sum(-1)
        close(sums, (real(targets) & memory.mask.any(1, keepdim=True)).to(sums))
    assert decoder(targets, memories).kept == {}


@every_form
@torch.no_grad()
def test_scheduled_sampling_at_rate_zero_is_teacher_forcing(form, targets, memories):
    decoder = build(*form)
    forced = decoder(targets, memories, keep=("weights",))
    sampled = decoder(targets, memories, ScheduledSampling(0.0), keep=("weights",))
    close(sampled.scores, forced.scores)
    for name, kept in forced.kept["weights"].items():
        close(sampled.kept["weights"][name], kept)


@every_form
@torch.no_grad()
def test_scheduled_sampling_at_rate_one_feeds_the_samples_it_draws(form, targets, memories):
    decoder, fed = build(*form), []

    class Recorded(ScheduledSampling):
        def choose(self, gold: Tensor, scores: Tensor) -> Tensor:
            fed.append(super().choose(gold, scores))
            return fed[-1]

    output = decoder(targets, memories, Recorded(1.0))
    words = torch.full((3, 5), BOS)
    order = Packing.of(targets.lengths).order
    for step, chosen in enumerate(fed, 1):
        words[order[: len(chosen)], step] = chosen
    assert not torch.equal(words, targets.inputs())
    scores, _ = stepped(decoder, words, memories)
    close(padded(output, 5)[real(targets)], scores[real(targets)])


def test_a_fed_word_is_gold_or_drawn_from_the_scores_at_the_rate():
    gold, scores = torch.zeros(20_000, dtype=torch.long), torch.log(torch.tensor([0.0, 0.3, 0.7]))
    fed = ScheduledSampling(0.4).choose(gold, scores.expand(20_000, 3))
    shares = torch.bincount(fed, minlength=3) / 20_000
    torch.testing.assert_close(shares, torch.tensor([0.6, 0.12, 0.28]), rtol=0, atol=0.02)
    assert torch.equal(ScheduledSampling(0.0).choose(gold, scores.expand(20_000, 3)), gold)
    assert ScheduledSampling(1.0).choose(gold, scores.expand(20_000, 3)).all()


@every_recurrence
@pytest.mark.parametrize("output", OUTPUTS)
def test_without_sources_a_decoder_is_a_language_model(recurrence, output, targets):
    decoder = build(recurrence, "additive", "concat", output, specs={})
    packed = decoder(targets, {}, keep=("weights",))
    assert packed.kept["weights"] == {}
    scores, _ = stepped(decoder, targets.inputs(), {})
    mask = real(targets)
    close(padded(packed, 5)[mask], scores[mask])
    alone = decoder(*one_of(1, targets, {}))
    close(alone.scores, scores[1])
    fed = decoder(targets, {}, ScheduledSampling(0.0))
    close(fed.scores, packed.scores)
    packed.scores.square().sum().backward()
    unused = {name for name, leaf in decoder.named_parameters() if leaf.grad is None}
    frozen = {name for name, leaf in decoder.named_parameters() if not leaf.requires_grad}
    gates = {name for name in unused if "output.write_" in name}  # nothing to copy from
    assert unused - gates == frozen


@torch.no_grad()
def test_states_start_at_zero_or_at_a_map_of_means_or_summaries(memories):
    means = {
        name: torch.stack(
            [
                values[mask].sum(0) / max(int(mask.sum()), 1)
                for values, mask in zip(memory.values, memory.mask, strict=True)
            ]
        )
        for name, memory in memories.items()
    }
    seen = {
        "mean": torch.cat([means["text"], means["photo"]], 1),
        "summary": torch.cat([memories["text"].summary, means["photo"]], 1),  # a photo has none
    }
    for kind, view in seen.items():
        decoder = build("bahdanau", "additive", "concat", "linear", initial_state=kind)
        bridge = decoder.initial_state.bridge
        start = torch.tanh(view @ bridge.weight.T + bridge.bias).split(HIDDEN, 1)
        _, state = decoder.begin(memories, 3)
        for layer in range(2):
            for part in range(2):
                close(state.layers[layer][part].squeeze(1), start[2 * layer + part])
    decoder = build("bahdanau", "additive", "concat", "linear", initial_state="zero")
    _, state = decoder.begin(memories, 3)
    for layer in state.layers:
        assert all(leaf.shape == (3, 1, HIDDEN) and not leaf.any() for leaf in layer)


@every_form
def test_shared_and_state_have_the_leading_dimensions_that_search_relies_on(form, memories):
    shared, state = build(*form).begin(memories, 3)
    for tree, leading in [(shared, (3,)), (state, (3, 1))]:
        shapes: list[torch.Size] = []
        tree_map(lambda leaf, shapes=shapes: shapes.append(leaf.shape), tree)
        assert {shape[: len(leading)] for shape in shapes} == {leading}
