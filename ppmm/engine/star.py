"""Plain connections between the first process of a run and the others, and small documents over them.

gloo gives up after 30 s, which a process that writes a checkpoint or reads a slow disk may well take, and Paddle has no
setting for it; NCCL needs the GPU for every number. Documents go over connections of their own, which wait for as long
as the other side lives, and every exchange over gloo is preceded by one of them.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import time
from collections.abc import Callable
from typing import Any

from ppmm.errors import PpmmError

__all__ = ["Star", "connect", "receive", "send"]

START = 120.0
"""Seconds within which the processes must have found one another."""
HEAD = 8
MOST = 1 << 30
"""Bytes of a document; more is no document of ours."""
KEEP_ALIVE = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 3, "TCP_KEEPCNT": 4}
"""A machine that went without a word is noticed within 20 s."""


class Star:
    """The first process hears all others and tells each what all have said.

    Args:
        rank: of this process.
        peers: connections: of the first process to all others, of these to the first.
    """

    def __init__(self, rank: int, peers: dict[int, socket.socket]) -> None:
        self.rank, self.peers = rank, peers

    def exchange(self, document: Any) -> list[Any]:
        """What each process gives (JSON values), in the order of their ranks. Raises OSError when one is gone."""
        if self.rank:
            send(self.peers[0], document)
            found: list[Any] = receive(self.peers[0])
            return found
        found = [document, *(receive(self.peers[rank]) for rank in sorted(self.peers))]
        for connection in self.peers.values():
            send(connection, found)
        return found


def connect(
    rank: int, world: int, host: str, exchange: Callable[[Any], list[Any]]
) -> tuple[list[dict[str, Any]], dict[int, socket.socket]]:
    """pid and host of each process, and connections between the first one and all others.

    Args:
        rank: of this process.
        world: how many there are.
        host: where the others reach the first one.
        exchange: another way to exchange documents, to find one another.

    Raises PpmmError when one does not come.
    """
    token = secrets.token_hex(16)
    server = _serve(host) if rank == 0 else None
    own = {"pid": os.getpid(), "host": socket.gethostname()}
    names = exchange(own if server is None else {**own, "at": [host, server.getsockname()[1]], "token": token})
    if server is not None:
        peers = _accept(server, world, token)
    else:
        at = names[0]["at"]
        try:
            peers = {0: socket.create_connection((at[0], at[1]), timeout=START)}
        except OSError as error:
            raise PpmmError(f"process {rank} does not reach the first one at {at[0]}:{at[1]}: {error}") from error
        send(peers[0], {"rank": rank, "token": names[0]["token"]})
    for connection in peers.values():
        connection.settimeout(None)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in KEEP_ALIVE.items():
            if hasattr(socket, option):
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    return names, peers


def send(connection: socket.socket, document: Any) -> None:
    """One document (JSON values). Raises OSError when nobody is there."""
    data = json.dumps(document).encode()
    connection.sendall(len(data).to_bytes(HEAD, "little") + data)


def receive(connection: socket.socket) -> Any:
    """The next document. Raises OSError when there is no other side any more."""
    size = int.from_bytes(_exactly(connection, HEAD), "little")
    if size > MOST:
        raise OSError(f"a document of {size} bytes")
    return json.loads(_exactly(connection, size))


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        more = connection.recv(min(size - len(data), 1 << 20))
        if not more:
            raise ConnectionError("the other side is gone")
        data += more
    return bytes(data)


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
            except TimeoutError as error:
                raise PpmmError(f"only {len(peers) + 1} of {world} processes have come within {START:.0f} s") from error
            try:
                connection.settimeout(5.0)
                told = receive(connection)
                if secrets.compare_digest(str(told["token"]), token):
                    peers[int(told["rank"])] = connection
            except (OSError, ValueError, KeyError, TypeError):  # somebody else's connection
                connection.close()
    return peers
