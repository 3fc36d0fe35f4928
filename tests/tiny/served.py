"""A server of runs in a thread of this process."""

from __future__ import annotations

import threading
import time
from typing import Any

WORDS = ("one", "two", "three", "four")


class Running:
    """A server of these runs."""

    def __init__(self, predictors: dict[str, Any], limits: Any, token: str = "") -> None:
        import uvicorn

        from multiattn.serve.app import make_app
        from multiattn.serve.served_run import ServedRun
        from multiattn.serve.server import LOCAL, ImpatientProtocol

        runs = [ServedRun(name, predictor, limits) for name, predictor in predictors.items()]
        config = uvicorn.Config(
            make_app(runs, limits, LOCAL, token),
            port=0,
            http=ImpatientProtocol,
            ws="none",
            limit_concurrency=limits.connections,
            log_level="warning",
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run)

    def __enter__(self) -> str:
        self._thread.start()
        while not self._server.started:
            time.sleep(0.02)
        port = self._server.servers[0].sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}"

    def __exit__(self, *error: object) -> None:
        self._server.should_exit = True
        self._thread.join()
