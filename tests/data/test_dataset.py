"""Rows become batches: the right values, and chance that no order and no process changes."""

import itertools
import pickle
import re

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pad_sequence

from multiattn.data import collation
from multiattn.data.batch_plan import Plan, Position
from multiattn.data.collation import Collator
from multiattn.data.corpus import Example
from multiattn.data.dataset import Dataset
from multiattn.data.rows import Row
from multiattn.data.splits import Splits
from multiattn.data.tokenizer import Tokenizer
from multiattn.errors import UserError
from multiattn.recipe.settings import RecipeSettings, TokenizerSettings
from multiattn.symbols import EOS, PAD

WORDS = ["ein", "kleiner", "hund", "läuft", "über", "den", "breiten", "weg", "und", "laut"]


class Listed:
    """A corpus in memory, with a training split."""

    def __init__(self, listed) -> None:
        self.listed = listed

    def examples(self, split, on_bad_row=None):
        return self.listed if split == "train" else []


class Letters:
    """A reader of words: a code point per letter, nothing random, counting what it reads."""

    random = False

    def __init__(self) -> None:
        self.reads = 0

    def measure(self, value) -> int:
        return len(value)

    def read(self, value, generator=None):
        self.reads += 1
        return np.array([ord(letter) for letter in value])

    def collate(self, items):
        letters = [torch.from_numpy(item) for item in items]
        return pad_sequence(letters, batch_first=True), torch.tensor([len(i) for i in items])


class Noisy(Letters):
    """A reader that augments: noise where it is given a generator; silent about being random."""

    random = True

    def read(self, value, generator=None):
        if value == "unreadable":
            raise UserError("expected a picture in unreadable, got none; replace it")
        clean = super().read(value).astype(np.float32)
        if generator is None:
            return clean
        return clean + torch.rand(len(value), generator=generator).numpy()

    def measure(self, value) -> int:
        return len(self.read(value))


def recipe(**changes) -> RecipeSettings:
    source = {"reader": "letters", "encoder": "none"}
    parts = {
        "corpus": {"name": "listed"},
        "decoder": "none",
        "sources": {"word": {"field": "en", **source}, "photo": {"field": "image", **source}},
        "target": {"field": "de"},
        "training": {"batch_tokens": 60},
    }
    return RecipeSettings.model_validate({**parts, **changes})


def examples(count=40):
    generator = np.random.default_rng(0)
    for number in range(count):
        target = " ".join(generator.choice(WORDS, generator.integers(1, 6)))
        photo = None if number % 3 == 0 else "p" * int(generator.integers(1, 9))
        yield Example(f"e{number}", {"en": target[::-1], "image": photo, "de": target})


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.train([" ".join(WORDS)] * 3, TokenizerSettings(kind="bpe", size=60))


@pytest.fixture(scope="module")
def sampling() -> Tokenizer:
    settings = TokenizerSettings(kind="bpe", size=60, sampling=0.3)
    return Tokenizer.train([" ".join(WORDS)] * 3, settings)


@pytest.fixture
def readers():
    return {"word": Letters(), "photo": Noisy()}


def training(tokenizer, readers, settings=None, corpus=None) -> Dataset:
    corpus = corpus or Listed(list(examples()))
    settings = settings or recipe()
    splits = Splits(corpus, settings)
    return Dataset.training(splits, readers, tokenizer, settings.training, settings.seed)


def planned(dataset, world=1, **settings) -> Plan:
    changed = recipe(training={"batch_tokens": 60, **settings})
    return Plan(dataset.costs, changed.training, seed=1, world=world)


def unpadded(batch) -> dict:
    """Per example, all that the model would see of it: comparable whatever it is batched with."""
    assert batch.targets is not None
    seen = {
        name: {"target": tuple(tokens[:length].tolist())}
        for name, tokens, length in zip(
            batch.ids, batch.targets.tokens, batch.targets.lengths, strict=True
        )
    }
    for source, inputs in batch.sources.items():
        for row, values, length in zip(*[inputs.rows, inputs.values, inputs.lengths], strict=True):
            seen[batch.ids[row]][source] = tuple(values[:length].tolist())
    return seen


