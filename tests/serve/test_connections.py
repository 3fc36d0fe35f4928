"""Clients that send slowly, too much or nothing, and many at once."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from urllib.parse import urlsplit

import httpx
import pytest
from served import Running

from multiattn.serve import server
from multiattn.serve.limits import Limits
from multiattn.serve.served_run import ServedRun

HEAD = (
    b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Type: multipart/form-data; boundary=x\r\n"
)


def connect(address):
    return socket.create_connection(
        (urlsplit(address).hostname, urlsplit(address).port), timeout=20
    )


def test_a_body_of_two_gigabytes_is_refused_before_it_is_sent(address):
    with connect(address) as client:
        client.sendall(HEAD + b"Content-Length: 2000000000\r\n\r\n")
        assert b"413" in client.recv(4096).split(b"\r\n")[0]


def test_a_body_that_hides_its_length_is_cut_off(address):
    chunk = b"10000\r\n" + bytes(0x10000) + b"\r\n"
    with connect(address) as client:
        client.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        with pytest.raises(OSError, match=r"reset|Broken pipe|closed"):  # noqa: PT012
            for _ in range(5000):
                client.sendall(chunk)
            raise AssertionError("300 MB were taken")
    assert httpx.get(f"{address}/healthz").status_code == 200


@pytest.fixture
def impatient(predictors, monkeypatch):
    monkeypatch.setattr(server, "HEADER_SECONDS", 0.5)
    with Running(predictors, Limits(seconds=1.0, connections=30)) as address:
        yield address


def test_headers_and_bodies_that_drip_are_ended(impatient):
    with connect(impatient) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: local")
        started = time.monotonic()
        assert client.recv(100) == b""
        assert time.monotonic() - started < 10
    with connect(impatient) as client:
        client.sendall(HEAD + b"Content-Length: 1000\r\n\r\n--x\r\n")
        assert b"408" in client.recv(4096).split(b"\r\n")[0]


def test_a_second_request_may_not_drip_either(impatient):
    with connect(impatient) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = b""
        while not answer.endswith(b'{"status":"ok"}'):
            answer += client.recv(4096)
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: local")
        started = time.monotonic()
        assert client.recv(100) == b""
        assert time.monotonic() - started < 4


def test_a_fault_of_one_answer_is_a_sentence_and_the_server_goes_on(predictors, monkeypatch):
    def fails(self, search, inputs):
        raise ZeroDivisionError

    monkeypatch.setattr(ServedRun, "answers", fails)
    with Running(predictors, Limits()) as address:
        data = {"run": (None, "pictures"), "example": (None, "one.png")}
        for _ in range(2):
            answer = httpx.post(f"{address}/v1/predict", files=data)
            assert (answer.status_code, "a fault of the server" in answer.text) == (500, True)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_server_cleanly(folders, number):
    command = [sys.executable, "-m", "multiattn", "serve", str(folders["pictures"]), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        line = process.stderr.readline()
        assert httpx.get(f"{line.split()[2]}/healthz").status_code == 200
        process.send_signal(number)
        assert process.stderr.read() == ""
        assert process.wait(30) == 0


def test_a_hundred_open_connections_are_ended_and_others_are_answered(impatient):
    clients = [connect(impatient) for _ in range(100)]
    for client in clients:
        client.sendall(b"GET / HTTP/1.1\r\n")
    time.sleep(1.5)
    assert httpx.get(f"{impatient}/healthz", timeout=20).status_code == 200
    for client in clients:
        client.close()
