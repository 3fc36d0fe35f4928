"""The cache of frozen parts: the same to the bit, computed once, whole whatever happens."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tiny_runs
import torch
from safetensors.torch import load_file

from multiattn.data.features.cache import CACHE_VARIABLE, cache_folder, open_caches
from multiattn.data.features.store import FORMAT, FeatureStore
from multiattn.errors import UserError
from multiattn.runs.build import build_training
from multiattn.runs.dry_run import dry_run

VALUES = [f"input {number}" for number in range(7)]
CACHED = "sources.letters.cache=true"
STORES = f"features-{FORMAT}"


@pytest.fixture(autouse=True)
def computed(tmp_path, monkeypatch):
    """Caches in a folder of the test's own; a file with a line per input that was computed."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setenv("TINY_COMPUTED", str(tmp_path / "computed"))
    (tmp_path / "computed").touch()
    return tmp_path / "computed"


def lines(file) -> list[str]:
    return file.read_text().splitlines()


def start(folder, *overrides, run="run", reader="tiny-fixed", **encoder):
    parts = {"field": "source", "reader": reader, "encoder": {"name": "tiny-frozen", **encoder}}
    return tiny_runs.start(folder, [*overrides], run, sources={"letters": parts})


def store_of(folder) -> FeatureStore:
    return FeatureStore(folder, {"weights": "these"})


def unseen():
    raise AssertionError("expected nobody to wait")


def row_of(value) -> torch.Tensor:
    return torch.full((2, 3), float(value.split()[1])).half()


def written(folder, values=VALUES) -> FeatureStore:
    store = store_of(folder)
    with store.locked(unseen):
        missing = store.find(values)
        for value in missing:
            store.append([value], row_of(value)[None], len(missing))
        assert store.find(values) == []
    return store


def expect_rows(store, values=VALUES):
    for value in values:
        torch.testing.assert_close(store.read(value), row_of(value), rtol=0, atol=0)


def test_a_row_is_read_as_it_was_written_by_this_and_by_another_process(tmp_path):
    store = written(tmp_path / "store")
    expect_rows(store)
    expect_rows(pickle.loads(pickle.dumps(store)))


def test_what_is_there_is_not_missing_and_the_same_content_is_asked_for_once(tmp_path):
    (tmp_path / "one.txt").write_text("the same")
    (tmp_path / "two.txt").write_text("the same")
    written(tmp_path / "store")
    files = [str(tmp_path / name) for name in ("one.txt", "two.txt")]
    assert store_of(tmp_path / "store").find([*VALUES[:3], "new", *files]) == ["new", files[0]]


def test_a_file_that_changed_is_another_input(tmp_path):
    file = tmp_path / "input.txt"
    file.write_text("before")
    store = store_of(tmp_path / "store")
    with store.locked(unseen):
        assert store.find([str(file)]) == [str(file)]
        store.append([str(file)], torch.zeros(1, 2).half(), 1)
    assert store_of(tmp_path / "store").find([str(file)]) == []
    file.write_text("after")
    assert store_of(tmp_path / "store").find([str(file)]) == [str(file)]


