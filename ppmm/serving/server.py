"""Runs it all: loads the bundles, listens, and on SIGTERM answers what it has accepted before it ends."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ppmm.errors import ConfigError, PpmmError
from ppmm.serving import metrics
from ppmm.serving.settings import ServeSettings

__all__ = ["serve"]

KEEP_ALIVE = 65
CONNECTIONS = 1024


def serve(folders: Sequence[str], settings: ServeSettings) -> None:
    """Serve bundles until SIGTERM or Ctrl-C.

    Args:
        folders: bundles, ``NAME=FOLDER`` or a folder whose name, or whose run's name, is the model's.
        settings: see `ServeSettings`.

    Raises ConfigError of names that are not different, and ExportError of a bundle that cannot be served.
    """
    named = dict(_named(folder) for folder in folders)
    if len(named) < len(folders):
        raise ConfigError(f"two bundles have one name: {', '.join(_named(f)[0] for f in folders)}; give NAME=FOLDER")
    metrics.log_to_stderr()
    with contextlib.suppress(ImportError):
        import uvloop

        uvloop.install()
    try:
        asyncio.run(_serve(named, settings))
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)


def _named(text: str) -> tuple[str, Path]:
    name, mark, folder = text.partition("=")
    if mark:
        if not name or not all(letter.isalnum() or letter in "-_." for letter in name):
            raise ConfigError(f"'{name}' cannot be a model's name: letters, digits, '-', '_' and '.' only")
        return name, Path(folder)
    path = Path(text).absolute()
    return (path.parent.name if path.name == "bundle" else path.name), path


async def _serve(named: dict[str, Path], settings: ServeSettings) -> None:
    import uvicorn

    from ppmm.serving.grpc_server import make_grpc_server
    from ppmm.serving.guard import Guard
    from ppmm.serving.registry import Bundles
    from ppmm.serving.rest_app import make_app
    from ppmm.serving.search_routes import open_index
    from ppmm.serving.service import Service

    services = [Service(name, folder, settings) for name, folder in named.items()]
    stop = asyncio.Event()
    try:
        listener = _listener(settings)
        for service in services:
            await service.load()
        _take_signals(stop)  # now, since Paddle takes them when it is imported
        bundles = Bundles(services)
        index = None if settings.index is None else open_index(settings.index, services[0].folder)
        app = make_app(bundles, settings, index)
        guard = Guard(app, settings)
        http = _http_server(
            uvicorn.Config(
                guard, host=settings.host, port=settings.http_port, log_config=None, access_log=False, lifespan="off",
                timeout_keep_alive=KEEP_ALIVE, limit_concurrency=CONNECTIONS, ssl_certfile=settings.certificate,
                ssl_keyfile=settings.key, server_header=False,
            )
        )  # fmt: skip
        grpc_server = make_grpc_server(bundles, settings) if settings.grpc_port else None
        await _run(services, http, listener, grpc_server, guard, settings, stop)
    finally:
        await asyncio.gather(*(service.close() for service in services), return_exceptions=True)


async def _run(
    services: Sequence[Any],
    http: Any,
    listener: socket.socket,
    grpc_server: Any,
    guard: Any,
    settings: ServeSettings,
    stop: asyncio.Event,
) -> None:
    """Listen until ``stop``, then drain."""
    listening = asyncio.create_task(http.serve(sockets=[listener]))
    watching = [asyncio.create_task(service.watch()) for service in services]
    try:
        if grpc_server is not None:
            await grpc_server.start()
        while not http.started and not listening.done():
            await asyncio.sleep(0.01)
        scheme = "https" if settings.certificate else "http"
        facts = {
            "address": f"{scheme}://{settings.host}:{settings.http_port}",
            "grpc": f"{settings.host}:{settings.grpc_port}" if grpc_server is not None else None,
            "models": {service.name: service.predictor.backend for service in services},
        }
        metrics.LOG.info("ready", extra={"facts": facts})
        waiting = asyncio.create_task(stop.wait())
        await asyncio.wait({waiting, listening}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        metrics.LOG.info("stopping", extra={"facts": {"pending": sum(service.pending for service in services)}})
        guard.draining = guard.app.state.draining = True
        stopping = asyncio.create_task(grpc_server.stop(settings.drain_seconds)) if grpc_server is not None else None
        await _drained(guard, services, settings.drain_seconds)
        http.should_exit = True
        await listening
        if stopping is not None:
            await stopping
        metrics.LOG.info("stopped")
    finally:
        for task in watching:
            task.cancel()


def _listener(settings: ServeSettings) -> socket.socket:
    """A socket at the address of REST. Raises PpmmError where it is taken."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # with its protocol: asyncio sets TCP_NODELAY only on such sockets, and answers would wait 40 ms without
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.http_port))
    except OSError as error:
        listener.close()
        where = f"{settings.host}:{settings.http_port}"
        raise PpmmError(f"cannot listen on {where}: {error.strerror}; is something else there?") from error
    return listener


def _take_signals(stop: asyncio.Event) -> None:
    import paddle

    paddle.disable_signal_handler()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)


async def _drained(guard: Any, services: Sequence[Any], seconds: float) -> None:
    """Wait until every accepted request is answered, ``seconds`` at most."""
    end = asyncio.get_running_loop().time() + seconds
    while (guard.inside or any(service.pending for service in services)) and asyncio.get_running_loop().time() < end:
        await asyncio.sleep(0.02)


def _http_server(config: Any) -> Any:
    """uvicorn's server without its own handling of signals: the drain decides when it ends."""
    import uvicorn

    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]
    return server
