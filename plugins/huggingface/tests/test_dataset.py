"""The corpus ``hf-dataset``: folders made in the test, a hub that is not there, a run."""

from __future__ import annotations

import copy
import io
import os
import pickle
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import datasets
import fake_hub
import numpy as np
import PIL.Image
import pyarrow
import pyarrow.parquet as parquet
import pytest
import yaml
from click.testing import CliRunner
from datasets import Audio, ClassLabel, Features, Image, List, Translation, Value

import multiattn
from multiattn import StoredMedia, UserError, load_host
from multiattn.cli import app
from multiattn.protocols import Corpus, ObjectReader
from multiattn.registry.schema import Named
from multiattn_huggingface.corpus.hf_dataset import HuggingFaceDataset

pytest.importorskip("multiattn_image")
pytest.importorskip("multiattn_audio")
soundfile = pytest.importorskip("soundfile")

NOWHERE = "http://127.0.0.1:9"
SPLITS = {"train": (0, 8), "validation": (10,), "test": (20,)}
COLOURS = ["red", "green", "blue", "white"]
FEATURES = Features(
    {
        "key": Value("string"),
        "speaker_id": Value("int64"),
        "photo": Image(),
        "sound": Audio(),
        "translation": Translation(["de", "en"]),
        "captions": List(Value("string")),
        "more": Value("string"),
        "mood": ClassLabel(names=["glad", "sad"]),
        "size": Value("float32"),
    }
)
FIELDS = {
    "photo": "photo",
    "sound": "sound",
    "en": "translation.en",
    "de": "translation.de",
    "captions": ["captions", "more"],
    "mood": "mood",
}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def png(number, side=20):
    content = io.BytesIO()
    pixels = np.random.default_rng(number).integers(0, 255, (side, side, 3), np.uint8)
    PIL.Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


def wav(number, seconds=0.4, rate=16_000):
    content = io.BytesIO()
    moments = np.arange(int(seconds * rate)) / rate
    tone = 0.3 * np.sin(2 * np.pi * (200 + 40 * number) * moments) * np.sin(9 * moments)
    soundfile.write(content, tone, rate, format="WAV")
    return content.getvalue()


