"""What objectives, scorers, metrics, normalisers, aligners and renderers promise.

Letters: B batch, N hypotheses, T output tokens, S slots, V vocabulary.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from unittest import SkipTest

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from multiattn.data.collation import Batch
from multiattn.engine.memory import Grid, Layout, Memory, MemorySpec, Time, Tokens
from multiattn.engine.model import Model
from multiattn.prediction.rendering import AttentionRecord
from multiattn.prediction.word_times import Evidence
from multiattn.registry.host import Host, Row
from multiattn.testing.fixtures import (
    VOCABULARY,
    WIDTH,
    build,
    expect,
    expect_close,
    memory_of,
    select,
    targets_of,
)

SLOTS = (12, 9, 10)  # enough of them for an objective that aligns slots and words
LENGTHS = (4, 6, 2)
SINGLE_PRECISION = 1e-5  # relative: a loss may be computed in float32


def _loss(host: Host, objective: Any, rows: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Sum and count of an objective over these rows of one batch, under a fixed model."""
    memories = {"source": select(memory_of(SLOTS, symbols=True), rows)}
    specs = {"source": MemorySpec(WIDTH, WIDTH)}
    small = {"embedding_dim": WIDTH, "hidden_dim": WIDTH}
    decoder = build(host, "decoder", "multiattn/lstm", VOCABULARY, specs, **small)
    heads: Mapping[str, nn.Module] = objective.heads(VOCABULARY, specs)
    model = Model({}, decoder, heads).double().eval()
    targets = select(targets_of(LENGTHS), rows)
    batch = Batch(tuple(f"example {row}" for row in rows), {}, targets)
    output = decoder(targets, memories, None, objective.keep)
    found: tuple[Tensor, Tensor] = objective.loss(model, batch, memories, output)
    return found


def shards_of_a_batch_add_up_to_it(host: Host, row: Row) -> None:
    """A step may be cut into shards and processes: sums and counts are only ever added."""
    objective = build(host, "objective", row.full_name)
    torch.manual_seed(0)
    whole = _loss(host, objective, [0, 1, 2])
    shards = []
    for rows in ([0, 2], [1]):
        torch.manual_seed(0)
        shards.append(_loss(host, objective, rows))
    for position, name in enumerate(("sum", "count")):
        added = torch.stack([shard[position].double() for shard in shards]).sum()
        sentence = f"expected the shards' {name}s to add up"
        expect_close(added, whole[position].double(), sentence, SINGLE_PRECISION)
    expect(bool(whole[1] > 0), f"expected a count above 0, got {whole[1]}")


def _heads(host: Host) -> dict[str, nn.Module]:
    """Those that any objective trains; a scorer may ask for one."""
    heads: dict[str, nn.Module] = {}
    for row in host.records("objective"):
        try:
            objective = build(host, "objective", row.full_name)
            heads |= objective.heads(VOCABULARY, {"source": MemorySpec(WIDTH, WIDTH)})
        except (AssertionError, SkipTest):
            continue  # its own checks say so
    return {name: head.double().eval() for name, head in heads.items()}


def a_scorer_follows_hypotheses(host: Host, row: Row) -> None:
    """Additions per token within the ceiling; a state that is reordered by indexing."""
    scorer = build(host, "scorer", row.full_name)
    memories: dict[str, Memory] = {"source": memory_of(SLOTS)}
    shared, state = scorer.start(memories, _heads(host), len(SLOTS))
    tokens = torch.full((len(SLOTS), 1), 5)  # (B, N)
    mask = memories["source"].mask
    weights = {"source": (mask / mask.sum(1, keepdim=True)).double().unsqueeze(1)}  # (B, N, S)
    for _ in range(2):
        additions, state = scorer.score(tokens, weights, state, shared)
        shape = tuple(additions.shape)
        expect(
            shape in ((len(SLOTS), 1, 1), (len(SLOTS), 1, VOCABULARY)),
            f"expected additions (B, N, 1) or (B, N, V), got {shape}",
        )
        expect(bool((additions <= scorer.ceiling).all()), "expected no addition over the ceiling")
    final = scorer.finish(state, shared)
    if final is not None:
        expect(tuple(final.shape) == (len(SLOTS), 1), "expected final terms (B, N)")
        expect(bool((final <= 0).all()), "expected final terms of at most 0")
        later_state, later_shared = select((state, shared), [2, 0, 1])
        moved = scorer.finish(later_state, later_shared)
        expect_close(moved, final[[2, 0, 1]], "expected final terms to move with their inputs")


