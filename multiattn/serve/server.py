"""Runs the application under uvicorn, on one port of this machine unless asked otherwise."""

from __future__ import annotations

import asyncio
import ipaddress
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import HANDLED_SIGNALS

from multiattn.errors import UserError
from multiattn.prediction.predictor import load
from multiattn.registry.host import Host
from multiattn.run_folder import RunFolder
from multiattn.serve.app import make_app
from multiattn.serve.limits import Limits
from multiattn.serve.served_run import ServedRun

LOCAL = ("localhost", "127.0.0.1", "[::1]", "::1")
HEADER_SECONDS = 10.0


class ImpatientProtocol(H11Protocol):
    """Closes connections whose next request's headers do not come within ``HEADER_SECONDS``."""

    def connection_made(self, transport: Any) -> None:
        """Begin to wait."""
        super().connection_made(transport)
        self._patience: asyncio.TimerHandle | None = None
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Wait no longer if the headers are whole; wait for those of a further request."""
        super().data_received(data)
        if self._is_asked():
            self._stop_waiting()
        else:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _is_asked(self) -> bool:
        """Whether a request is being answered."""
        return self.cycle is not None and not self.cycle.response_complete

    def _wait(self) -> None:
        if self._patience is None:
            self._patience = self.loop.call_later(HEADER_SECONDS, self._lose_patience)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _lose_patience(self) -> None:
        self._patience = None
        if not self._is_asked():
            self.transport.close()


class AnnouncedServer(uvicorn.Server):
    """Calls ``ready`` once it answers."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], object]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so."""
        await super().startup(sockets)
        if self.started:
            self._ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Let signals stop the server, and nothing else: it ends as if it had finished."""
        before = {number: signal.signal(number, self.handle_exit) for number in HANDLED_SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def serve(
    folders: Sequence[Path],
    host: Host,
    *,
    address: str,
    port: int,
    token: str,
    overrides: Sequence[str],
    limits: Limits,
    ready: Callable[[str], object],
) -> None:
    """Serve runs until a signal stops it; no other process can train or serve them meanwhile.

    ready: told the address once the runs are loaded. Raises UserError for an address beyond this
    machine without a token, and for a run that cannot be served.
    """
    if not _is_local(address) and not token:
        raise UserError(
            f"expected --token TOKEN with the address {address}, which other machines reach, got "
            "none; choose one, or leave --host out"
        )
    with _listening(address, port) as listener, ExitStack() as stack:
        runs = []
        for folder, name in zip(folders, _names(folders), strict=True):
            stack.enter_context(RunFolder(folder).require().locked())
            predictor = load(folder, overrides=overrides, host=host)
            runs.append(ServedRun(name, predictor, limits))
        app = make_app(runs, limits, LOCAL if _is_local(address) else ("*",), token)
        config = uvicorn.Config(
            app,
            http=ImpatientProtocol,
            ws="none",
            limit_concurrency=limits.connections,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=30,
            h11_max_incomplete_event_size=16_384,
            server_header=False,
            log_level="warning",
        )
        shown = f"[{address}]" if ":" in address else address
        url = f"http://{shown}:{listener.getsockname()[1]}"
        asyncio.run(AnnouncedServer(config, partial(ready, url)).serve([listener]))


def _listening(address: str, port: int) -> socket.socket:
    """A socket of this address. Raises UserError if it cannot be had."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        return socket.create_server((address, port), family=family)
    except (OSError, OverflowError) as error:
        raise UserError(
            f"expected to listen at {address}, port {port}, got {error}; choose another --port or "
            "--host"
        ) from error


def _is_local(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def _names(folders: Sequence[Path]) -> list[str]:
    """The folders' own names, with a number where two are the same."""
    names: list[str] = []
    for folder in folders:
        name = folder.resolve().name
        names.append(name if name not in names else f"{name}-{len(names) + 1}")
    return names
