"""`multiattn score` and `compare` beyond a single score: clusters, tables, examples, systems."""

from __future__ import annotations

import csv
import io
import json

import pytest
from click.testing import CliRunner

from multiattn.cli import app

PLUGIN = """
from multiattn import Metric, hookimpl

@hookimpl
def multiattn_components():
    yield Metric(name="hits", target="pair_metrics:Hits", higher_is_better=True, unit="0-1",
                 summary="share of outputs that equal a reference")
    yield Metric(name="misses", target="pair_metrics:Misses", higher_is_better=False, unit="%",
                 summary="the others")

class Hits:
    def statistics(self, hypotheses, references):
        import numpy
        rows = [[float(text in own)] for text, own in zip(hypotheses, references)]
        return numpy.array(rows)

    def aggregate(self, sums, count):
        return {"hits": sums[0] / count}

    def signature(self):
        return "version:1"

class Misses(Hits):
    def aggregate(self, sums, count):
        return {"misses": 100 * (1 - sums[0] / count)}
"""
COUNT = 60


@pytest.fixture(scope="module")
def plugin(tmp_path_factory):
    path = tmp_path_factory.mktemp("plugin") / "pair_metrics.py"
    path.write_text(PLUGIN)
    return path


@pytest.fixture
def multiattn(plugin, tmp_path, monkeypatch):
    monkeypatch.setenv("MULTIATTN_PLUGINS", "")
    monkeypatch.chdir(tmp_path)
    right = [f"sentence {number}" for number in range(COUNT)]
    systems = {
        "good": [*right[:50], *["?"] * 10],
        "fair": [*["?"] * 30, *right[30:]],
        "same": [*right[:49], "?", right[50], *["?"] * 9],
    }
    header = "id,text,reference,speaker\n"
    for name, texts in systems.items():
        rows = (f"{n},{text},{right[n]},s{n % 3}\n" for n, text in enumerate(texts))
        (tmp_path / f"{name}.csv").write_text(header + "".join(rows))

    def call(*words):
        return CliRunner().invoke(app, ["--plugin", str(plugin), *words])

    return call


def test_three_systems_give_three_pairs_with_corrected_p_values(multiattn):
    files = ("good.csv", "fair.csv", "same.csv")
    done = multiattn("compare", *files, "--metric", "hits", "--json")
    assert done.exit_code == 0, done.output
    pairs = json.loads(done.stdout)["hits"]
    assert [pair["systems"] for pair in pairs] == [["A", "B"], ["A", "C"], ["B", "C"]]
    p_values = [pair["p_value"] for pair in pairs]
    order = sorted(range(3), key=p_values.__getitem__)
    expected = {}
    for rank, number in enumerate(order):
        before = expected[order[rank - 1]] if rank else 0.0
        expected[number] = max(before, min(1.0, (3 - rank) * p_values[number]))
    assert [pair["p_value_holm"] for pair in pairs] == [expected[number] for number in range(3)]
    table = multiattn("compare", *files, "--metric", "hits").stdout
    assert "A good.csv" in table
    assert "B - A" in table
    assert "p (Holm)" in table


def test_two_systems_and_one_metric_are_compared_as_before(multiattn):
    done = multiattn("compare", "good.csv", "fair.csv", "--metric", "hits", "--json")
    content = json.loads(done.stdout)["hits"]
    assert content.keys() == {
        "first",
        "second",
        "difference",
        "low",
        "high",
        "p_value",
        "signature",
    }
    table = multiattn("compare", "good.csv", "fair.csv", "--metric", "hits").stdout
    assert "Holm" not in table


def test_the_better_system_is_decided_by_the_corrected_p_value(multiattn):
    words = ("compare", "good.csv", "same.csv", "--metric", "hits", "--metric", "misses", "--json")
    content = json.loads(multiattn(*words).stdout)
    for each in content.values():
        assert each["p_value_holm"] == pytest.approx(min(1, 2 * each["p_value"]))


def test_one_system_cannot_be_compared(multiattn):
    done = multiattn("compare", "good.csv", "--metric", "hits")
    assert done.exit_code == 2
    assert "expected 2 to 26 systems to compare, got 1" in done.stderr