def everything(batches) -> dict:
    return {
        name: seen
        for _, micro_batches in batches
        for batch in micro_batches
        if batch is not None
        for name, seen in unpadded(batch).items()
    }


def test_a_batch_holds_what_its_rows_say(tokenizer):
    rows = [Row("a", {"word": "xy"}, ("ein hund",)), Row("b", {"word": "xyz"}, ("weg",))]
    batch = Collator({"word": Letters()}, tokenizer)(rows)
    assert batch.ids == ("a", "b")
    assert batch.size == 2
    assert batch.sources["word"].values.tolist() == [[120, 121, 0], [120, 121, 122]]
    assert batch.sources["word"].lengths.tolist() == [2, 3]
    assert batch.sources["word"].rows.tolist() == [0, 1]
    written = [[*tokenizer.encode(text), EOS] for (text,) in (row.targets for row in rows)]
    width = max(map(len, written))
    assert batch.targets.lengths.tolist() == [len(ids) for ids in written]
    assert batch.targets.tokens.tolist() == [ids + [PAD] * (width - len(ids)) for ids in written]


def test_only_rows_that_have_a_source_are_collated():
    values = [None, "xy", None, "z"]
    rows = [Row(str(number), {"word": value}) for number, value in enumerate(values)]
    inputs = Collator({"word": Letters()})(rows).sources["word"]
    assert inputs.rows.tolist() == [1, 3]
    assert inputs.values.tolist() == [[120, 121], [122, 0]]


def test_a_source_that_no_row_has_is_left_out():
    batch = Collator({"word": Letters(), "photo": Letters()})(
        [Row("a", {"word": "x", "photo": None})]
    )
    assert set(batch.sources) == {"word"}


def test_a_batch_moves_whole(tokenizer):
    batch = Collator({"word": Letters()}, tokenizer)([Row("a", {"word": "xy"}, ("ein",))])
    moved = batch.to("meta")
    inputs, targets = moved.sources["word"], moved.targets
    for tensor in (inputs.values, inputs.lengths, inputs.rows, targets.tokens, targets.lengths):
        assert tensor.device.type == "meta"


def test_a_batch_says_how_large_it_is_and_whose(tokenizer, readers):
    batch = next(training(tokenizer, readers).sweep(7))
    assert batch.describe().startswith(f"7 examples ({batch.ids[0]} … {batch.ids[-1]})")
    assert f"target {tuple(batch.targets.tokens.shape)}" in batch.describe()


def test_what_is_to_be_decoded_has_all_references_and_no_targets(readers):
    fields = {"en": "x", "image": None, "de": ("ein hund", "ein weg")}
    dataset = Dataset.evaluation(Splits(Listed([Example("a", fields)]), recipe()), "train", readers)
    assert dataset.rows[0].targets == fields["de"]
    (batch,) = dataset.sweep(2)
    assert batch.ids == ("a",)
    assert batch.targets is None


def test_chance_depends_on_seed_epoch_and_example_alone(sampling, readers):
    dataset = training(sampling, readers)
    alone = [unpadded(dataset.collate([row], 4))[row.id] for row in dataset.rows]
    backwards = unpadded(dataset.collate(dataset.rows[::-1], 4))
    again = training(sampling, {"word": Letters(), "photo": Noisy()})
    in_steps = everything(again.batches(planned(again).steps(4)))
    for row, seen in zip(dataset.rows, alone, strict=True):
        assert seen == backwards[row.id] == in_steps[row.id]


def test_chance_differs_by_epoch_seed_and_example(sampling, readers):
    fields = {"en": "x", "image": "photograph", "de": " ".join(WORDS)}
    corpus = Listed([Example("a", fields), Example("b", fields)])
    seen = []
    for seed, epoch in ((1, 0), (1, 1), (2, 0)):
        dataset = training(sampling, readers, recipe(seed=seed), corpus)
        seen += unpadded(dataset.collate(dataset.rows, epoch)).values()
    assert len({one["photo"] for one in seen}) == len({one["target"] for one in seen}) == 6


