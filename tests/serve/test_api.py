"""The API: answers are those of ``predict``, and what is refused is refused in a sentence."""

from __future__ import annotations

import json
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import tiny_runs
from served import WORDS, Running

import multiattn
from multiattn.errors import UserError
from multiattn.serve.limits import Limits
from multiattn.serve.served_run import ServedRun


def ask(address, **fields):
    """Send a form: bytes as files, everything else as texts."""
    files = {key: ("name", value) for key, value in fields.items() if isinstance(value, bytes)}
    data = {key: str(value) for key, value in fields.items() if not isinstance(value, bytes)}
    parts = files | {key: (None, value) for key, value in data.items()}
    return httpx.post(f"{address}/v1/predict", files=parts, timeout=60)


def content(folders, run, word):
    suffix = {"pictures": ".png", "sounds": ".wav"}[run]
    return (folders[run].parent / "data" / run / f"{word}{suffix}").read_bytes()


SOURCE = {"pictures": "photo", "sounds": "speech"}


@pytest.mark.parametrize("run", SOURCE)
@pytest.mark.parametrize("word", WORDS[:2])
def test_an_answer_is_that_of_predict(address, folders, predictors, run, word):
    data = content(folders, run, word)
    expected = predictors[run](data).view()
    answer = ask(address, run=run, **{SOURCE[run]: data}).json()
    assert answer.pop("run") == run
    answer["input"] = expected["input"]
    assert answer == json.loads(json.dumps(expected))


def test_search_settings_are_those_of_the_request(address, folders):
    data = content(folders, "pictures", "one")
    several = ask(address, run="pictures", photo=data, beam=4, n_best=3).json()
    assert len(several["view"]["outputs"]) == 3
    (one,) = ask(address, run="pictures", photo=data).json()["view"]["outputs"]
    assert one["text"] == several["view"]["outputs"][0]["text"] or one["score"] != 0


def test_requests_that_wait_are_decoded_together_and_none_is_mixed_up(address, folders, predictors):
    jobs = [(run, word) for run in SOURCE for word in WORDS] * 4
    expected = {
        (run, word): predictors[run](content(folders, run, word)).as_json()["score"]
        for run, word in jobs
    }
    with ThreadPoolExecutor(16) as pool:
        answers = pool.map(
            lambda job: ask(address, run=job[0], **{SOURCE[job[0]]: content(folders, *job)}).json(),
            jobs,
        )
        for job, answer in zip(jobs, answers, strict=True):
            assert answer["score"] == pytest.approx(expected[job], abs=1e-6)
    lines = httpx.get(f"{address}/metrics").text.splitlines()
    values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    inputs = float(values["multiattn_batch_inputs_sum"])
    assert float(values["multiattn_batch_inputs_count"]) < inputs


def test_an_example_of_the_test_split_needs_no_upload(address):
    (pictures, _) = httpx.get(f"{address}/v1/runs").json()
    assert pictures["sources"][0]["name"] == "photo"
    assert ".png" in pictures["sources"][0]["suffixes"]
    name = pictures["examples"][0]["id"]
    answer = ask(address, run="pictures", example=name)
    assert answer.status_code == 200
    assert answer.json()["view"]["sources"][0]["media"]["kind"] == "image"