def test_the_examples_that_differ_most_are_printed_side_by_side(multiattn):
    done = multiattn("compare", "good.csv", "fair.csv", "--metric", "hits", "--examples", "1")
    assert (
        "\n0\n  reference  sentence 0\n  A   100.00  sentence 0\n  B     0.00  ?\n" in done.stdout
    )


def test_whole_speakers_are_drawn_and_the_signature_says_so(multiattn):
    done = multiattn("score", "hits", "--hyp", "good.csv", "--cluster", "speaker")
    assert "|cluster:speaker|clusters:3|ci:t|" in done.stdout
    assert "3 values of 'speaker'" in done.stderr
    plain = multiattn("score", "hits", "--hyp", "good.csv")
    assert "cluster" not in plain.stdout
    compared = multiattn(
        "compare", "good.csv", "fair.csv", "--metric", "hits", "--cluster", "speaker"
    )
    assert "|cluster:speaker|" in compared.stdout


def test_an_unknown_cluster_names_the_columns(multiattn):
    done = multiattn("score", "hits", "--hyp", "good.csv", "--cluster", "room")
    assert done.exit_code == 2
    assert "expected 'room' of every example" in done.stderr
    assert "choose from speaker" in done.stderr


def test_tables_for_papers(multiattn):
    words = ("score", "hits", "misses", "--hyp", "good.csv", "--table")
    rows = list(csv.reader(io.StringIO(multiattn(*words, "csv").stdout)))
    assert rows[0] == ["metric", "score", "95 % interval", "unit", "examples", "notes"]
    assert rows[1][:2] == ["hits", "83.33"]
    assert len({len(row) for row in rows}) == 1
    markdown = multiattn(*words, "markdown").stdout.splitlines()
    assert markdown[1] == "| --- | ---: | --- | --- | ---: |"
    assert markdown[0].count("|") == markdown[2].count("|")
    latex = multiattn(*words, "latex").stdout
    assert r"\begin{tabular}{lrllr}" in latex
    assert r"\% &" in latex
    assert "% hits|nrefs:1|" in latex
    done = multiattn(*words, "word")
    assert done.exit_code == 2
    assert "expected --table to be one of markdown, latex, csv, got 'word'" in done.stderr


def test_the_worst_outputs_are_printed_beside_their_references(multiattn):
    done = multiattn("score", "hits", "--hyp", "good.csv", "--worst", "1")
    assert "50  hits 0.00\n  reference  sentence 50\n  output     ?        **\n" in done.stdout


def test_details_are_written_to_a_new_folder(multiattn, tmp_path):
    done = multiattn("score", "hits", "--hyp", "good.csv", "--details", "details")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "details" / "groups.csv").read_text().count("speaker,s") == 3
    again = multiattn("score", "hits", "--hyp", "good.csv", "--details", "details")
    assert again.exit_code == 2


def test_missing_outputs_are_in_the_signature(multiattn, tmp_path):
    lines = (tmp_path / "good.csv").read_text().splitlines(keepends=True)
    (tmp_path / "part.csv").write_text("".join(lines[:41]))
    words = ("score", "hits", "--hyp", "part.csv", "--ref", "good.csv")
    assert multiattn(*words).exit_code == 2
    empty = multiattn(*words, "--missing", "empty")
    assert "|missing:empty|" in empty.stdout
    assert "no output for 20 ('40', '41', '42', …) of 60 examples" in empty.stderr
    assert "66.67" in empty.stdout
    assert "100.00" in multiattn(*words, "--missing", "skip").stdout


def test_columns_may_be_named_on_the_command_line(multiattn, tmp_path):
    (tmp_path / "own.csv").write_text("who,mine,gold\na,x,x\nb,y,z\n")
    roles = ("id=who", "text=mine", "reference=gold")
    named = [word for role in roles for word in ("--column", role)]
    assert "50.00" in multiattn("score", "hits", "--hyp", "own.csv", *named).stdout
    done = multiattn("score", "hits", "--hyp", "own.csv", "--column", "words=mine")
    assert "expected --column ROLE=NAME with one of the roles id, text, reference" in done.stderr