def test_validation_is_without_chance(sampling, readers):
    corpus = Listed(list(examples()))
    dataset = Dataset.validation(Splits(corpus, recipe()), "train", readers, sampling)
    for batch in dataset.sweep(8):
        for name, seen in unpadded(batch).items():
            (text,) = next(row.targets for row in dataset.rows if row.id == name)
            assert seen["target"] == (*sampling.encode(text), EOS)
            assert set(seen.get("photo", ())) <= {float(ord("p"))}


@pytest.mark.parametrize(("world", "accumulate"), [(1, 3), (2, 1), (3, 2)])
def test_processes_together_see_what_one_sees_step_by_step(sampling, readers, world, accumulate):
    dataset = training(sampling, readers)
    alone = dataset.batches(planned(dataset).steps(1))
    plan = planned(dataset, world, accumulate=accumulate)
    ranks = [dataset.batches(plan.steps(1), rank=rank) for rank in range(world)]
    for whole, *parts in zip(alone, *ranks, strict=True):
        assert all(len(micro_batches) == accumulate for _, micro_batches in parts)
        assert everything(parts) == everything([whole])


def test_an_empty_shard_is_none(tokenizer, readers):
    dataset = training(tokenizer, readers, corpus=Listed(list(examples(2))))
    plan = planned(dataset, world=2, accumulate=2)
    lists = [batches for rank in (0, 1) for _, batches in dataset.batches(plan.steps(0), rank=rank)]
    assert [batch is None for batches in lists for batch in batches] == [
        False,
        False,
        True,
        True,
    ]


def test_continuing_from_any_step_gives_the_same_batches(sampling, readers):
    dataset = training(sampling, readers)
    undisturbed = list(itertools.islice(dataset.batches(planned(dataset).follow(Position())), 12))
    assert undisturbed[-1][0].position.epoch >= 1
    for done in (1, 4, 7):
        start = undisturbed[done - 1][0].after
        fresh = training(sampling, {"word": Letters(), "photo": Noisy()})
        continued = fresh.batches(planned(fresh).follow(start))
        for (_, expected), (_, found) in zip(undisturbed[done:], continued, strict=False):
            assert [unpadded(batch) for batch in found] == [unpadded(b) for b in expected]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_worker_processes_change_nothing(sampling, readers):
    dataset = training(sampling, readers)
    steps = planned(dataset, accumulate=2).steps(0)
    here = list(dataset.batches(steps))
    there = list(dataset.batches(steps, workers=2))
    assert [step for step, _ in there] == [step for step, _ in here] == steps
    for (_, expected), (_, found) in zip(here, there, strict=True):
        assert everything([(None, found)]) == everything([(None, expected)])


class Torn(Letters):
    """A reader of files that can be measured and not read."""

    def read(self, value, generator=None):
        raise UserError("expected a whole picture in x.jpg, got half of one; replace it")


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("workers", [0, 1])
def test_what_cannot_be_read_is_one_sentence_whoever_reads_it(tokenizer, workers):
    dataset = training(tokenizer, {"word": Letters(), "photo": Torn()})
    with pytest.raises(UserError, match=r"^expected a whole picture in x.jpg, .* replace it$"):
        list(dataset.batches(planned(dataset).steps(0), workers=workers))


def test_a_dataset_can_be_sent_to_a_worker_process(sampling, readers):
    dataset = training(sampling, readers)
    sent = pickle.loads(pickle.dumps(dataset))
    assert unpadded(sent.collate(sent.rows, 2)) == unpadded(dataset.collate(dataset.rows, 2))


def test_reading_batches_leaves_the_global_generators_alone(sampling, readers):
    dataset = training(sampling, readers)
    before = torch.get_rng_state()
    list(dataset.batches(planned(dataset).steps(0)))
    list(dataset.sweep(8))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_sweep_meets_every_row_once_over_all_ranks_longest_first(tokenizer, readers):
    dataset = training(tokenizer, readers)
    ranks = [list(dataset.sweep(7, rank=rank, world=3)) for rank in range(3)]
    met = [name for batches in ranks for batch in batches for name in batch.ids]
    assert sorted(met) == sorted(row.id for row in dataset.rows)
    lengths = [int(batch.sources["word"].lengths.max()) for batch in dataset.sweep(7)]
    assert lengths == sorted(lengths, reverse=True)


