"""Media that are no files: what they hold decides what they are equal to."""

from __future__ import annotations

import hashlib
import pickle
from functools import partial

import numpy as np
import pytest

from multiattn.data.corpus import Example, StoredMedia, content_digest, open_corpus
from multiattn.data.rows import BadRows, Fields, training_rows
from multiattn.errors import UserError
from multiattn.recipe.settings import CorpusSettings
from multiattn.registry.host import load_host
from multiattn.run_folder import RunFolder
from multiattn.runs.overlap import _contains, _files


def stored(content, name="photo of a"):
    return StoredMedia(name, partial(bytes, content))


def test_stored_media_are_the_same_key_if_their_content_is():
    one, same, other = stored(b"x"), stored(b"x", "another name"), stored(b"y")
    assert one == same
    assert one != other
    assert {one: 1}[same] == 1
    assert pickle.loads(pickle.dumps(one)) == one
    assert (str(one), repr(one)) == ("photo of a", "photo of a")


def test_the_digest_of_a_value_is_that_of_its_content(tmp_path):
    file = tmp_path / "a"
    file.write_bytes(b"x")
    for value in (stored(b"x"), b"x", str(file), file, "x"):
        assert content_digest(value) == hashlib.sha256(b"x").digest()


def test_decoded_media_are_told_apart_by_their_content():
    image = np.arange(6, dtype=np.uint8).reshape(1, 2, 3)
    same, turned = image.copy(), image.reshape(2, 1, 3)
    one, two, three = (
        StoredMedia("image", partial(np.asarray, each)) for each in (image, same, turned)
    )
    assert one == two
    assert one != three
    assert content_digest(image) == one.digest


def test_a_value_that_cannot_be_a_key_is_refused_with_what_to_give_instead():
    example = Example("a", {"photo": np.zeros(3), "text": "b"})
    with pytest.raises(UserError, match=r"got ndarray, which has no hash; .*StoredMedia\(name, "):
        training_rows([example], "train", Fields({"photo": "photo"}, "text"), BadRows("stop"))


def test_a_file_as_the_folder_of_a_corpus_is_refused(tmp_path):
    (tmp_path / "train.parquet").touch()
    settings = CorpusSettings.model_validate({"name": "table", "folder": "train.parquet"})
    with pytest.raises(UserError, match=r"corpus in a folder, got the file .*train.parquet; name"):
        open_corpus(settings, load_host(), tmp_path)


def test_a_missing_corpus_is_refused_with_how_to_get_it(tmp_path):
    said = "say with --data where the corpora are"
    for obtain, end in (("", said), ("run make.py", f"{said}, or run make.py")):
        settings = CorpusSettings(name="table", folder="mine", obtain=obtain)
        with pytest.raises(UserError) as raised:
            open_corpus(settings, load_host(), tmp_path)
        assert str(raised.value).endswith(f"mine, got no such folder; {end}")


def test_media_of_an_earlier_runs_training_are_found_by_their_content():
    evaluated = [Example("a", {"photo": stored(b"x"), "text": "b"})]
    (file,) = _files(evaluated, ())
    assert _contains({stored(b"x", "photo of z"): []}, file)
    assert not _contains({stored(b"y"): []}, file)


def test_a_reader_may_add_to_a_jsonl_file_of_a_recorded_run(tmp_path):
    run = RunFolder(tmp_path)
    folder = run.source("speech")
    folder.mkdir(parents=True)
    (folder / "durations.jsonl").write_text("1\n")
    (folder / "means.json").write_text("1")
    run.start.write_text('{"data": ".", "fitted": {"sources/speech/durations.jsonl": "0"}}')
    run.check_fitted()  # recorded by an earlier version
    recorded = run.fitted_digests()
    (folder / "durations.jsonl").write_text("1\n2\n")
    assert run.fitted_digests() == recorded
    (folder / "means.json").write_text("2")
    assert run.fitted_digests() != recorded