def table(first, count=4):
    """Rows as ``datasets`` stores them, with their features."""
    numbers = range(first, first + count)
    colours = [COLOURS[number % 4] for number in numbers]
    columns = {
        "key": [f"k{number}" for number in numbers],
        "speaker_id": [number // 2 for number in numbers],
        "photo": [{"bytes": png(number), "path": f"{number}.png"} for number in numbers],
        "sound": [{"bytes": wav(number), "path": None} for number in numbers],
        "translation": [{"de": f"das {each} Haus", "en": f"the {each} house"} for each in colours],
        "captions": [[f"a {each} picture", f"{each} noise"] for each in colours],
        "more": [f"all is {each}" for each in colours],
        "mood": [number % 2 for number in numbers],
        "size": [1.0] * count,
    }
    return pyarrow.Table.from_pydict(columns, schema=FEATURES.arrow_schema)


@pytest.fixture
def folder(tmp_path):
    """A folder of parquet files."""
    place = tmp_path / "mine"
    place.mkdir()
    for split, rows in SPLITS.items():
        parquet.write_table(table(*rows), place / f"{split}-00000-of-00001.parquet")
    return place


def corpus(folder, **settings):
    return HuggingFaceDataset(folder, **{"fields": FIELDS, **settings})


def built(reader, **settings):
    return load_host().build("reader", Named.model_validate({"name": reader, **settings}))


def test_columns_of_every_kind_become_fields(folder):
    made = corpus(folder, id="key", group="speaker_id")
    assert isinstance(made, Corpus)
    assert made.splits() == ("train", "validation", "test")
    example = made.examples("train")[3]
    texts = {name: value for name, value in example.fields.items() if isinstance(value, str)}
    assert texts == {"en": "the white house", "de": "das white Haus", "mood": "sad"}
    assert example.fields["captions"] == ("a white picture", "white noise", "all is white")
    assert example.fields["photo"].load() == png(3)
    assert example.fields["sound"].load() == wav(3)
    assert str(example.fields["sound"]) == "sound of k3"
    assert (example.id, dict(example.meta)) == ("k3", {"speaker_id": "1"})


def test_rows_without_a_column_of_ids_are_numbered_by_split(folder):
    examples = corpus(folder, fields={"text": "more"}).examples("test")
    assert [example.id for example in examples] == ["test-0", "test-1", "test-2", "test-3"]
    assert examples[1].fields == {"text": "all is green"}


def test_a_saved_dataset_is_read_in_the_order_of_its_rows(tmp_path):
    whole = datasets.Dataset(table(0, 8).drop(["translation"]), split=datasets.Split.TEST)
    whole.select([5, 1, 6]).save_to_disk(tmp_path / "one")
    made = corpus(tmp_path / "one", fields={"photo": "photo", "key": "key"})
    assert made.splits() == ("test",)
    examples = made.examples("test")
    assert [example.fields["key"] for example in examples] == ["k5", "k1", "k6"]
    assert [example.fields["photo"].load() for example in examples] == [png(5), png(1), png(6)]
    datasets.DatasetDict({"a": whole, "b": whole}).save_to_disk(tmp_path / "two")
    assert corpus(tmp_path / "two").splits() == ("a", "b")


def test_a_row_may_lack_a_value_and_may_name_a_file(tmp_path):
    cells = [{"bytes": None, "path": "/there.png"}, None, {"bytes": png(1), "path": None}]
    schema = Features({"photo": Image(), "text": Value("string"), "mood": FEATURES["mood"]})
    columns = {"photo": cells, "text": [None, "b", "c"], "mood": [-1, None, 1]}
    rows = pyarrow.Table.from_pydict(columns, schema=schema.arrow_schema)
    parquet.write_table(rows, tmp_path / "train.parquet")
    fields = {name: name for name in columns}
    first, second, third = corpus(tmp_path, fields=fields).examples("train")
    assert first.fields == {"photo": "/there.png", "text": None, "mood": None}
    assert second.fields == {"photo": None, "text": "b", "mood": None}
    assert third.fields["photo"].load() == png(1)


def test_stored_media_are_equal_by_content_and_travel_to_worker_processes(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "copy")
    own, other = (corpus(place).examples("train") for place in (folder, tmp_path / "copy"))
    assert own[2].fields["sound"] == other[2].fields["sound"]
    assert own[2].fields["sound"] != own[3].fields["sound"]
    sent = pickle.dumps(own[2].fields["photo"])
    assert len(sent) < 5_000
    assert len({own[2].fields["photo"], pickle.loads(sent)}) == 1


@pytest.mark.parametrize(("reader", "field"), [("image", "photo"), ("audio", "sound")])
def test_readers_read_stored_media_as_they_read_files(folder, tmp_path, reader, field):
    made, file = built(reader), tmp_path / "file"
    value = corpus(folder).examples("train")[4].fields[field]
    file.write_bytes(value.load())
    assert isinstance(made, ObjectReader)
    assert made.measure(value) == made.measure(str(file))
    assert np.array_equal(made.read(value), made.read(str(file)))


def test_a_recording_is_checked_once_and_known_by_its_content(folder, tmp_path):
    first, second = (built("audio") for _ in range(2))
    values = [example.fields["sound"] for example in corpus(folder).examples("train")]
    first.fit(values, None)
    first.save(tmp_path)
    assert len((tmp_path / "durations.jsonl").read_text().splitlines()) == 8
    second.load(tmp_path, None)
    shutil.rmtree(folder)
    unread = StoredMedia("gone", lambda: pytest.fail("loaded again"))
    unread.__dict__["digest"] = values[0].digest
    assert second.measure(unread) == 40


def test_what_is_no_image_is_refused_by_the_name_of_its_row(folder):
    value = corpus(folder).examples("train")[4].fields["sound"]
    with pytest.raises(UserError, match=r"expected an image .* in sound of train-4"):
        built("image").measure(value)
    with pytest.raises(UserError, match=r"expected .* in photo of train-4"):
        built("audio").measure(corpus(folder).examples("train")[4].fields["photo"])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"fields": {"a": "mor"}}, r"expected a column of the dataset .*'mor'; did you mean more"),
        ({"fields": {"a": "size"}}, "expected texts, class labels, .*'size'.*got float32"),
        ({"fields": {"a": "translation"}}, r"\(de, en\).*write translation.de in corpus.fields"),
        ({"fields": {"a": "translation.fr"}}, "expected a column .*'translation.fr'"),
        ({"fields": {"a": ("more", "photo")}}, "expected texts .*field 'a'.* in 'photo'"),
        ({"id": "keys"}, "expected a column of the dataset .*got 'keys'; did you mean key"),
        ({"group": "who"}, "expected a column of the dataset .*got 'who'"),
    ],
)
def test_a_column_that_is_missing_or_of_the_wrong_type_is_refused(folder, settings, said):
    with pytest.raises(UserError, match=said):
        corpus(folder, **settings).examples("train")


