"""What every request passes: limits on body and time, the token, other sites, security headers.

Plain ASGI, so that a body is counted while it arrives and never read beyond its limit.
"""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from multiattn.serve.limits import Limits, RequestError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; form-action 'none'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(self), geolocation=()",
    "cache-control": "no-store",
}
PATIENCE_SECONDS = 0.5  # for more of a request that is refused
FIRST_ERROR = 400  # of the statuses
SECURITY = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
GUARDED = ("/v1/", "/metrics", "/openapi")  # paths that need the token


class Guard:
    """Answers what is refused itself; everything else it hands on.

    token: what a request must carry as ``Authorization: Bearer TOKEN``; empty for none.
    """

    def __init__(self, app: App, limits: Limits, token: str = "") -> None:
        self._app, self._limits, self._token = app, limits, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        refused = self._refusal(scope["path"], headers)
        if refused is not None:
            await _drain(receive, self._limits.body)
            await _answer(send, *refused)
            return

        async def secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                # whatever is left of a refused request is not read
                close = [(b"connection", b"close")] if message["status"] >= FIRST_ERROR else []
                message = {**message, "headers": [*message["headers"], *SECURITY, *close]}
            await send(message)

        await self._app(scope, self._counted(receive), secured)

    def _refusal(self, path: str, headers: dict[str, str]) -> tuple[int, str] | None:
        if headers.get("sec-fetch-site") in ("cross-site", "same-site"):
            return 403, "expected a request of this page or of a program, got one of another site"
        given = headers.get("authorization", "").removeprefix("Bearer ")
        needs_token = self._token and path.startswith(GUARDED)
        if needs_token and not hmac.compare_digest(given.encode(), self._token.encode()):
            return 401, "expected the server's token as Authorization: Bearer TOKEN, got another"
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > self._limits.body:
            return 413, self._too_large()
        return None

    def _too_large(self) -> str:
        return f"expected a request of at most {self._limits.body:,} bytes, got more; send less"

    def _too_slow(self) -> str:
        return f"expected a whole request within {self._limits.seconds:g} seconds; send it faster"

    def _counted(self, receive: Receive) -> Receive:
        received = 0
        deadline = asyncio.get_running_loop().time() + self._limits.seconds
        whole = False

        async def counted() -> Message:
            nonlocal received, whole
            if whole:  # what comes now is that the client has gone
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise RequestError(408, self._too_slow()) from None
            received += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            if received > self._limits.body:
                await _drain(receive, self._limits.body)
                raise RequestError(413, self._too_large())
            return message

        return counted


async def _drain(receive: Receive, most: int) -> None:
    """Read what is on its way and drop it: a client that is still sending would miss the answer."""
    read = 0
    while read <= most:
        try:
            message = await asyncio.wait_for(receive(), PATIENCE_SECONDS)
        except TimeoutError:
            return
        read += len(message.get("body", b""))
        if not message.get("more_body", False):
            return


async def _answer(send: Send, status: int, message: str) -> None:
    content = json.dumps({"error": message}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(content)).encode()),
        (b"connection", b"close"),
        *SECURITY,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
