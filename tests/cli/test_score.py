"""`multiattn score` and `compare` with metrics of a one-file plugin: tables, JSON, bad input."""

import gzip
import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from multiattn.cli import app
from multiattn.cli.score_tables import group_table, print_table, score_table
from multiattn.scoring.intervals import Score
from multiattn.scoring.results import Results

PLUGIN = """
import numpy as np
from multiattn import hookimpl
from multiattn import Metric

@hookimpl
def multiattn_components():
    yield Metric(name="hits", target="hits_metric:Hits", summary="outputs that some reference is",
                 higher_is_better=True, unit="0-1")
    yield Metric(name="misses", target="hits_metric:Misses", summary="the others, in percent",
                 higher_is_better=False, unit="0-100")
    yield Metric(name="exact", target="hits_metric:Exact", summary="hits, without a setting",
                 higher_is_better=True, unit="0-1")

class Hits:
    def __init__(self, *, lowercase: bool = False):
        self.lowercase = lowercase

    def statistics(self, hypotheses, references):
        fold = str.lower if self.lowercase else str
        pairs = zip(hypotheses, references, strict=True)
        return np.array([[fold(text) in map(fold, targets)] for text, targets in pairs])

    def aggregate(self, sums, count):
        return {"hits": sums[0] / count}

    def signature(self):
        return f"case:{'lc' if self.lowercase else 'mixed'}|version:1"

class Misses(Hits):
    def __init__(self, *, lowercase: bool = False):
        super().__init__(lowercase=lowercase)

    def aggregate(self, sums, count):
        return {"misses": 100 * (1 - sums[0] / count)}

class Exact(Hits):
    def aggregate(self, sums, count):
        return {"exact": sums[0] / count}

    def tokens(self, texts):
        return [text.split() for text in texts]

    def warnings(self, hypotheses, references):
        return ["it means nothing; do without"] if hypotheses[0] == "?" else []
"""
REFERENCES = [f"Sentence {place}." for place in range(100)]
GOOD = [*REFERENCES[:80], *["?"] * 20]
POOR = [*["?"] * 50, *REFERENCES[50:]]


@pytest.fixture(scope="module")
def plugin(tmp_path_factory):
    path = tmp_path_factory.mktemp("plugin") / "hits_metric.py"
    path.write_text(PLUGIN)
    return path


@pytest.fixture
def multiattn(plugin, tmp_path, monkeypatch):
    monkeypatch.setenv("MULTIATTN_PLUGINS", "")
    monkeypatch.chdir(tmp_path)
    for name, lines in (("ref", REFERENCES), ("good", GOOD), ("poor", POOR)):
        (tmp_path / name).write_text("\n".join(lines) + "\n")

    def call(*words, stdin=None):
        return CliRunner().invoke(app, ["--plugin", str(plugin), *words], input=stdin)

    return call


@pytest.fixture
def mistake(multiattn):
    """Run a command that must end in one sentence and exit code 2; return the sentence."""

    def call(*words, **kwargs):
        result = multiattn(*words, **kwargs)
        assert (result.exit_code, result.stdout) == (2, ""), result.output
        (line,) = result.stderr.splitlines()
        return line

    return call


