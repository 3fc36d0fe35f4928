"""Runs that write together: what they write is what the mean of their probabilities says."""

from __future__ import annotations

import json
import shutil

import pytest
import tiny_runs
import torch
from click.testing import CliRunner

import multiattn
from multiattn.cli import app
from multiattn.errors import UserError
from multiattn.symbols import BOS, EOS


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Runs of one recipe with three seeds; the third has another width. And one of other tokens."""
    folder = tmp_path_factory.mktemp("runs")
    trained = [
        tiny_runs.trained(tiny_runs.start(folder, settings, run=f"run{number}"))
        for number, settings in enumerate([(), ("seed=2",), ("seed=3", "decoder.hidden_dim=20")])
    ]
    words = tiny_runs.start(folder, ("target.tokenizer.kind=word",), run="words")
    return [*trained, tiny_runs.trained(words)]


def load(run, *others, **options):
    named = json.dumps([str(other.path) for other in others])
    overrides = (f"search.ensemble={named}", *options.pop("overrides", ()))
    return multiattn.load(run.path, overrides=overrides, host=tiny_runs.host(), **options)


def probabilities(run, text, tokens):
    """P(token | those before) of each token and of the end, by the run alone: (T + 1, V)."""
    predictor = multiattn.load(run.path, host=tiny_runs.host(), device="cpu")
    model, readers = predictor.system.model, predictor.system.processors.readers
    found = []
    with torch.no_grad():
        batch = multiattn.data.collation.Collator(readers)(
            [multiattn.data.rows.Row("a", {"letters": text})]
        )
        shared, state = model.decoder.begin(model.encode(batch.sources, 1), 1)
        for token in (BOS, *tokens):
            scores, state, _ = model.decoder.step(torch.tensor([[token]]), state, shared)
            found.append(scores[0, 0].double().softmax(-1))
    return torch.stack(found)


@pytest.mark.parametrize("text", ["abc", "hgfedc"])
def test_an_output_is_as_probable_as_its_members_are_on_average(runs, text):
    first, *others = runs[:3]
    prediction = load(first, *others, device="cpu")(text)
    encode = multiattn.load(first.path, host=tiny_runs.host()).system.processors.tokenizer.encode
    tokens = encode(prediction.text)
    each = torch.stack([probabilities(run, text, tokens) for run in runs[:3]]).mean(0)
    written = torch.tensor([*tokens, EOS])
    total = each.gather(1, written.unsqueeze(1)).log().sum().item()
    assert prediction.log_probability == pytest.approx(total, rel=1e-5)


def test_greedy_words_are_the_likeliest_on_average(runs):
    first, second, _, _ = runs
    prediction = load(first, second, device="cpu", overrides=("search.beam=1",))("gfedcba")
    tokenizer = multiattn.load(first.path, host=tiny_runs.host()).system.processors.tokenizer
    tokens = tokenizer.encode(prediction.text)
    each = [probabilities(run, "gfedcba", tokens) for run in (first, second)]
    mean = (each[0] + each[1]) / 2
    limit = 8  # of the recipe
    assert mean.argmax(1).tolist()[:limit] == [*tokens, EOS][:limit]


def test_a_run_beside_itself_writes_what_it_writes_alone(runs):
    alone, beside = load(runs[0])("abc"), load(runs[0], runs[0])("abc")
    assert beside.text == alone.text
    assert beside.score == pytest.approx(alone.score, rel=1e-5)
    (one,), (other,) = alone.attention.values(), beside.attention.values()
    assert one == pytest.approx(other, abs=1e-6)


def test_many_inputs_are_written_as_each_alone(runs):
    predictor, texts = load(*runs[:3]), ["abc", "h", "gfedcba", "ba", "cab"]
    together = [(found.text, found.score) for found in predictor.each(texts)]
    singly = [(found.text, found.score) for found in map(predictor, texts)]
    assert [text for text, _ in together] == [text for text, _ in singly]
    assert [score for _, score in together] == pytest.approx([score for _, score in singly], 1e-5)


def call(*arguments):
    everything = ["--plugin", str(tiny_runs.PLUGIN), *map(str, arguments)]
    return CliRunner().invoke(app, everything)


def test_the_option_is_short_for_the_setting_and_results_name_the_weights_of_all(runs):
    first, second, third, _ = (run.path for run in runs)
    members = ["--ensemble", second, "--ensemble", third]
    by_option = call("predict", first, "abc", "--json", *members)
    assert by_option.exit_code == 0, by_option.output
    setting = f"search.ensemble=['{second}', '{third}']"
    assert call("predict", first, "abc", "--json", "--set", setting).stdout == by_option.stdout
    for _ in range(2):
        result = call("evaluate", first, "--name", "three", *members)
        assert result.exit_code == 0, result.output
    scores = json.loads((first / "results" / "test@three" / "scores.json").read_text())
    assert set(scores["decoding"]["joined"]) == {str(second), str(third)}
    assert len({scores["decoding"]["weights"], *scores["decoding"]["joined"].values()}) == 3
    result = call("evaluate", first, "--name", "three", "--ensemble", second)
    assert result.exit_code == 2
    assert "--name TAG" in result.stderr


def test_results_make_room_where_a_member_has_learned_since(runs, tmp_path):
    first, second = (shutil.copytree(run.path, tmp_path / run.path.name) for run in runs[:2])
    command = ["evaluate", first, "--name", "both", "--ensemble", second]
    assert call(*command).exit_code == 0
    before = (first / "results" / "test@both" / "scores.json").read_bytes()
    shutil.copy(runs[0].weights, second / "model.safetensors")
    result = call(*command)
    assert result.exit_code == 0, result.output
    (moved,) = (first / "results").glob("test@both@weights-*")
    assert (moved / "scores.json").read_bytes() == before


def test_runs_that_write_other_tokens_or_read_otherwise_are_refused(runs, tmp_path):
    with pytest.raises(UserError, match="which differs in target; use runs of one recipe"):
        load(runs[0], runs[3])
    language = tiny_runs.start(
        runs[0].path.parent,
        run="language",
        sources={},
        decoder={**tiny_runs.RECIPE["decoder"], "initial_state": "zero"},
        evaluation={"metrics": [], "select": "perplexity"},
    )
    tiny_runs.trained(language)
    with pytest.raises(UserError, match="which differs in letters; use runs of one recipe"):
        load(runs[0], language.run)
    beside = call("evaluate", language.run.path, "--ensemble", language.run.path, "--name", "a")
    assert beside.exit_code == 2
    assert "neither an ensemble nor a language model" in beside.stderr
    with pytest.raises(UserError, match="expected a run folder"):
        load(runs[0], tiny_runs.RunFolder(tmp_path))


def test_a_run_is_trained_alone(tmp_path):
    with pytest.raises(UserError, match="--ensemble to `multiattn evaluate` or `predict`"):
        tiny_runs.start(tmp_path, ("search.ensemble=[runs/other]",))
