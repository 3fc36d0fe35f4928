"""A run as a function: word times, doubts, and inputs that are refused while the others go on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import tiny_runs
import torch

import multiattn
from multiattn.engine.layouts import Tokens
from multiattn.engine.memory import Memory
from multiattn.errors import UserError
from multiattn.prediction.word_times import Evidence, single_row
from multiattn.registry.host import load_host


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return tiny_runs.trained(tiny_runs.start(tmp_path_factory.mktemp("trained")))


def load(run, *overrides):
    return multiattn.load(run.path, host=tiny_runs.host(), device="cpu", overrides=overrides)


@pytest.mark.parametrize(("wanted", "device"), [("1", "cpu"), ("0", "meta")])
def test_the_environment_keeps_a_run_on_the_cpu(run, monkeypatch, wanted, device):
    accelerator = torch.device("meta")  # stands for a GPU
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda **_: accelerator)
    monkeypatch.setenv("ACCELERATE_USE_CPU", wanted)
    assert multiattn.load(run.path, host=tiny_runs.host()).device.type == device


def test_words_have_times_where_a_plugin_can_tell_them(run):
    prediction = load(run, "search.min_length=4")("abcd")
    timed = prediction.times["letters"]
    assert [word.word for word in timed] == [word for word, _, _ in prediction.words]
    for (_, first, end), word in zip(prediction.words, timed, strict=True):
        looked = prediction.attention["letters"][first:end].mean(0).argmax()
        assert (word.start, word.end) == (looked, looked + 1)
    (first, *_) = prediction.as_json()["words"]
    assert first.keys() == {"word", "start", "end", "confidence", "method", "source"}


def test_an_aligner_sees_one_input_without_its_batch_mates_and_padding(run, monkeypatch):
    predictor = load(run)
    seen: list[Evidence] = []

    class Watching:
        def align(self, evidence):
            seen.append(evidence)
            return ()

    monkeypatch.setattr(predictor._decoder, "_aligner", lambda source, layout: Watching())
    predictions = list(predictor.each(["gh", "abcdef"]))
    for evidence, prediction, slots in zip(seen, predictions, (2, 6), strict=True):
        assert evidence.memory.values.shape[:2] == evidence.memory.mask.shape == (1, slots)
        assert evidence.weights.shape == (len(evidence.tokens) + 1, slots)
        assert sum(evidence.log_probabilities) == pytest.approx(prediction.log_probability)
    seen.clear()
    predictor("gh")
    torch.testing.assert_close(seen[0].memory.values, predictor_memory(predictor, "gh"))


def predictor_memory(predictor, text):
    inputs = torch.tensor([[predictor.system.processors.readers["letters"].read(text).tolist()]])[0]
    encoder = predictor.system.model.encoders["letters"]
    with torch.no_grad():
        return encoder(inputs, torch.tensor([len(text)])).values


def test_a_row_of_a_memory_is_cut_to_its_real_slots():
    mask = torch.tensor([[True, True, True], [True, True, False]])
    values = torch.arange(12.0).reshape(2, 3, 2)
    cut = single_row(Memory(values, mask, Tokens(), values[:, 0], mask.long()), 1)
    assert cut.values.tolist() == [values[1, :2].tolist()]
    assert cut.mask.tolist() == [[True, True]]
    assert cut.summary.tolist() == [values[1, 0].tolist()]
    assert cut.symbols.shape == (1, 2)


def test_an_output_as_long_as_it_may_be_is_doubted(run):
    whole = load(run)("abcd")
    assert whole.doubts == ()
    short = load(run, "search.max_length=2", "search.min_length=2")
    (doubt,) = short("abcd").doubts
    assert "2 tokens" in doubt
    assert "search.max_length" in doubt


def test_an_input_of_unknown_symbols_is_doubted(run):
    predictor = load(run)
    (doubt,) = predictor("zzz").doubts
    assert "'letters'" in doubt
    (doubt,) = predictor("zaz").doubts
    assert "2 of 3 symbols of the source 'letters' were never seen in training" in doubt
    assert predictor("abcdabz").doubts == ()


def test_an_input_that_is_refused_costs_no_other(run):
    predictor = load(run)
    inputs = ["ab", "c!", "cd", "", "ef", "gh", "a!b"]
    found = list(predictor.attempts(inputs))
    refused = [isinstance(one, UserError) for one in found]
    assert refused == [False, True, False, True, False, False, True]
    for text, one in zip(inputs, found, strict=True):
        if not isinstance(one, UserError):
            assert one.text == predictor(text).text


def test_each_raises_after_everything_before_the_refused_one(run):
    predictor, written = load(run), []
    with pytest.raises(UserError, match="leave the ! out"):
        written.extend(predictor.each(["ab", "cd", "e!"]))
    assert [one.inputs["letters"] for one in written] == ["ab", "cd"]


def test_a_batch_too_large_for_memory_is_written_in_parts(run, monkeypatch):
    predictor = load(run)
    alone_texts = [predictor(text).text for text in ("ab", "cd", "ef")]
    encode = predictor._decoder._generator.encode

    def small(batch):
        if batch.size > 1:
            raise RuntimeError("can't allocate memory")
        return encode(batch)

    monkeypatch.setattr(predictor._decoder._generator, "encode", small)
    assert [one.text for one in predictor.each(["ab", "cd", "ef"])] == alone_texts


def test_a_reader_may_accept_more_than_texts_and_paths(run):
    predictor = load(run)
    with pytest.raises(UserError, match="a text or a path for the source"):
        predictor(("a", "b"))
    predictor.system.processors.readers["letters"].accepts = (tuple,)
    prediction = predictor(("a", "b"))
    assert prediction.text == predictor("ab").text
    assert prediction.as_json()["input"] == {"letters": "<tuple>"}
    with pytest.raises(UserError, match="a text or a path or tuple for the source"):
        predictor(5)


def test_a_source_much_longer_than_in_training_is_refused_before_it_is_read(run, monkeypatch):
    assert run.read_start()["sources"]["letters"]["longest"] == 6
    predictor = load(run)
    assert predictor("a" * 300).text
    monkeypatch.setattr(predictor.system.processors.readers["letters"], "read", None)
    with pytest.raises(UserError, match=r"at most 300 .*, got 301 .*: 6\); .*: 301"):
        predictor("a" * 301)
    assert load(run, "search.max_source={letters: 301}")("a" * 301).text
    with pytest.raises(UserError, match="at most 3 "):
        load(run, "search.max_source={letters: 3}")("abcd")


def test_a_run_that_recorded_no_sizes_has_no_bound_and_no_doubt(run, tmp_path):
    old = Path(shutil.copytree(run.path, tmp_path / "old"))
    start = json.loads((old / "run.json").read_text())
    del start["sources"]
    (old / "run.json").write_text(json.dumps(start))
    prediction = multiattn.load(old, host=tiny_runs.host(), device="cpu")("abcd" * 100)
    assert not any("attention" in doubt for doubt in prediction.doubts)


def test_the_part_of_a_source_that_was_not_read_is_doubted(run):
    record = json.loads(run.start.read_text())
    record["sources"]["letters"]["tokens_per_slot"] = 1.0  # the tiny encoder counts no slots
    run.start.write_text(json.dumps(record))
    prediction = load(run)("abcdefgh" * 5)  # at most 8 tokens for 40 letters
    (doubt,) = (doubt for doubt in prediction.doubts if "attention" in doubt)
    assert "the source 'letters' got little attention in " in doubt
    assert "of its 40 tokens" in doubt
    assert prediction.as_json()["doubts"] == list(prediction.doubts)


def test_several_outputs_are_different_texts(run):
    predictor = load(run, "search.n_best=3", "search.beam=6")
    tokenizer = predictor.system.processors.tokenizer
    best = [one.text for one in predictor("abcd").n_best]
    assert len(best) == len(set(best)) == 3
    assert best[0] == load(run, "search.beam=6")("abcd").text
    decode = tokenizer.decode
    tokenizer.decode = lambda ids: decode(ids)[:1]  # other tokens that spell the same
    found = predictor("abcd").n_best
    assert found[0].text == best[0][:1]
    assert len({one.text for one in found}) == len(found)
    scores = [one.score for one in found]
    assert scores == sorted(scores, reverse=True)


def test_fewer_different_outputs_than_wanted_are_said(run):
    predictor = load(run, "search.n_best=3", "search.beam=3")
    predictor.system.processors.tokenizer.decode = lambda ids: "same"
    prediction = predictor("abcd")
    assert prediction.alternatives == ()
    assert "gave 1 of the 3 outputs that search.n_best asks for" in prediction.doubts[-1]


def test_an_error_among_the_inputs_keeps_its_place(run):
    mistake = UserError("a line that was no text")
    first, second, third = load(run).attempts(["ab", mistake, "cd"])
    assert second is mistake
    assert (first.inputs, third.inputs) == ({"letters": "ab"}, {"letters": "cd"})


def test_a_scorer_may_learn_the_tokens_before_the_search(run, monkeypatch):
    monkeypatch.setenv("MULTIATTN_PLUGINS", "multiattn")
    scorer = Path(__file__).parents[1] / "hostile" / "avoids_letter.py"
    host = load_host([tiny_runs.PLUGIN, scorer])

    def text_of(*overrides):
        return multiattn.load(run.path, host=host, overrides=overrides)("abcdefgh").text

    letter = text_of("search.min_length=4")[0]
    avoiding = f"search.scorers=[{{name: avoid, letter: {letter}}}]"
    assert letter not in text_of("search.min_length=4", avoiding)
    with pytest.raises(UserError, match="expected a letter that the target has, got '7'"):
        text_of("search.scorers=[{name: avoid, letter: '7'}]")