def test_the_first_rows_of_a_split_are_those_of_the_corpus(tokenizer, readers):
    dataset = training(tokenizer, readers)
    assert [row.id for row in dataset.first(3).rows] == ["e0", "e1", "e2"]
    assert dataset.first(3).report.rows == len(dataset.first(3).costs.target) == 3
    assert dataset.first(None).rows == dataset.first(1000).rows == dataset.rows


def test_too_long_rows_are_left_out_and_counted(tokenizer, readers):
    fields = {"en": "x", "image": None, "de": "hund"}
    long = [{**fields, "de": " ".join(WORDS)}, {**fields, "en": "x" * 5}, {**fields, "en": "x" * 4}]
    corpus = Listed([Example(str(n), each) for n, each in enumerate([fields, *long])])
    limits = {"max_target_tokens": 10, "max_source": {"word": 4, "photo": 2}}
    dataset = training(tokenizer, readers, recipe(training=limits), corpus)
    assert [row.id for row in dataset.rows] == ["0", "3"]
    assert dataset.report.too_long == {"target": 1, "word": 1}
    assert dataset.report.lines() == [
        "2 rows",
        f"1 rows left out: target too long; the longest, '1', has {len(WORDS) + 1}",
        "1 rows left out: word too long; the longest, '2', has 5",
    ]
    assert len(dataset.collate(dataset.rows).ids) == len(dataset.costs.ids) == 2


def test_limits_that_leave_nothing_are_a_mistake(tokenizer, readers):
    with pytest.raises(
        UserError, match=r"none of 40 within the limits .*raise training.max_target"
    ):
        training(tokenizer, readers, recipe(training={"max_target_tokens": 1}))


@pytest.mark.parametrize("setting", ["max_source", "source_budget"])
def test_a_limit_of_no_source_is_a_mistake(tokenizer, readers, setting):
    with pytest.raises(UserError, match=rf"training.{setting} .*\(word, photo\), got 'foto'"):
        training(tokenizer, readers, recipe(training={setting: {"foto": 3}}))


def test_a_value_that_cannot_be_measured_stops_or_is_skipped_and_counted(tokenizer, readers):
    unreadable = Example("z", {"en": "x", "image": "unreadable", "de": "ein"})
    corpus = Listed([*examples(), unreadable])
    with pytest.raises(UserError, match="expected a picture in unreadable"):
        training(tokenizer, readers, corpus=corpus)
    dataset = training(tokenizer, readers, recipe(training={"bad_rows": "skip"}), corpus)
    assert [row.id for row in dataset.rows] == [f"e{number}" for number in range(40)]
    (sentence,) = dataset.report.skipped
    assert dataset.report.lines()[1] == f"1 bad rows skipped; the first: {sentence}"


def test_targets_that_do_not_survive_the_tokenizer_are_counted(tokenizer, sampling, readers):
    fields = {"en": "x", "image": None}
    texts = ["ein hund", "ein  weiter   weg", "ein Hund", "das ¿"]
    corpus = Listed([Example(text, {**fields, "de": text}) for text in texts])
    for each in (tokenizer, sampling):
        report = training(each, readers, corpus=corpus).report
        assert len(report.lossy) == 2
        assert report.lines() == [
            "4 rows",
            "2 targets are changed by encoding and decoding; the first: example 'ein Hund'",
        ]


