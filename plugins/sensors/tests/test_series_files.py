"""What is read from CSV files and arrays, and what is refused, in one sentence."""

from __future__ import annotations

import numpy as np
import pytest

from multiattn import UserError
from multiattn_sensors.series_files import read_series


@pytest.fixture
def write(tmp_path):
    def write_file(content, name="series.csv"):
        path = tmp_path / name
        if isinstance(content, str):
            path.write_text(content, "utf-8")
        else:
            np.save(path, content)
        return str(path)

    return write_file


def refusal(value, channels=(), rate=10.0):
    with pytest.raises(UserError) as caught:
        read_series(value, channels, rate)
    sentence = str(caught.value)
    assert sentence.startswith("expected ")
    assert "\n" not in sentence
    return sentence


def test_a_csv_file_gives_its_columns_in_the_order_that_is_asked_for(write):
    path = write('x,"y", label\n1,2,a\n3.5,-4e1,b\n')
    names, samples = read_series(path, ("y", "x"), 10.0)
    assert names == ("y", "x")
    assert samples.tolist() == [[2.0, 1.0], [-40.0, 3.5]]


def test_without_channels_all_columns_but_the_times_are_read(write):
    names, samples = read_series(write("x,seconds,y\n1,0,2\n3,0.1,4\n5,0.2,6\n"), (), 10.0)
    assert names == ("x", "y")
    assert samples.tolist() == [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]


@pytest.mark.parametrize("kind", ["float16", "float64", "int8", ">u2"])
def test_an_array_gives_the_same_as_the_numbers_in_a_csv_file(write, kind):
    array = np.array([[1, 2], [3, 4], [5, 6]], kind)
    names, samples = read_series(write(array, "series.npy"), ("x", "y"), 10.0)
    text = "x,y\n" + "".join(f"{x},{y}\n" for x, y in array.tolist())
    assert names == ("x", "y")
    assert samples.tolist() == read_series(write(text), (), 10.0)[1].tolist()


def test_the_columns_of_an_array_are_numbered_if_nobody_names_them(write):
    assert read_series(write(np.ones((2, 3)), "series.npy"), (), 10.0)[0] == ("1", "2", "3")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", ["empty file"]),
        ("x,y\n", ["a line per sample", "0 samples"]),
        ("seconds\n0\n0.1\n", ["channel names", "no channel"]),
        ("x,x\n1,2\n", ["distinct", "x, x"]),
        ("x,y\n1,2\n3\n", ["2 cells", "line 3"]),
        ("x,y\n1,2\n3,high\n", ["a number", "column y", "line 3", "'high'"]),
        ("x,y\n1,\n", ["column 'y'", "line 2"]),
        ("x,y\n1,nan\n", ["finite", "sample 1", "channel y"]),
        ("x,y\n1,2\ninf,2\n", ["finite", "sample 2", "channel x"]),
        ("x,y\n1e300,2\n", ["finite", "1e+300"]),
        ("x,seconds\n1,0\n2,0.02\n3,0.04\n", ["10 samples per second", "2 steps in 0.04 seconds"]),
        ("x,seconds\n1,0\n2,nan\n", ["10 samples per second"]),
    ],
)
def test_a_bad_csv_file_is_refused_in_one_sentence(write, content, words):
    sentence = refusal(write(content))
    assert all(word in sentence for word in [*words, "series.csv"]), sentence


def test_a_missing_channel_is_named_with_those_that_there_are(write):
    sentence = refusal(write("x,y\n1,2\n"), ("x", "z"))
    assert "'z'" in sentence
    assert "x, y" in sentence


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((4, 3)), ["2 channels (x, y)", "got 3"]),
        (np.zeros(4), ["(time, channels)", "(4,)"]),
        (np.float64(4), ["(time, channels)", "()"]),
        (np.zeros((0, 2)), ["(time, channels)", "(0, 2)"]),
        (np.zeros((4, 2), complex), ["numbers", "complex128"]),
        (np.array([["a", "b"]]), ["numbers", "<U1"]),
        (np.array([[1, None]]), ["NumPy array"]),
        (np.array([[0.0, 1.0], [0.0, np.nan]]), ["finite", "sample 2", "channel y"]),
    ],
)
def test_a_bad_array_is_refused_in_one_sentence(write, array, words):
    sentence = refusal(write(array, "series.npy"), ("x", "y"))
    assert all(word in sentence for word in [*words, "series.npy"]), sentence


def test_a_file_that_is_cut_off_or_no_array_is_refused(write, tmp_path):
    path = tmp_path / "series.npy"
    write(np.zeros((100, 2)), "series.npy")
    path.write_bytes(path.read_bytes()[:-8])
    assert "NumPy array" in refusal(str(path))
    with path.open("wb") as file:
        np.savez(file, np.zeros((100, 2)))
    assert "NumPy array" in refusal(str(path))


@pytest.mark.parametrize("name", ["nowhere.csv", "nowhere.npy"])
def test_a_missing_file_is_refused(tmp_path, name):
    assert name in refusal(str(tmp_path / name))
