"""The cache of features that differ in length, as those of texts and recordings do."""

from __future__ import annotations

import pickle

import pytest
import tiny_runs
import torch
from safetensors.torch import load_file

from multiattn.data.features.cache import CACHE_VARIABLE, pad_slots
from multiattn.data.features.store import FeatureStore
from multiattn.errors import UserError

VALUES = [f"input {number}" for number in range(1, 6)]
SLOT_BYTES, ENTRY_BYTES = 3 * 2, 40


@pytest.fixture(autouse=True)
def computed(tmp_path, monkeypatch):
    """Caches in a folder of the test's own; a file with a line per input that was computed."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setenv("TINY_COMPUTED", str(tmp_path / "computed"))
    (tmp_path / "computed").touch()
    return tmp_path / "computed"


def store_of(folder) -> FeatureStore:
    return FeatureStore(folder, {"weights": "these"}, texts=True, sequences=True)


def unseen():
    raise AssertionError("expected nobody to wait")


def row_of(value) -> torch.Tensor:
    """As many slots as the number in the value, of three numbers each."""
    slots = int(value.split()[1])
    return torch.arange(3.0 * slots).view(slots, 3).half() + slots


def written(folder, values=VALUES) -> FeatureStore:
    store = store_of(folder)
    with store.locked(unseen):
        missing = store.find(values)
        for start in range(0, len(missing), 2):
            group = missing[start : start + 2]
            store.append(group, map(row_of, group), len(missing))
        assert store.find(values) == []
    return store


def expect_rows(store, values=VALUES):
    for value in values:
        torch.testing.assert_close(store.read(value), row_of(value), rtol=0, atol=0)


def test_rows_are_read_as_they_were_written_each_with_its_length(tmp_path):
    store = written(tmp_path / "store")
    expect_rows(store)
    expect_rows(pickle.loads(pickle.dumps(store)))
    again = store_of(tmp_path / "store")
    assert again.find([*VALUES[::-1], "input 9"]) == ["input 9"]
    expect_rows(again)


def test_features_are_padded_with_zeros_to_the_longest():
    values, lengths = pad_slots([row_of("input 1"), row_of("input 3")])
    assert lengths.tolist() == [1, 3]
    assert torch.equal(values[1], row_of("input 3"))
    assert torch.equal(values[0, :1], row_of("input 1"))
    assert not values[0, 1:].any()


@pytest.mark.parametrize(
    ("rows_lost", "index_lost", "torn"),
    [(0, 1, 1), (0, ENTRY_BYTES + 1, 2), (1, 0, 1), (9 * SLOT_BYTES, 0, 2), (40, 90, 3)],
)
def test_what_a_kill_tore_is_written_anew(tmp_path, rows_lost, index_lost, torn):
    folder = tmp_path / "store"
    written(folder)
    for name, lost in (("rows.bin", rows_lost), ("index.bin", index_lost)):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) - lost])
    assert store_of(folder).find(VALUES) == VALUES[-torn:]
    expect_rows(written(folder))
    assert (folder / "rows.bin").stat().st_size == (1 + 2 + 3 + 4 + 5) * SLOT_BYTES
    assert (folder / "index.bin").stat().st_size == 5 * ENTRY_BYTES


def test_a_damaged_row_is_never_read(tmp_path):
    written(tmp_path / "store")
    rows = tmp_path / "store" / "rows.bin"
    content = bytearray(rows.read_bytes())
    content[3 * SLOT_BYTES + 1] ^= 1  # of the third row
    rows.write_bytes(content)
    store = store_of(tmp_path / "store")
    store.find(VALUES)
    expect_rows(store, VALUES[:2] + VALUES[3:])
    with pytest.raises(UserError, match=r"features of input 3 in .*rows.bin.* delete the folder"):
        store.read("input 3")


def test_a_damaged_length_is_never_believed(tmp_path):
    written(tmp_path / "store")
    index = tmp_path / "store" / "index.bin"
    content = bytearray(index.read_bytes())
    content[2 * ENTRY_BYTES + 36] -= 1
    index.write_bytes(content)
    store = store_of(tmp_path / "store")
    store.find(VALUES)
    expect_rows(store, VALUES[:2])
    for value in VALUES[2:]:
        with pytest.raises(UserError, match="it is damaged"):
            store.read(value)


@pytest.mark.parametrize("shape", ["[2, 3]", "[null, 0]", "[null, null]", "null", "[]"])
def test_a_damaged_layout_is_a_sentence(tmp_path, shape):
    written(tmp_path / "store")
    layout = '{"shape": SHAPE, "made_of": {"weights": "these"}}'.replace("SHAPE", shape)
    (tmp_path / "store" / "layout.json").write_text(layout)
    with pytest.raises(UserError, match=r"the shape .* in .*layout.json.* delete the folder"):
        store_of(tmp_path / "store").find(VALUES)


def test_slots_of_another_shape_and_a_full_disk_are_refused(tmp_path):
    store = written(tmp_path / "store")
    store.find(["new"])
    with pytest.raises(UserError, match=r"slots of one shape for all inputs, got \(2, 5\) after"):
        store.append(["new"], [torch.zeros(2, 5).half()], 1)
    with pytest.raises(UserError, match="features of new that float16 can hold"):
        store.append(["new"], [torch.full((4, 3), torch.nan).half()], 1)
    empty = store_of(tmp_path / "other")
    with empty.locked(unseen):
        empty.find(["new"])
        with pytest.raises(UserError, match=r"GB of free space .* set MULTIATTN_CACHE"):
            empty.append(["new"], [torch.zeros(2, 5).half()], 10**15)


def test_a_text_that_names_a_file_is_not_that_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("input 1", "input 2"):
        (tmp_path / name).write_text("the same")
    expect_rows(written(tmp_path / "store", VALUES[:2]), VALUES[:2])


def start(folder, *overrides, run, **parts):
    source = {"field": "source", "reader": "tiny-fixed", "encoder": "tiny-frozen-sequence", **parts}
    return tiny_runs.start(folder, [*overrides], run, sources={"letters": source})


@pytest.mark.parametrize("workers", [0, 1])
def test_training_with_a_cache_is_training_without_to_the_bit(tmp_path, computed, workers):
    plain = tiny_runs.trained(start(tmp_path, run="plain"))
    computed.write_text("")
    changed = f"training.workers={workers}"
    cached = tiny_runs.trained(start(tmp_path, changed, run="cached", cache=True))
    lines = computed.read_text().splitlines()
    pictures = 3  # after each validation one input is written for as in prediction, uncached
    assert len(lines) - pictures == len(set(lines))
    assert tiny_runs.log_of(cached) == tiny_runs.log_of(plain)
    expected, found = load_file(plain.weights), load_file(cached.weights)
    assert all(torch.equal(expected[name], found[name]) for name in expected)