def a_metric_names_its_record_and_prefers_what_is_right(host: Host, row: Row) -> None:
    """Statistics (n, k), a value of the record's name, the perfect output no worse than another."""
    metric = build(host, "metric", row.full_name)
    references = [["a cat sat on the old red mat today"], ["two birds sang in the tall green tree"]]
    right = [each[0] for each in references]
    wrong = ["two birds sat on the mat", "nobody sang"]
    values = []
    for hypotheses in (right, wrong):
        rows = np.asarray(metric.statistics(hypotheses, references))
        expect(rows.ndim == 2 and len(rows) == 2, f"expected statistics (n, k), got {rows.shape}")
        aggregated = metric.aggregate(rows.sum(0), len(rows))
        name = row.record.name
        expect(name in aggregated, f"expected a value called {name!r}, got {list(aggregated)}")
        values.append(aggregated[name])
    better = values[0] - values[1]
    higher = getattr(row.record, "higher_is_better", True)
    expect(better >= 0 if higher else better <= 0, f"expected the right output better: {values}")
    expect(bool(metric.signature().strip()), "expected a signature")


def a_metric_shows_errors_by_id(host: Host, row: Row) -> None:
    """Where a metric has ``details``, the page names the example that is wrong."""
    metric = build(host, "metric", row.full_name)
    if not hasattr(metric, "details"):
        return
    right, wrong = "a cat sat on the mat", "nobody sang today"
    page = metric.details([right, wrong], [[right], [right]], ["first", "second"])
    expect("second" in page, f"expected the example that is wrong by its id, got {page!r}")


def a_normaliser_is_done_after_once(host: Host, row: Row) -> None:
    """Text to text, the same when applied twice, and one word for the signature."""
    normalise = build(host, "normaliser", row.full_name)
    for text in ("", "  Mr. O'Neill can't — won't! \t", "[noise] uh, 3.5 % ǅ ﬁ Straße İ", "你好 ।"):
        once = normalise(text)
        expect(isinstance(once, str), f"expected a text, got {once!r}")
        again = normalise(once)
        expect(again == once, f"expected {once!r} to stay as it is, got {again!r}")
    name = normalise.signature()
    expect(
        bool(name) and not set(name) & set("| :\n"),
        f"expected one word without '|' and ':' as signature, got {name!r}",
    )


LAYOUTS: dict[str, Layout] = {"tokens": Tokens(), "grid": Grid(3, 4), "time": Time(0.04)}
SPELLED = (("one", 0, 1), ("two", 1, 3))  # words of three tokens


def _layout(row: Row) -> Layout:
    kind = getattr(row.record, "layout", "")
    if kind not in LAYOUTS:
        raise SkipTest(f"no memory of the layout {kind!r} can be made here")
    return LAYOUTS[kind]


def _looks() -> Tensor:
    """(T + 1, S): three tokens and the end look at one slot each, from left to right."""
    return torch.eye(SLOTS[0])[[1, 4, 6, 11]]


def an_aligner_gives_every_word_its_time(host: Host, row: Row) -> None:
    """In order, within the input, with a confidence; by attention alone and with a CTC head."""
    memory = replace(memory_of(SLOTS[:1]), layout=_layout(row))
    heads = nn.ModuleDict({"ctc": nn.Linear(WIDTH, VOCABULARY).double()})
    aligner = build(host, "aligner", row.full_name)
    for known in ({}, dict(heads.items())):
        evidence = Evidence(
            "source", {"source": memory}, known, (4, 5, 5), SPELLED, (-0.1,) * 4, _looks()
        )
        with torch.inference_mode():
            timed = aligner.align(evidence)
        words = [word.word for word in timed]
        expect(words in ([], ["one", "two"]), f"expected a time for every word, got {words}")
        for word in timed:
            expect(0 <= word.start < word.end, f"expected start before end, got {word}")
            expect(0 <= word.confidence <= 1, f"expected a confidence of 0 to 1, got {word}")
        starts = [word.start for word in timed]
        expect(starts == sorted(starts), f"expected words in their order, got {timed}")
    silent = Evidence("source", {"source": memory}, {}, (), (), (-0.1,), _looks()[:1])
    expect(not aligner.align(silent), "expected no times where there are no words")


def a_renderer_draws_what_it_is_given(host: Host, row: Row) -> None:
    """Some words, or none, over an input that may not be there any more; no word is a formula."""
    renderer = build(host, "renderer", row.full_name)
    labels = ("$x^$", *(f"slot{number}" for number in range(1, SLOTS[0])))
    for words in (("one", "two", "$y^$"), ()):
        weights = _looks()[: len(words)].numpy()
        record = AttentionRecord("source", "nowhere", labels, words, weights, _layout(row))
        figure = Figure()
        renderer.draw(figure, record)
        figure.savefig(io.BytesIO(), format="png")
        expect(bool(figure.axes), "expected something drawn, got an empty figure")


OBJECTIVE_CHECKS = (shards_of_a_batch_add_up_to_it,)
SCORER_CHECKS = (a_scorer_follows_hypotheses,)
METRIC_CHECKS = (
    a_metric_names_its_record_and_prefers_what_is_right,
    a_metric_shows_errors_by_id,
)
NORMALISER_CHECKS = (a_normaliser_is_done_after_once,)
ALIGNER_CHECKS = (an_aligner_gives_every_word_its_time,)
RENDERER_CHECKS = (a_renderer_draws_what_it_is_given,)
