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
        if scope["path"] not in OPEN:
            if self.draining:
                return await _refuse(send, 503, "the server is stopping", {"retry-after": "5", "connection": "close"})
            wanted = self.settings.api_key
            if wanted is not None and not key_is_right(_key(headers), wanted):
                return await _refuse(
                    send, 401, "a key is needed: Authorization: Bearer KEY", {"www-authenticate": "Bearer"}
                )
            if _changes(scope) and wanted is None and not _is_local(scope):
                return await _refuse(send, 403, "this call needs an API key, or to come from the server's own machine")
        body = await self._body(headers, receive, send)
        if body is None:
            return None
        return await _cancellable(self.app, scope, receive, send, body)

    async def _body(self, headers: dict[str, str], receive: Receive, send: Send) -> bytes | None:
        """The whole body; None where the request was refused or its client went away."""
        most = self.settings.max_body_mb << 20
        stated = headers.get("content-length", "0")
        if stated.isdigit() and int(stated) > most:
            await _refuse(send, 413, f"the body has {stated} bytes; at most {most}", {"connection": "close"})
            return None
        patience = self.settings.body_seconds
        parts, size = [], 0
        end = time.monotonic() + patience
        while True:
            try:
                message = await asyncio.wait_for(receive(), max(0.0, end - time.monotonic()))
            except asyncio.TimeoutError:
                await _refuse(send, 408, f"no whole body after {patience:g} seconds", {"connection": "close"})
                return None
            if message["type"] == "http.disconnect":
                return None
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > most:
                await _refuse(send, 413, f"the body has more than {most} bytes", {"connection": "close"})
                return None
            if not message.get("more_body"):
                return b"".join(parts)


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