@pytest.mark.parametrize("policy", ["stop", "skip"])
def test_a_letter_that_the_alphabet_lacks_is_a_bad_row_of_what_is_taught(readers, policy):
    alphabet = Tokenizer.train(["ein hund"], TokenizerSettings(kind="char"))
    meta = {"file": "train.jsonl", "line": "7"}
    fields = {"en": "x", "image": None}
    texts = {"good": "ein hund", "bad": "ein süßer hund"}
    corpus = Listed([Example(name, {**fields, "de": t}, meta) for name, t in texts.items()])
    settings = recipe(training={"bad_rows": policy})
    sentence = re.escape("in the target of example 'bad' (train.jsonl, line 7), got 's', 'ü', 'ß'")
    if policy == "stop":
        with pytest.raises(UserError, match=sentence):
            training(alphabet, readers, settings, corpus)
        return
    dataset = training(alphabet, readers, settings, corpus)
    assert [row.id for row in dataset.rows] == ["good"]
    assert re.search(sentence, dataset.report.skipped[0])
    heard = Dataset.validation(Splits(corpus, settings), "train", readers, alphabet)
    assert heard.report.lossy == ("example 'bad' (train.jsonl, line 7)",)


@pytest.mark.parametrize("policy", ["stop", "skip"])
def test_rows_that_a_check_refuses_stop_the_run_or_are_left_out(tokenizer, readers, policy):
    settings = recipe(training={"bad_rows": policy})

    def check(row, ids, sizes) -> None:
        assert ids == tokenizer.encode(row.targets[0])
        assert sizes["word"] == readers["word"].measure(row.sources["word"])
        if row.id in ("e3", "e5"):
            raise UserError(f"{row.id} is refused")

    dataset = training(tokenizer, readers, settings)
    if policy == "stop":
        with pytest.raises(UserError, match="e3 is refused"):
            dataset.drop_refused(check, policy)
        return
    kept = dataset.drop_refused(check, policy)
    assert [row.id for row in kept.rows] == [
        row.id for row in dataset.rows if row.id not in ("e3", "e5")
    ]
    assert kept.report.skipped == ("e3 is refused", "e5 is refused")


def test_a_lowercasing_tokenizer_loses_nothing_by_lowercasing(readers):
    tokenizer = Tokenizer.train(["ein hund"], TokenizerSettings(kind="char", lowercase=True))
    corpus = Listed([Example("a", {"en": "x", "image": None, "de": "Ein Hund"})])
    assert training(tokenizer, readers, corpus=corpus).report.lossy == ()


def test_a_split_without_examples_is_a_mistake(readers):
    with pytest.raises(UserError, match="examples in the split 'test', got none"):
        Dataset.evaluation(Splits(Listed(list(examples())), recipe()), "test", readers)


def test_what_is_not_random_is_read_once_and_measured_once(tokenizer):
    reader = Letters()
    fields = {"en": "word", "image": None, "de": ("ein", "hund", "weg")}
    corpus = Listed([Example("a", fields)])
    dataset = training(tokenizer, {"word": reader, "photo": Noisy()}, corpus=corpus)
    for epoch in range(3):
        dataset.collate(dataset.rows, epoch)
    assert reader.reads == 1


def test_a_reader_that_promises_nothing_is_asked_every_time():
    collate = Collator({"photo": Noisy()}, seed=1)
    rows = [Row("a", {"photo": "ppp"})]
    seen = {tuple(collate(rows, epoch).sources["photo"].values[0].tolist()) for epoch in range(3)}
    assert len(seen) == 3


def test_what_is_kept_is_bounded(monkeypatch):
    monkeypatch.setattr(collation, "CACHED_BYTES", 5 * 8)
    reader = Letters()
    collate = Collator({"word": reader})
    rows = [Row("a", {"word": "four"}), Row("b", {"word": "long"})]
    for _ in range(3):
        assert collate(rows).sources["word"].values.shape == (2, 4)
    assert reader.reads == 1 + 3


def test_only_texts_and_paths_are_kept():
    reader = Letters()
    collate = Collator({"word": reader})
    for value in (["x", "y"], ("x", "y"), "xy"):
        rows = [Row("a", {"word": value}), Row("b", {"word": value})]
        assert collate(rows).sources["word"].values.tolist() == [[120, 121]] * 2
    assert reader.reads == 2 + 2 + 1


def test_a_language_model_has_targets_alone(tokenizer):
    dataset = training(tokenizer, {}, recipe(sources={}))
    _, (batch,) = next(dataset.batches(planned(dataset).steps(0)))
    assert batch.sources == {}
    assert batch.targets.tokens.shape[0] == batch.size