def png(width, height):
    """A PNG that says it is so large, and holds next to nothing."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(3 * min(width, 1000) + 1) * min(height, 1000), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("fields", "status", "sentence"),
    [
        ({"run": "nobody", "photo": b"x"}, 404, "expected one of the runs pictures, sounds"),
        ({"run": "pictures"}, 422, "expected a value for photo, got none"),
        ({"run": "pictures", "photo": ""}, 422, "expected a value for photo, got none"),
        (
            {"run": "pictures", "photo": "/etc/passwd"},
            422,
            "expected a file in 'photo', got a text",
        ),
        ({"run": "pictures", "photo": b"../../etc/passwd"}, 422, "expected an image"),
        ({"run": "pictures", "example": "../../etc/passwd"}, 404, "expected the id of an example"),
        ({"run": "pictures", "example": b"x"}, 422, "expected a text in 'example', got a file"),
        ({"run": "pictures", "picture": b"x"}, 422, "expected fields photo, got 'picture'"),
        ({"run": "pictures", "photo": png(100_000, 100_000)}, 422, "megapixels"),
        ({"run": "pictures", "photo": b"<svg xmlns='x'><script/></svg>"}, 422, "a drawing"),
        ({"run": "pictures", "photo": b"%PDF-1.4 \xff\xd8\xff"}, 422, "a PDF"),
        ({"run": "pictures", "photo": b"GIF89a;<script>alert(1)</script>"}, 422, "image"),
        ({"run": "sounds", "speech": b"RIFF\xff\xff\xff\xffWAVE"}, 422, "the file in 'speech'"),
        ({"run": "sounds", "speech": b"\x00" * 1000}, 422, "expected a recording"),
        ({"run": "pictures", "photo": b"x" * 3_000_000}, 413, "at most 2,000,000 bytes"),
        ({"run": "pictures", "photo": png(99, 99), "beam": "many"}, 422, "another value of beam"),
        (
            {"run": "pictures", "photo": png(99, 99), "beam": 99},
            422,
            "a beam and n_best of at most",
        ),
        ({"run": "pictures", "photo": png(99, 99), "temperature": -1}, 422, "temperature"),
        ({"run": "pictures", "photo": png(99, 99), "length_penalty": 1e308}, 422, "from -10 to 10"),
    ],
)
def test_what_cannot_be_answered_is_refused_in_a_sentence(address, fields, status, sentence):
    answer = ask(address, **fields)
    assert answer.status_code == status, answer.text
    assert sentence in answer.json()["error"]
    assert "/" not in answer.json()["error"].replace("etc/passwd", "").replace("multipart/", "")
    assert httpx.get(f"{address}/healthz").json() == {"status": "ok"}


def test_a_client_that_sends_too_much_hears_why(address):
    answer = ask(address, run="pictures", photo=bytes(3_900_000))
    assert answer.status_code == 413

    def chunks():
        yield from [b"--x\r\nContent-Disposition: form-data; name=photo; filename=a\r\n\r\n"]
        yield from [bytes(65_536)] * 60

    headers = {"content-type": "multipart/form-data; boundary=x"}
    sent = httpx.post(f"{address}/v1/predict", content=chunks(), headers=headers, timeout=30)
    assert (sent.status_code, "at most 2,000,000 bytes" in sent.text) == (413, True)


def test_a_recording_much_longer_than_in_training_is_refused_before_it_is_decoded(address, folders):
    import io

    import numpy as np
    import soundfile

    seconds = np.arange(16_000 * 12) / 16_000
    long = io.BytesIO()
    soundfile.write(long, 0.2 * np.sin(800 * seconds), 16_000, format="FLAC")
    answer = ask(address, run="sounds", speech=long.getvalue())
    assert (answer.status_code, "longest in training" in answer.text) == (413, True)


def test_other_methods_paths_and_bodies_are_refused(address):
    assert httpx.get(f"{address}/v1/predict").status_code == 405
    assert httpx.get(f"{address}/../../etc/passwd").status_code == 404
    assert httpx.get(f"{address}/static/page.html").status_code == 404
    assert httpx.get(f"{address}/static/..%2fapp.py").status_code == 404
    assert httpx.post(f"{address}/v1/predict", json={}).status_code == 415
    broken = httpx.post(
        f"{address}/v1/predict",
        content=b"--x\r\nnothing",
        headers={"content-type": "multipart/form-data; boundary=y"},
    )
    assert broken.status_code in (400, 422)
    assert "expected" in broken.json()["error"]


def test_other_hosts_and_sites_are_refused(address):
    assert httpx.get(f"{address}/", headers={"host": "rebound.example"}).status_code == 400
    other = {"sec-fetch-site": "cross-site"}
    assert httpx.get(f"{address}/v1/runs", headers=other).status_code == 403


def test_every_answer_has_the_headers_that_keep_a_page_safe(address):
    for path in ("/", "/v1/runs", "/nothing", "/static/page.js"):
        headers = httpx.get(f"{address}{path}").headers
        assert "script-src 'self'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
    for path in ("/", "/docs"):
        page = httpx.get(f"{address}{path}").text
        assert "http://" not in page.replace(address, "")
        assert "https://" not in page
        assert "<script>" not in page


def test_the_api_describes_itself_offline(address):
    schema = httpx.get(f"{address}/openapi.json").json()
    form = schema["paths"]["/v1/predict"]["post"]["requestBody"]["content"]["multipart/form-data"]
    assert {"run", "example", "beam"} <= form["schema"]["properties"].keys()
    page = httpx.get(f"{address}/docs").text
    assert all(path in page for path in schema["paths"])


def test_a_language_model_has_nothing_to_be_asked(tmp_path):
    run = tiny_runs.trained(tiny_runs.start(tmp_path, sources={}, evaluation={}))
    predictor = multiattn.load(run.path, host=tiny_runs.host(), device="cpu")
    with pytest.raises(UserError, match="a run with sources to serve, got lm, a language model"):
        ServedRun("lm", predictor, Limits())


def test_a_token_is_asked_for(predictors):
    with Running(predictors, Limits(), token="secret") as address:
        assert httpx.get(f"{address}/v1/runs").status_code == 401
        assert httpx.get(f"{address}/metrics").status_code == 401
        assert httpx.get(f"{address}/healthz").status_code == 200
        headers = {"authorization": "Bearer secret"}
        assert httpx.get(f"{address}/v1/runs", headers=headers).status_code == 200