def results(path, split, rows, recipe="summary: none\n"):
    folder = path / "results" / split
    folder.mkdir(parents=True)
    (path / "recipe.yaml").write_text(recipe)
    (folder / "hypotheses.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def rows(texts):
    return [
        {"id": f"test-{place}", "text": text, "score": 0, "references": [REFERENCES[place]]}
        for place, text in enumerate(texts)
    ]


def test_score_prints_a_table_with_unit_interval_and_signature(multiattn):
    result = multiattn("score", "hits", "--hyp", "good", "--ref", "ref")
    assert result.exit_code == 0, result.output
    header, _, row, *rest = filter(str.strip, result.stdout.splitlines())
    assert header.split()[:2] == ["metric", "score"]
    assert row.split()[:2] == ["hits", "80.00"]
    assert row.split()[-3:] == ["0-1", "×100", "100"]
    assert rest == ["hits|nrefs:1|bs:1000|seed:12345|case:mixed|version:1"]


def test_json_is_all_that_is_printed_and_keeps_the_official_scale(multiattn):
    result = multiattn("score", "hits", "misses", "--hyp", "good", "--ref", "ref", "--json")
    found = json.loads(result.stdout)
    assert list(found) == ["hits", "misses"]
    assert list(found["hits"]) == ["value", "low", "high", "unit", "signature", "count"]
    assert (found["hits"]["value"], found["misses"]["value"]) == pytest.approx((0.8, 20))
    assert 0.7 < found["hits"]["low"] < 0.8 < found["hits"]["high"] < 0.9


def test_settings_of_a_metric_are_set_and_signed(multiattn, tmp_path):
    (tmp_path / "loud").write_text("\n".join(GOOD).upper())
    command = ("score", "hits", "--hyp", "loud", "--ref", "ref", "--json")
    assert json.loads(multiattn(*command).stdout)["hits"]["value"] == 0
    found = json.loads(multiattn(*command, "--set", "lowercase=true").stdout)["hits"]
    assert found["value"] == 0.8
    assert "case:lc" in found["signature"]


def test_every_way_to_give_outputs_gives_the_same_score(multiattn, tmp_path):
    text = "\r\n".join(GOOD)
    (tmp_path / "good.gz").write_bytes(gzip.compress(text.encode("utf-8-sig")))
    results(tmp_path / "run", "test", rows(GOOD))
    (tmp_path / "good.jsonl.gz").write_bytes(
        gzip.compress((tmp_path / "run/results/test/hypotheses.jsonl").read_bytes())
    )
    ways = ("good", "good.gz", "good.jsonl.gz", "run", "run/results/test", "-")
    calls = [("score", "hits", "--hyp", way, "--ref", "ref", "--json") for way in ways]
    printed = {multiattn(*words, stdin=text).stdout for words in calls}
    assert len(printed) == 1
    assert json.loads(printed.pop())["hits"]["value"] == 0.8


def test_references_may_come_on_standard_input(multiattn):
    result = multiattn("score", "hits", "--hyp", "ref", "--ref", "-", stdin="\n".join(POOR))
    assert " 50.00 " in result.stdout


def test_several_files_of_references_are_several_references_of_each_output(multiattn):
    result = multiattn("score", "hits", "--hyp", "ref", "--ref", "good", "--ref", "poor", "--json")
    found = json.loads(result.stdout)["hits"]
    assert found["value"] == 1
    assert "nrefs:2" in found["signature"]


def test_rows_with_ids_are_matched_by_id(multiattn, tmp_path):
    for name, texts in (("hyp.jsonl", rows(GOOD)), ("ref.jsonl", rows(REFERENCES)[::-1])):
        (tmp_path / name).write_text("\n".join(map(json.dumps, texts)))
    result = multiattn("score", "hits", "--hyp", "hyp.jsonl", "--ref", "ref.jsonl")
    assert " 80.00 " in result.stdout


def test_a_run_brings_its_own_references(multiattn, tmp_path):
    results(tmp_path / "run", "test", rows(GOOD))
    score = multiattn("score", "hits", "--hyp", "run", "--json")
    assert json.loads(score.stdout)["hits"]["value"] == 0.8
    compare = multiattn("compare", "run", "poor", "--metric", "hits", "--json")
    assert json.loads(compare.stdout)["hits"]["difference"] == pytest.approx(-0.3)


def coco(texts):
    return [{"image_id": place, "caption": text} for place, text in enumerate(texts)]


def test_coco_results_are_matched_with_annotations_by_picture(multiattn, tmp_path):
    captions = [*coco(REFERENCES), *coco(["?"] * 100)]
    content = {"images": [], "annotations": captions[::-1]}
    (tmp_path / "annotations.json.gz").write_bytes(gzip.compress(json.dumps(content).encode()))
    (tmp_path / "good.json").write_text("\ufeff" + json.dumps(coco(GOOD)[::-1]), "utf-8")
    (tmp_path / "first.json").write_text(json.dumps(coco(POOR)[:60]))
    for name, value, count in (("good.json", 1, 100), ("first.json", 1, 60)):
        words = ("score", "hits", "--hyp", name, "--ref", "annotations.json.gz", "--json")
        found = json.loads(multiattn(*words).stdout)["hits"]
        assert (found["value"], found["count"]) == (value, count)
        assert "nrefs:2" in found["signature"]


def test_a_run_is_scored_against_coco_annotations(multiattn, tmp_path):
    results(tmp_path / "run", "test", [{"id": "7", "text": "a"}, {"id": "x.jpg", "text": "b"}])
    captions = [{"image_id": "x.jpg", "caption": "b"}, {"image_id": 7, "caption": "c"}]
    (tmp_path / "refs.json").write_text(json.dumps({"annotations": captions}))
    result = multiattn("score", "hits", "--hyp", "run", "--ref", "refs.json", "--json")
    assert json.loads(result.stdout)["hits"]["value"] == 0.5


def test_two_coco_results_are_compared(multiattn, tmp_path):
    for name, texts in (("good", GOOD), ("poor", POOR), ("ref", REFERENCES)):
        (tmp_path / f"{name}.json").write_text(json.dumps(coco(texts)))
    words = ("compare", "good.json", "poor.json", "--ref", "ref.json", "--metric", "hits")
    assert json.loads(multiattn(*words, "--json").stdout)["hits"]["difference"] == pytest.approx(
        -0.3
    )


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (
            "--hyp good.json --ref part.json",
            ["99 ('1', '2', '3', …) only in good.json"],
        ),
        ("--hyp good --ref part.json", ["ids", "part.json", "lines in good", "image_id"]),
        ("--hyp part.json --ref ref", ["COCO's [{", "part.json", "array"]),
        ("--hyp cut.json --ref ref", ["cut.json", "JSON"]),
        ("--hyp wrong.json --ref ref", ["wrong.json", "at 1.caption", "7"]),
        ("--hyp none.json --ref ref", ["got none in none.json"]),
        ("--hyp twice.json --ref ref", ["every id once in twice.json"]),
        ("--hyp good.json --ref scores.json", ["scores.json", '{"annotations"', "required"]),
    ],
)
def test_wrong_coco_json_is_one_sentence(mistake, tmp_path, words, parts):
    files = {
        "good": coco(GOOD),
        "part": {"annotations": coco(GOOD[:1])},
        "wrong": [*coco(["a"]), {"image_id": 1, "caption": 7}],
        "none": [],
        "twice": coco(["a"]) * 2,
        "scores": {"hits": 1},
    }
    for name, content in files.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    (tmp_path / "cut.json").write_text('[{"image_id"')
    sentence = mistake("score", "hits", *words.split())
    assert all(part in sentence for part in parts), sentence