def test_a_missing_split_and_a_folder_without_a_dataset_are_refused(folder, tmp_path):
    with pytest.raises(UserError, match=r"\(train, validation, test\), got 'dev'"):
        corpus(folder).examples("dev")
    with pytest.raises(UserError, match="expected a dataset that `save_to_disk` wrote, or parquet"):
        corpus(tmp_path / "nothing").splits()
    (folder / "test-00000-of-00001.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match=r"got one that cannot be read .*write or fetch it again"):
        corpus(folder).splits()


def test_a_blank_text_is_a_bad_row_that_may_be_skipped(tmp_path):
    rows = pyarrow.table({"text": ["a", "  ", "c"]})
    parquet.write_table(rows, tmp_path / "train.parquet")
    made, said = corpus(tmp_path, fields={"text": "text"}), []
    assert [each.id for each in made.examples("train", said.append)] == ["train-0", "train-2"]
    assert "in row 1 of train, got an empty one" in said[0]
    with pytest.raises(UserError, match="row 1 of train"):
        made.examples("train")


HUB = """
import sys
from multiattn import UserError
from multiattn_huggingface.corpus.opening import open_hub
for name, *rest in (word.split("@") for word in sys.argv[1:]):
    try:
        print({split: len(rows) for split, rows in open_hub(name, None, *rest or [None]).items()})
    except UserError as error:
        print(error)
"""


def ask_hub(home, names, **variables):
    environment = {**os.environ, "HF_HOME": str(home), **variables}
    begin = time.monotonic()
    said = subprocess.run(
        [sys.executable, "-c", HUB, *names],
        env=environment, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    assert time.monotonic() - begin < 40
    return said


def test_a_dataset_of_the_hub_is_fetched_once_and_then_needs_no_network(folder, tmp_path):
    files = {file.name: file.read_bytes() for file in folder.glob("*.parquet")}
    with fake_hub.serve({**files, "README.md": b"# tiny"}) as address:
        asked = [f"{fake_hub.DATASET}@main", fake_hub.GATED, "me/nothing"]
        got, gated, missing = ask_hub(tmp_path / "hub", asked, HF_ENDPOINT=address)
    sizes = "{'train': 8, 'validation': 4, 'test': 4}"
    assert got == sizes
    assert "expected the dataset me/gated on the Hugging Face hub" in gated
    assert "log in with `hf auth login`" in gated
    assert "'me/nothing' doesn't exist on the Hub" in missing
    asked = ["@main", "@" + fake_hub.COMMIT, "@" + "b" * 40, ""]
    found = ask_hub(
        tmp_path / "hub", [fake_hub.DATASET + each for each in asked], HF_ENDPOINT=NOWHERE
    )
    assert found[:2] == [sizes, sizes]
    assert found[2].startswith(f"expected the dataset me/tiny (revision {'b' * 40}) in the hub's")
    assert found[3] == sizes


def test_a_dataset_that_needs_the_network_fails_at_once_in_offline_mode(tmp_path):
    (said,) = ask_hub(tmp_path, ["someone/a-dataset"], HF_HUB_OFFLINE="1")
    assert said.startswith("expected the dataset someone/a-dataset in the hub's cache or on the")
    assert "without internet access, put a copy into a folder" in said


def test_what_cannot_be_a_name_on_the_hub_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"such as user/name, as corpus.dataset, got '../a/b'"):
        corpus(tmp_path, dataset="../a/b").splits()


@pytest.fixture
def data(folder, saved):
    """The data root of the recipe in the README, with tiny models."""
    for family in ("vit", "whisper", "bert"):
        shutil.copytree(saved(family), folder.parent / "weights" / family)
    return folder.parent


@pytest.fixture
def recipe(tmp_path):
    """The recipe in the README, with few steps."""
    readme = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
    (block,) = re.findall(r"```yaml\n(corpus:.*?)```", readme, re.DOTALL)
    settings = yaml.safe_load(block)
    settings["training"] |= {"steps": 2, "validate_every": 2, "checkpoint_every": 2, "workers": 1}
    settings["search"] = {"beam": 2, "max_length": 4}
    path = tmp_path / "recipe.yaml"

    def write(change=lambda settings: None):
        changed = copy.deepcopy(settings)
        change(changed)
        path.write_text(yaml.safe_dump(changed))
        return path

    return write


def invoke(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_the_recipe_in_the_readme_trains_on_images_recordings_and_texts(
    data, recipe, tmp_path, monkeypatch
):
    monkeypatch.setenv("MULTIATTN_CACHE", str(tmp_path / "features"))
    leaked = table(20).set_column(2, "photo", table(4).column("photo"))
    parquet.write_table(
        leaked.cast(FEATURES.arrow_schema), data / "mine" / "test-00000-of-00001.parquet"
    )
    run = tmp_path / "run"
    result = invoke("run", recipe(), "--data", data, "--out", run)
    assert result.exit_code == 0, result.output
    said = " ".join(result.output.split())
    assert "4 of 4 files of the source 'photo' of test are also in train" in said
    assert "english='the red house' photo=FILE sound=FILE" in said
    (index,) = (tmp_path / "features").rglob("index.bin")
    assert index.stat().st_size == 12 * 36  # each image once: 8 and 4, those of test among them
    assert "photo of k20" in (run / "report.html").read_text("utf-8")
    predictor = multiattn.load(run)
    example = corpus(data / "mine").examples("train")[0]
    given = {"photo": example.fields["photo"], "sound": wav(3), "english": "a dog ."}
    assert predictor(given).as_json()["input"]["photo"] == "photo of train-0"


def test_media_that_a_reader_cannot_take_are_refused_before_training(data, recipe, tmp_path):
    def photograph_as_text(settings):
        settings["sources"] = {"english": {**settings["sources"]["english"], "field": "photo"}}

    def photograph_as_target(settings):
        settings["target"]["field"] = "photo"

    for change, what in (
        (photograph_as_text, "source 'english'"),
        (photograph_as_target, "target"),
    ):
        result = invoke("train", recipe(change), "--data", data, "--out", tmp_path / "run")
        assert result.exit_code == 2
        assert f"expected texts for the {what}, got images or recordings in" in result.output
        assert "Traceback" not in result.output


def test_a_mistake_in_the_dataset_is_one_sentence_with_exit_code_2(data, recipe, tmp_path):
    def typo(settings):
        settings["corpus"]["fields"]["photo"] = "picture"

    result = invoke("run", recipe(typo), "--data", data, "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert "expected a column of the dataset" in result.output
    assert "Traceback" not in result.output


def test_the_column_of_ids_may_be_called_id(tmp_path):
    rows = {"id": ["x", "y"], "en": ["a dog", "a cat"]}
    datasets.DatasetDict({"train": datasets.Dataset.from_dict(rows)}).save_to_disk(
        tmp_path / "made"
    )
    made = HuggingFaceDataset(tmp_path / "made", fields={"en": "en"}, id="id")
    assert [example.id for example in made.examples("train")] == ["x", "y"]
