"""A whole run, from recipe to report, seen from outside."""

from __future__ import annotations

import io
from collections import Counter

import tiny_runs
from rich.console import Console

from multiattn.prediction.predictor import attention_images
from multiattn.report.page import write_report
from multiattn.runs.run import train_and_evaluate


def test_a_run_and_its_report_read_each_split_once(tmp_path, monkeypatch):
    reads: Counter[str] = Counter()
    corpus = tiny_runs.host().target("corpus", "tiny-pairs")
    original = corpus.examples

    def counted(self, split, on_bad_row=None):
        reads[split] += 1
        return original(self, split, on_bad_row)

    monkeypatch.setattr(corpus, "examples", counted)
    request = tiny_runs.start(tmp_path)
    console = Console(file=io.StringIO())
    result = train_and_evaluate(request, tiny_runs.host(), console, attention_images)
    write_report([request.run], tiny_runs.host(), request.run.report, result.splits)
    assert reads == {"train": 1, "validation": 1, "test": 1}