def test_a_narrow_place_cuts_nothing_off(multiattn, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    result = multiattn("compare", "good", "good", "--ref", "ref", "--metric", "hits")
    assert "hits 80.00 80.00 0.00 0.00 to 0.00 0-1 ×100 1.0000 neither" in " ".join(
        result.stdout.split()
    )


def test_only_a_line_feed_ends_a_line(multiattn, tmp_path):
    (tmp_path / "odd").write_text("one\x0btwo\u2028three\x85four\n\n", encoding="utf-8")
    result = multiattn("score", "hits", "--hyp", "odd", "--ref", "odd", "--json")
    assert json.loads(result.stdout)["hits"]["count"] == 2


def test_compare_says_who_is_better_by_each_metrics_own_direction(multiattn):
    words = ("compare", "poor", "good", "--ref", "ref", "--metric", "hits", "--metric", "misses")
    result = multiattn(*words)
    assert result.exit_code == 0, result.output
    hits, misses = (
        line.split()
        for line in result.stdout.splitlines()
        if line.split()[:1] != ["metric"]
        and line.split()[1:3] in (["50.00", "80.00"], ["50.00", "20.00"])
    )
    assert (hits[3], hits[-1]) == ("30.00", "B")
    assert (misses[3], misses[-1]) == ("-30.00", "B")
    assert "A poor\nB good\nhits|nrefs:1|bs:1000|ar:10000|seed:12345|" in result.stdout


def test_compare_finds_no_difference_where_there_is_none(multiattn):
    found = json.loads(
        multiattn("compare", "good", "good", "--ref", "ref", "--metric", "hits", "--json").stdout
    )["hits"]
    assert (found["difference"], found["low"], found["high"], found["p_value"]) == (0, 0, 0, 1)
    assert found["first"] == found["second"]
    assert (
        " neither"
        in multiattn("compare", "good", "good", "--ref", "ref", "--metric", "hits").stdout
    )


def test_two_runs_are_compared_by_the_metrics_of_the_recipe(multiattn, tmp_path):
    recipe = (
        "corpus: {name: x}\nsources: {en: {field: en, reader: x, encoder: x}}\n"
        "target: {field: de}\ndecoder: x\n"
        "evaluation: {metrics: [{name: hits, lowercase: true}, misses]}\n"
    )
    results(tmp_path / "a", "test", rows(POOR), recipe)
    results(tmp_path / "b", "test", rows(GOOD)[::-1], recipe)
    found = json.loads(multiattn("compare", "a", "b", "--ref", "ref", "--json").stdout)
    assert found["hits"]["difference"] == pytest.approx(0.3)
    assert "case:lc" in found["hits"]["signature"]
    assert "case:mixed" in found["misses"]["signature"]


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ("hits --hyp good --ref absent", ["absent", "No such file"]),
        ("hits --hyp good --ref short", ["short", "good", "99 and 100"]),
        ("hits --hyp long --ref ref --ref ref", ["long", "ref", "100 and 101"]),
        ("hits --hyp nothing --ref ref", ["got nothing in nothing"]),
        ("hits --hyp latin --ref ref", ["UTF-8", "0xfc", "line 2 of latin"]),
        ("hits --hyp cut.gz --ref ref", ["cut.gz", "ended before"]),
        ("hits --hyp plain.gz --ref ref", ["plain.gz", "gzip"]),
        ("hits --hyp folder --ref ref", ["folder", "multiattn evaluate folder"]),
        ("hits --hyp run --ref ref", ["run/results/test, run/results/val"]),
        ("hits --hyp broken.jsonl --ref ref", ["line 2 of broken.jsonl", "'{\"text\"'"]),
        ("hits --hyp textless.jsonl --ref ref", ["line 1 of textless.jsonl", "required"]),
        ("hits --hyp twice.jsonl --ref ref", ["every id once", "twice.jsonl"]),
        (
            "hits --hyp run/results/val --ref other.jsonl",
            ["1 ('test-0') only", "('a') only"],
        ),
        ("hits --hyp - --ref -", ["twice"]),
        ("hits --hyp good", ["--ref", "good has no references"]),
        ("hit --hyp good --ref ref", ["'hit'", "hits"]),
        ("hits --hyp good --ref ref --set lower=true", ["'lower'", "lowercase"]),
        ("hits --hyp good --ref ref --set lowercase=perhaps", ["lowercase", "'perhaps'"]),
        ("hits --hyp good --ref ref --set lowercase", ["key=value"]),
        (
            "hits --hyp good --ref ref --set misses.lowercase=true",
            ["for hits", "'misses.lower"],
        ),
        (
            "hits exact --hyp good --ref ref --set lowercase=true",
            ["exact", "--set hits.lower"],
        ),
        ("hits --hyp good --ref ref --format text", ["plain", "kaldi", "'text'"]),
        ("hits --hyp good --ref ref --format jsonl", ["line 1 of good"]),
        ("hits --hyp half.jsonl --ref ref", ["in every line of half.jsonl", "1 ids in 2"]),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(mistake, tmp_path, words, parts):
    (tmp_path / "short").write_text("\n".join(REFERENCES[1:]))
    (tmp_path / "long").write_text("\n".join([*REFERENCES, ""]) + "\n")
    (tmp_path / "nothing").touch()
    (tmp_path / "latin").write_bytes("eins\nfünf".encode("latin-1"))
    (tmp_path / "cut.gz").write_bytes(gzip.compress("\n".join(GOOD).encode())[:-20])
    (tmp_path / "plain.gz").write_text("plain")
    (tmp_path / "folder").mkdir()
    results(tmp_path / "run", "test", rows(GOOD))
    results(tmp_path / "run2", "val", rows(["a"]))
    (tmp_path / "run2/results/val").rename(tmp_path / "run/results/val")
    (tmp_path / "broken.jsonl").write_text('{"text": "a"}\n{"text"')
    (tmp_path / "textless.jsonl").write_text('{"id": "a"}')
    (tmp_path / "twice.jsonl").write_text('{"id": "a", "text": "b"}\n{"id": "a", "text": "b"}')
    (tmp_path / "half.jsonl").write_text('{"id": "a", "text": "b"}\n{"text": "b"}')
    (tmp_path / "other.jsonl").write_text('{"id": "a", "text": "b"}')
    sentence = mistake("score", *words.split())
    assert all(part in sentence for part in parts), sentence


def test_a_comparison_of_unequal_systems_names_both(mistake, tmp_path):
    (tmp_path / "short").write_text("\n".join(REFERENCES[1:]))
    sentence = mistake("compare", "good", "short", "--ref", "ref", "--metric", "hits")
    assert "short" in sentence
    assert "99 and 100" in sentence


def test_a_comparison_of_plain_files_asks_for_a_metric(mistake):
    sentence = mistake("compare", "good", "poor", "--ref", "ref")
    assert "--metric" in sentence
    assert "exact, hits, misses" in sentence


def test_a_run_with_a_broken_recipe_asks_for_a_metric(mistake, tmp_path):
    results(tmp_path / "a", "test", rows(POOR), "corpus: [")
    results(tmp_path / "b", "test", rows(POOR), "corpus: 7")
    assert "recipe.yaml" in mistake("compare", "a", "good", "--ref", "ref")
    assert "--metric" in mistake("compare", "b", "good", "--ref", "ref")


def test_score_and_compare_need_no_torch(plugin, tmp_path):
    (tmp_path / "ref").write_text("a\nb\n")
    program = "import sys; sys.modules['torch'] = None; from multiattn.cli import main; main()"
    for command in (["score", "hits", "--hyp", "ref"], ["compare", "ref", "ref", "--metric=hits"]):
        subprocess.run(
            [sys.executable, "-c", program, "--plugin", plugin, *command, "--ref", "ref"],
            check=True,
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
        )


def test_markup_and_escapes_in_names_are_printed_as_text_in_tables(capsys):
    score = Score(0.5, 0.4, 0.6, "0-1", "s", 3)
    decoding = {"evaluation": {"group": "[b]speaker", "metrics": [{"name": "[red]wer"}]}}
    results = Results({}, decoding, {"[/x]\x1b[31m :smile:": {"[red]wer": score}})
    for table in (score_table({"[red]wer": score}), group_table(results)):
        print_table(table, [])
    printed = capsys.readouterr().out
    assert r"[/x]\x1b[31m :smile:" in printed
    assert printed.count("[red]wer") == 2
    assert "[b]speaker" in printed
    assert "\x1b" not in printed


def test_a_setting_of_one_metric_leaves_the_others(multiattn, tmp_path):
    (tmp_path / "loud").write_text("\n".join(GOOD).upper())
    words = ("score", "hits", "misses", "exact", "--hyp", "loud", "--ref", "ref", "--json")
    found = json.loads(multiattn(*words, "--set", "hits.lowercase=true").stdout)
    assert [found[name]["value"] for name in ("hits", "misses", "exact")] == [0.8, 100, 0]
    words = ("score", "hits", "misses", "--hyp", "loud", "--ref", "ref", "--json")
    for order in (1, -1):
        pair = ["--set=lowercase=true", "--set=misses.lowercase=false"][::order]
        found = json.loads(multiattn(*words, *pair).stdout)
        assert (found["hits"]["value"], found["misses"]["value"]) == (0.8, 100)


def test_compare_sets_one_metric_too(multiattn, tmp_path):
    (tmp_path / "loud").write_text("\n".join(GOOD).upper())
    words = ("compare", "loud", "loud", "--ref", "ref", "--metric=hits", "--metric=misses")
    found = json.loads(multiattn(*words, "--set", "hits.lowercase=true", "--json").stdout)
    assert (found["hits"]["first"]["value"], found["misses"]["first"]["value"]) == (0.8, 100)


def test_a_metrics_warnings_are_shown_and_in_the_json(multiattn, tmp_path):
    (tmp_path / "bad").write_text("?\n" * 99 + "\n")
    (tmp_path / "gaps").write_text("a\n" * 99 + "\n")
    expected = [
        "1 of 100 examples have no reference with a token (the first is example 100): nothing can "
        "match there, and a rate by their length is undefined; check these references or leave the "
        "examples out",
        "it means nothing; do without",
    ]
    score = multiattn("score", "exact", "--hyp", "bad", "--ref", "gaps")
    assert score.stderr.splitlines() == [f"warning: exact: {text}" for text in expected]
    score = multiattn("score", "exact", "--hyp", "bad", "--ref", "gaps", "--json")
    assert json.loads(score.stdout)["exact"]["warnings"] == expected
    words = ("compare", "gaps", "bad", "--ref", "gaps", "--metric", "exact", "--json")
    compare = multiattn(*words)
    found = json.loads(compare.stdout)["exact"]
    assert (found["first"]["warnings"], found["second"]["warnings"]) == (expected[:1], expected)
    assert compare.stderr.splitlines() == [f"warning: exact: {text}" for text in expected]


KALDI_REF = "u1 hello world\nu2 good morning all\n"
KALDI_HYP = "u2 good morning all\nu1 hello word\n"
TRN_HYP = "good morning all (u2)\nhello word (u1)\n"


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(("hyp", "title"), [(KALDI_HYP, "Kaldi text"), (TRN_HYP, "NIST trn")])
def test_kaldi_text_and_trn_are_recognised_said_and_matched_by_id(
    multiattn, tmp_path, hyp, title, zipped
):
    pack = gzip.compress if zipped else bytes
    trn = "hello world (u1)\ngood morning all (u2)\n"
    (tmp_path / "k.ref").write_bytes(pack((trn if title == "NIST trn" else KALDI_REF).encode()))
    (tmp_path / "k.hyp").write_bytes(pack(hyp.encode()))
    (tmp_path / "k.jsonl").write_text(
        '{"id": "u1", "text": "hello world"}\n{"id": "u2", "text": "good morning all"}\n'
    )
    for ref in ("k.ref", "k.jsonl"):
        result = multiattn("score", "hits", "--hyp", "k.hyp", "--ref", ref, "--json")
        assert json.loads(result.stdout)["hits"]["value"] == 0.5
        assert f"read k.hyp as {title}: 2 utterances" in result.stderr.splitlines()
    result = multiattn("score", "hits", "--hyp", "-", "--ref", "k.ref", stdin=hyp)
    assert f"read standard input as {title}: 2 utterances" in result.stderr.splitlines()
    words = ("compare", "k.ref", "k.hyp", "--ref", "k.ref", "--metric", "hits", "--json")
    assert json.loads(multiattn(*words).stdout)["hits"]["difference"] == -0.5
    plain = multiattn(
        "score", "hits", "--hyp", "k.hyp", "--ref", "k.hyp", "--format", "plain", "--json"
    )
    assert (json.loads(plain.stdout)["hits"]["value"], plain.stderr) == (1, "")


def test_json_without_a_telling_name_is_recognised_and_said(multiattn, tmp_path):
    lines = "\n".join(map(json.dumps, rows(GOOD)))
    result = multiattn("score", "hits", "--hyp", "-", "--ref", "ref", "--json", stdin=lines)
    assert json.loads(result.stdout)["hits"]["value"] == 0.8
    assert result.stderr.splitlines() == [
        "read standard input as JSON lines: 100 lines",
        "ref: no ids, so lines are matched by position; make sure that they are in the order of "
        "the other files",
    ]
    results = json.dumps(coco(GOOD))
    (tmp_path / "refs.json").write_text(json.dumps({"annotations": coco(REFERENCES)}))
    result = multiattn("score", "hits", "--hyp=-", "--ref=refs.json", "--json", stdin=results)
    assert json.loads(result.stdout)["hits"]["value"] == 0.8
    assert result.stderr == "read standard input as COCO's JSON: 100 pictures\n"


def test_ids_that_only_one_file_has_are_named(mistake, tmp_path):
    (tmp_path / "hyp").write_text("".join(f"utt{n} a b\n" for n in range(2, 10)))
    (tmp_path / "ref").write_text("".join(f"utt{n} a b\n" for n in range(8)))
    sentence = mistake("score", "hits", "--hyp", "hyp", "--ref", "ref")
    assert "got 2 ('utt8', 'utt9') only in hyp and 2 ('utt0', 'utt1') only in ref" in sentence
    (tmp_path / "twice").write_text("".join(f"utt{n % 8} a b\n" for n in range(9)))
    sentence = mistake("score", "hits", "--hyp", "twice", "--ref", "ref")
    assert "every id once in twice, got 1 ('utt0') more than once" in sentence