@pytest.mark.parametrize(("rows_lost", "index_lost"), [(0, 1), (0, 40), (5, 0), (13, 37), (0, 72)])
def test_what_a_kill_tore_is_written_anew(tmp_path, rows_lost, index_lost):
    folder = tmp_path / "store"
    written(folder)
    for name, lost in (("rows.bin", rows_lost), ("index.bin", index_lost)):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) - lost])
    torn = max(-(-rows_lost // 12), -(-index_lost // 36))
    assert store_of(folder).find(VALUES) == VALUES[-torn:]
    expect_rows(written(folder))
    assert (folder / "rows.bin").stat().st_size == 7 * 12
    assert (folder / "index.bin").stat().st_size == 7 * 36


def test_a_damaged_row_is_never_read(tmp_path):
    written(tmp_path / "store")
    rows = tmp_path / "store" / "rows.bin"
    content = bytearray(rows.read_bytes())
    content[2 * 12 + 5] ^= 1
    rows.write_bytes(content)
    store = store_of(tmp_path / "store")
    store.find(VALUES)
    expect_rows(store, VALUES[:2] + VALUES[3:])
    with pytest.raises(UserError, match=r"features of input 2 in .*rows.bin.* delete the folder"):
        store.read("input 2")


def test_features_of_another_input_are_never_read(tmp_path):
    written(tmp_path / "store")
    index = tmp_path / "store" / "index.bin"
    content = index.read_bytes()
    first, second, others = content[:32], content[36:68], content[72:]
    index.write_bytes(second + content[32:36] + first + content[68:72] + others)
    store = store_of(tmp_path / "store")
    store.find(VALUES)
    expect_rows(store, VALUES[2:])
    for value in VALUES[:2]:
        with pytest.raises(UserError, match=rf"features of {value} in .*rows.bin.* delete"):
            store.read(value)


@pytest.mark.parametrize(
    "layout",
    [
        '{"sha',
        "{}",
        "[]",
        '{"shape": 6, "made_of": {"weights": "these"}}',
        '{"shape": [0, 3], "made_of": {"weights": "these"}}',
        '{"shape": [2, 3], "made_of": {"weights": "others"}}',
    ],
)
def test_a_damaged_layout_is_a_sentence(tmp_path, layout):
    written(tmp_path / "store")
    (tmp_path / "store" / "layout.json").write_text(layout)
    with pytest.raises(UserError, match=r"the shape .* in .*layout.json.* delete the folder"):
        store_of(tmp_path / "store").find(VALUES)


def test_rows_are_never_read_in_another_shape_of_the_same_size(tmp_path):
    written(tmp_path / "store")
    layout = tmp_path / "store" / "layout.json"
    layout.write_text(layout.read_text().replace("2", "6", 1).replace("3", "1", 1))
    store = store_of(tmp_path / "store")
    assert store.find(VALUES) == []
    with pytest.raises(UserError, match="it is damaged"):
        store.read(VALUES[0])


def test_a_cache_that_is_complete_need_not_be_writable(tmp_path, monkeypatch):
    whole = tiny_runs.trained(start(tmp_path, CACHED, run="whole"))
    monkeypatch.delattr(FeatureStore, "locked")
    again = tiny_runs.trained(start(tmp_path, CACHED, run="again"))
    assert again.weights.read_bytes() == whole.weights.read_bytes()


def test_rows_of_another_shape_and_a_full_disk_are_refused(tmp_path, monkeypatch):
    store = written(tmp_path / "store")
    store.find(["new"])
    with pytest.raises(UserError, match=r"one shape for all inputs, got \(5,\) after \(2, 3\)"):
        store.append(["new"], torch.zeros(1, 5).half(), 1)
    with pytest.raises(UserError, match="features of new that float16 can hold"):
        store.append(["new"], torch.full((1, 2, 3), torch.inf).half(), 1)
    empty = store_of(tmp_path / "other")
    with empty.locked(unseen):
        empty.find(["new"])
        with pytest.raises(UserError, match=r"GB of free space .* set MULTIATTN_CACHE"):
            empty.append(["new"], torch.zeros(1, 5).half(), 10**15)


def test_a_cache_that_cannot_be_written_is_a_sentence(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(UserError, match=r"could not write features .* set MULTIATTN_CACHE"),
        store_of(tmp_path / "file" / "store").locked(unseen),
    ):
        pass


def test_the_cache_lies_where_the_platform_keeps_such_things(monkeypatch, tmp_path):
    assert cache_folder() == tmp_path / "cache"
    monkeypatch.delenv(CACHE_VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    expected = {"darwin": Path.home() / "Library" / "Caches" / "multiattn"}
    assert cache_folder() == expected.get(sys.platform, tmp_path / "xdg" / "multiattn")


@pytest.mark.parametrize("workers", [0, 1])
def test_training_with_a_cache_is_training_without_to_the_bit(tmp_path, computed, workers):
    plain = tiny_runs.trained(start(tmp_path, run="plain"))
    computed.write_text("")
    changed = [CACHED, f"training.workers={workers}"]
    cached = tiny_runs.trained(start(tmp_path, *changed, run="cached"))
    assert tiny_runs.log_of(cached) == tiny_runs.log_of(plain)
    expected, found = load_file(plain.weights), load_file(cached.weights)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_each_input_is_computed_once_for_all_runs(tmp_path, computed):
    tiny_runs.trained(start(tmp_path, CACHED, run="first"))
    first = lines(computed)
    pictures = 3  # after each validation one input is written for as in prediction, uncached
    assert len(first) - pictures == len(set(first))
    computed.write_text("")
    tiny_runs.trained(start(tmp_path, CACHED, "decoder.dropout=0.3", run="second", dropout=0.5))
    assert len(lines(computed)) == pictures


def test_a_run_goes_on_with_the_cache_of_its_own_weights(tmp_path, computed):
    whole = tiny_runs.trained(start(tmp_path, CACHED, run="whole"))
    tiny_runs.trained(start(tmp_path, CACHED, "training.steps=6", "training.schedule=constant"))
    caches = sorted((tmp_path / "cache" / STORES).iterdir())
    tiny_runs.trained(start(tmp_path, CACHED, "training.schedule=constant"))
    assert sorted((tmp_path / "cache" / STORES).iterdir()) == caches
    assert len(caches) == 1
    assert whole.weights.exists()


def test_a_run_may_go_on_without_its_cache(tmp_path):
    settings = ["training.schedule=constant"]
    whole = load_file(tiny_runs.trained(start(tmp_path, *settings, run="whole")).weights)
    tiny_runs.trained(start(tmp_path, CACHED, "training.steps=6", *settings))
    found = load_file(tiny_runs.trained(start(tmp_path, *settings)).weights)
    assert all(torch.equal(whole[name], found[name]) for name in whole)


def caches_of(folder, *overrides, **encoder):
    started = start(folder, CACHED, *overrides, **encoder)
    built = build_training(started, tiny_runs.host(), tiny_runs.splits_of(started), None)
    readers, encoders = built.processors.readers, built.model.encoders
    return started.settings, encoders, readers, built.caches


def test_a_cache_of_other_weights_settings_or_readers_is_another_folder(tmp_path):
    def folder(*overrides, change=lambda encoder: None, **encoder):
        settings, encoders, readers, _ = caches_of(tmp_path, *overrides, **encoder)
        with torch.no_grad():
            change(encoders["letters"])
        caches = open_caches(settings.sources, tiny_runs.host(), encoders, readers)
        return caches["letters"].store.folder

    def nudge(encoder):
        encoder.embedding.weight[1, 2] += 1e-6

    def learn(encoder):
        encoder.layer.weight.mul_(2)

    same = folder()
    assert folder() == same
    assert folder(change=learn) == same
    assert folder("training.learning_rate=0.1", dropout=0.4) == same
    read_otherwise = {"name": "tiny-fixed", "offset": 1}
    others = [folder("seed=2"), folder(change=nudge), folder(dim=6), folder(reader=read_otherwise)]
    assert len({same, *others}) == 5


def test_what_cannot_be_kept_names_both_settings(tmp_path):
    with pytest.raises(UserError, match=r"got sources.letters.encoder .* all of it trained"):
        caches_of(tmp_path, learning=True)
    noisy = {"name": "tiny-fixed", "noisy": True, "offset": 1}
    with pytest.raises(
        UserError, match=r"sources.letters.cache, got sources.letters.reader.noisy, which"
    ):
        caches_of(tmp_path, reader=noisy)
    with pytest.raises(UserError, match=r"got sources.letters.reader 'tiny-letters', which"):
        caches_of(tmp_path, reader="tiny-letters")
    parts = {"field": "source", "reader": "tiny-fixed", "encoder": "tiny-embedding"}
    other = tiny_runs.start(tmp_path, [CACHED], sources={"letters": parts})
    with pytest.raises(UserError, match=r"features to cache .* got sources.letters.encoder"):
        build_training(other, tiny_runs.host(), tiny_runs.splits_of(other), None)


def test_a_dry_run_says_what_is_missing_and_computes_only_its_batch(tmp_path, computed):
    started = start(tmp_path, CACHED)
    first = list(dry_run(started, tiny_runs.host(), ()))
    said = next(line for line in first if line.startswith("features of letters"))
    count = len(set((tmp_path / "pairs" / "train.tsv").read_text().split("\n")))
    assert "to be computed for" in said
    assert not (tmp_path / "cache").exists()
    assert len(lines(computed)) < count
    tiny_runs.trained(started)
    again = "\n".join(dry_run(started, tiny_runs.host(), ()))
    assert "\nfeatures of letters: to be computed for 0 of " in again


def test_an_input_that_cannot_be_read_stops_or_is_left_out(tmp_path):
    started = start(tmp_path, CACHED)
    table = tmp_path / "pairs" / "train.tsv"
    table.write_text(table.read_text() + "ab!\tBA\n")
    with pytest.raises(UserError, match="expected letters, got 'ab!'"):
        tiny_runs.trained(started)
    skipping = start(tmp_path, CACHED, "training.bad_rows=skip", run="skipping")
    log = tiny_runs.log_of(tiny_runs.trained(skipping))
    found = next(line["found"] for line in log if line.get("split") == "train")
    assert found.startswith("60 rows; 1 bad rows skipped; the first: expected letters, got 'ab!'")


def builder(folder, **environment) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, tiny_runs.__file__, str(folder), *builder_settings()],
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def builder_settings():
    reader = "sources.letters.reader=tiny-fixed"
    return [CACHED, reader, "sources.letters.encoder=tiny-frozen", "search.batch_size=2"]


def rows_file(folder) -> Path | None:
    return next((folder / "cache" / STORES).glob("*/rows.bin"), None)


def test_a_run_killed_while_it_computes_goes_on_and_is_as_if_it_had_not_been(tmp_path, computed):
    start(tmp_path)
    killed = builder(tmp_path, TINY_SLOW="0.2")
    deadline = time.monotonic() + 120
    while not ((file := rows_file(tmp_path)) and file.stat().st_size) and killed.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    before = len(lines(computed))
    kept = rows_file(tmp_path).stat().st_size // (2 * 8 * 2)
    assert 0 < kept <= before
    finished = tiny_runs.trained(tiny_runs.start(tmp_path, builder_settings()))
    pictures = 3
    found = lines(computed)
    assert len(found) - pictures - len(set(found)) <= before - kept + 2  # what the kill tore
    unbroken = tiny_runs.trained(tiny_runs.start(tmp_path, builder_settings()[1:], "plain"))
    assert tiny_runs.log_of(finished) == tiny_runs.log_of(unbroken)


def test_two_runs_at_once_compute_each_input_once(tmp_path, computed):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        start(tmp_path / name)
    both = [builder(tmp_path / name, TINY_SLOW="0.02") for name in ("one", "two")]
    said = [each.communicate(timeout=240)[0] for each in both]
    assert [each.returncode for each in both] == [0, 0], said
    found = lines(computed)
    pictures = 2 * 3
    assert len(found) - pictures <= len(set(found))
    folders = [tiny_runs.RunFolder(tmp_path / name / "run") for name in ("one", "two")]
    logs = [tiny_runs.log_of(folder) for folder in folders]
    assert logs[0] == logs[1]
