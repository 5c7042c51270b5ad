"""What every HTTP request passes: key, size, patience with slow clients, cancellation, drain, the log line."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import json
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from ppmm.serving import metrics
from ppmm.serving.settings import ServeSettings

__all__ = ["Guard", "key_is_right"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
OPEN = ("/healthz", "/readyz", "/v2/health/live", "/v2/health/ready")
ADMIN = "/v2/repository/"
FORGOTTEN = 4


def key_is_right(given: str | None, wanted: str) -> bool:
    """Whether a client's key is the server's, in a time that does not tell how much of it was right."""
    return hmac.compare_digest((given or "").encode(), wanted.encode())


class Guard:
    """ASGI middleware around the whole application.

    Args:
        app: what answers.
        settings: limits and key.
    """

    def __init__(self, app: Any, settings: ServeSettings) -> None:
        self.app, self.settings = app, settings
        self.draining = False
        self.inside = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = time.perf_counter()
        status = {"code": 499, "started": False}  # what nginx calls a client that went away

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                status.update(code=message["status"], started=True)
            await send(message)

        self.inside += 1
        try:
            await self._pass(scope, receive, noted)
        except Exception as error:
            metrics.LOG.error("failed", extra={"facts": {"path": scope["path"], "why": type(error).__name__}})
            if not status["started"]:
                await _refuse(noted, 500, "internal error")
        finally:
            self.inside -= 1
            facts = {"method": scope["method"], "path": scope["path"], "status": status["code"]}
            if scope["path"] not in OPEN:
                took = round(1e3 * (time.perf_counter() - began), 2)
                metrics.LOG.info("request", extra={"facts": {**facts, "ms": took}})

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        refusal = None if scope["path"] in OPEN else self._refusal(scope, headers)
        # the body is read in any case: a connection that is closed on unread bytes loses the answer
        body, status = await self._body(receive)
        if status == 499:
            return None
        if refusal is not None:
            return await _refuse(send, *refusal)
        if body is None:
            words = {
                408: f"no whole body after {self.settings.body_seconds:g} seconds",
                413: f"the body has more than {self.settings.max_body_mb << 20} bytes; at most so many are read",
            }
            return await _refuse(send, status, words[status], {"connection": "close"})
        return await _cancellable(self.app, scope, receive, send, body)

    def _refusal(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str, dict[str, str]] | None:
        """Status, words and headers for a request that may not pass; None for others."""
        wanted = self.settings.api_key
        if self.draining:
            return 503, "the server is stopping", {"retry-after": "5", "connection": "close"}
        if wanted is not None and not key_is_right(_key(headers), wanted):
            return 401, "a key is needed: Authorization: Bearer KEY", {"www-authenticate": "Bearer"}
        if wanted is None and _changes(scope) and not _is_local(scope):
            return 403, "this call needs an API key, or to come from the server's own machine", {}
        return None

    async def _body(self, receive: Receive) -> tuple[bytes | None, int]:
        """The whole body; or None and why: 408 too slow, 413 too large, 499 the client went away.

        Of one that is too large the rest is read and forgotten, up to `FORGOTTEN` times of what is allowed.
        """
        most = self.settings.max_body_mb << 20
        parts: list[bytes] = []
        size = 0
        end = time.monotonic() + self.settings.body_seconds
        while size <= FORGOTTEN * most:
            try:
                message = await asyncio.wait_for(receive(), max(0.0, end - time.monotonic()))
            except asyncio.TimeoutError:
                return None, 408
            if message["type"] == "http.disconnect":
                return None, 499
            part = message.get("body", b"")
            size += len(part)
            if size <= most:
                parts.append(part)
            else:
                parts.clear()
            if not message.get("more_body"):
                return (b"".join(parts), 200) if size <= most else (None, 413)
        return None, 413


async def _cancellable(app: Any, scope: Scope, receive: Receive, send: Send, body: bytes) -> None:
    """Run the application on a body that was read; stop it when the client goes away."""
    given = False

    async def replayed() -> Message:
        nonlocal given
        if given:
            await asyncio.Event().wait()  # the disconnect is watched below
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def gone() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    answering = asyncio.ensure_future(app(scope, replayed, send))
    leaving = asyncio.ensure_future(gone())
    try:
        await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            answering.cancel()
        await asyncio.gather(answering, return_exceptions=answering.cancelled() or leaving.done())
    except asyncio.CancelledError:
        if not leaving.done():
            raise
    finally:
        leaving.cancel()
        answering.cancel()


def _key(headers: dict[str, str]) -> str | None:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else headers.get("x-api-key")


def _changes(scope: Scope) -> bool:
    """Whether a call changes what is served: another version of a model, another item of the index."""
    path = scope["path"]
    return path.startswith(ADMIN) or (path.startswith("/items") and scope["method"] != "GET")


def _is_local(scope: Scope) -> bool:
    client = scope.get("client")
    try:
        return client is None or ipaddress.ip_address(client[0]).is_loopback
    except ValueError:
        return False


async def _refuse(send: Send, status: int, words: str, headers: dict[str, str] | None = None) -> None:
    body = json.dumps({"error": words}).encode()
    every = {"content-type": "application/json", "content-length": str(len(body)), **(headers or {})}
    pairs = [(name.encode(), value.encode()) for name, value in every.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})
