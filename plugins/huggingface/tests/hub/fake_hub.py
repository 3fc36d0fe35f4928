"""A server that answers as the Hugging Face hub does, with one dataset and one that is gated."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

DATASET, GATED = "me/tiny", "me/gated"
COMMIT = "a" * 40


class Hub(BaseHTTPRequestHandler):
    files: Mapping[str, bytes]

    def log_message(self, *words: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = self.path.split("?")[0]
        resolved = f"/datasets/{DATASET}/resolve/"
        if path.startswith(f"/datasets/{GATED}/"):
            self._send(403, b"", {"X-Error-Code": "GatedRepo", "X-Error-Message": "ask"})
        elif path.startswith(f"/api/datasets/{GATED}"):
            self._send(200, json.dumps({"id": GATED, "sha": COMMIT, "gated": "auto"}).encode())
        elif path.startswith((f"/api/datasets/{DATASET}/revision/", f"/api/datasets/{DATASET}?")):
            self._send(200, json.dumps({"id": DATASET, "sha": COMMIT}).encode())
        elif path == f"/api/datasets/{DATASET}/tree/{COMMIT}":
            listed = [
                {"type": "file", "path": name, "size": len(content), "oid": "b" * 40}
                for name, content in self.files.items()
            ]
            self._send(200, json.dumps(listed).encode())
        elif path.startswith(resolved) and path.rpartition("/")[2] in self.files:
            content = self.files[path.rpartition("/")[2]]
            tag = hashlib.sha1(content).hexdigest()
            self._send(200, content, {"ETag": f'"{tag}"', "X-Repo-Commit": COMMIT})
        else:
            missing = "EntryNotFound" if f"/{DATASET}/" in path else "RepoNotFound"
            self._send(404, b"{}", {"X-Error-Code": missing, "X-Repo-Commit": COMMIT})

    def _send(self, code: int, content: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(code)
        for name, value in (headers or {"Content-Type": "application/json"}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


@contextmanager
def serve(files: Mapping[str, bytes]) -> Iterator[str]:
    """The address of a hub whose dataset has these files."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Tiny", (Hub,), {"files": files}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
