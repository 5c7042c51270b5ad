"""Which processes of a run are still there, and what the others are told when one ends.

gloo notices a broken connection; NCCL waits for ever for a process that was killed, and so does a process that does not
exchange anything at that moment. So each process keeps a connection to the first one, which the kernel closes when it
dies, and a thread that reads it.
"""

from __future__ import annotations

import json
import os
import secrets
import selectors
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ppmm.errors import PpmmError

__all__ = ["PeerWatch"]

START = 120.0
"""Seconds within which the processes must have found one another."""
GRACE = 3.0
"""Seconds for the main thread to notice by itself, before this process is ended."""
KEEP_ALIVE = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 3, "TCP_KEEPCNT": 4}
"""A machine that went without a word is noticed within 20 s."""


class PeerWatch:
    """A thread that ends this process, with a message, when another one is gone.

    Args:
        rank: of this process.
        world: how many there are.
        host: where the others reach the first one.
        exchange: as `Processes.exchange`.
    """

    def __init__(self, rank: int, world: int, host: str, exchange: Callable[[Any], list[Any]]) -> None:
        self.rank, self.world = rank, world
        self._reason: str | None = None
        self._heard = threading.Event()
        self._left = threading.Event()
        token, server = secrets.token_hex(16), None
        if rank == 0:
            server = _serve(host)
        own = {"pid": os.getpid(), "host": socket.gethostname()}
        address = {} if server is None else {"at": [host, server.getsockname()[1]], "token": token}
        self.names = exchange({**own, **address})
        if server is not None:
            self.peers = _accept(server, world, token)
        else:
            at, token = self.names[0]["at"], self.names[0]["token"]
            connection = socket.create_connection((at[0], at[1]), timeout=START)
            _send(connection, {"rank": rank, "token": token})
            self.peers = {0: connection}
        for connection in self.peers.values():
            connection.settimeout(None)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in KEEP_ALIVE.items():
                if hasattr(socket, option):
                    connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
        threading.Thread(target=self._listen, name="peer watch", daemon=True).start()

    def reason(self, wait: float) -> str | None:
        """Why the run cannot go on, once it is known; None when nothing is heard within ``wait`` seconds."""
        self._heard.wait(wait)
        self._left.set()  # the main thread knows: it will end by itself
        return self._reason

    def leave(self, error: BaseException | None) -> None:
        """Tell the others that this process ends: well, or by ``error``."""
        self._left.set()
        if error is None or getattr(error, "code", None) is not None:  # the end, or asked for in all of them
            told: dict[str, Any] = {"rank": self.rank, "end": True}
        else:
            text = str(error) if isinstance(error, PpmmError) else f"{type(error).__name__}: {error}"
            told = {"rank": self.rank, "error": text}
        for connection in self.peers.values():
            _send(connection, told)

    def _listen(self) -> None:
        """Read what the peers say until nobody is left."""
        chosen = selectors.DefaultSelector()
        for rank, connection in self.peers.items():
            chosen.register(connection, selectors.EVENT_READ, (rank, bytearray()))
        while chosen.get_map():
            for key, _ in chosen.select():
                rank, buffer = key.data
                try:
                    data = key.fileobj.recv(4096)  # type: ignore[union-attr]
                except OSError:
                    data = b""
                buffer += data
                *lines, rest = bytes(buffer).split(b"\n")
                buffer[:] = rest
                ended = any(self._hear(json.loads(line)) for line in lines)
                if not data and not ended:
                    self._hear({"rank": rank, "error": None})
                if not data or ended:
                    chosen.unregister(key.fileobj)

    def _hear(self, told: dict[str, Any]) -> bool:
        """Take in one message; whether it is the last one of its sender."""
        if "end" in told:
            return True
        if self.rank == 0:
            for rank, connection in self.peers.items():
                if rank != told["rank"]:
                    _send(connection, told)
        if not self._heard.is_set():
            self._reason = self._told(told)
            self._heard.set()
            threading.Thread(target=self._end, daemon=True).start()
        return True

    def _told(self, told: dict[str, Any]) -> str:
        name = self.names[told["rank"]]
        who = f"process {told['rank']} of {self.world} (pid {name['pid']} on {name['host']})"
        if told["error"] is not None:
            return f"{who} ended: {told['error']}"
        return f"{who} was killed or lost; the run goes on from its last checkpoint with --resume"

    def _end(self) -> None:
        """End this process unless its main thread does."""
        if not self._left.wait(GRACE):
            print(f"error: {self._reason}", file=sys.stderr, flush=True)
            os._exit(2)


def _serve(host: str) -> socket.socket:
    try:
        return socket.create_server((host, 0))
    except OSError:  # the address that others use may be that of a router in front of this machine
        return socket.create_server(("", 0))


def _accept(server: socket.socket, world: int, token: str) -> dict[int, socket.socket]:
    """The connections of all other processes. Raises PpmmError when one does not come."""
    peers: dict[int, socket.socket] = {}
    ends = time.monotonic() + START
    with server:
        while len(peers) < world - 1:
            server.settimeout(max(0.1, ends - time.monotonic()))
            try:
                connection, _ = server.accept()
                connection.settimeout(START)
                told = json.loads(_line(connection))
                if secrets.compare_digest(str(told["token"]), token):
                    peers[int(told["rank"])] = connection
            except TimeoutError as error:
                raise PpmmError(f"only {len(peers) + 1} of {world} processes have come within {START:.0f} s") from error
            except (OSError, ValueError, KeyError, TypeError):  # somebody else's connection
                continue
    return peers


def _line(connection: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"\n") and len(data) < 1024 and (byte := connection.recv(1)):
        data += byte
    return data


def _send(connection: socket.socket, document: dict[str, Any]) -> None:
    with suppress(OSError):  # it is gone: whoever listens learns it there
        connection.sendall(json.dumps(document).encode() + b"\n")
