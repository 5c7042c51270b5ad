"""Which processes of a run are still there, and what the others are told when one ends.

NCCL waits for ever for a process that was killed, and so does one that does not exchange anything at that moment. So
each process keeps a connection to the first one, which the kernel closes when it dies, and a thread that reads it.
"""

from __future__ import annotations

import os
import selectors
import socket
import sys
import threading
from contextlib import suppress
from typing import Any

from ppmm.engine.star import receive, send
from ppmm.errors import PpmmError

__all__ = ["PeerWatch"]

GRACE = 3.0
"""Seconds for the main thread to notice by itself, before this process is ended."""


class PeerWatch:
    """A thread that ends this process, with a message, when another one is gone.

    Args:
        rank: of this process.
        names: pid and host of each.
        peers: connections that nothing else uses: of the first process to all others, of these to the first.
    """

    def __init__(self, rank: int, names: list[dict[str, Any]], peers: dict[int, socket.socket]) -> None:
        self.rank, self.names, self.peers = rank, names, peers
        self._reason: str | None = None
        self._heard = threading.Event()
        self._left = threading.Event()
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
        for rank in self.peers:
            self._tell(rank, told)

    def _listen(self) -> None:
        """Read what the peers say until nobody is left."""
        chosen = selectors.DefaultSelector()
        for rank, connection in self.peers.items():
            chosen.register(connection, selectors.EVENT_READ, rank)
        while chosen.get_map():
            for key, _ in chosen.select():
                try:
                    told = receive(self.peers[key.data])
                except (OSError, ValueError):
                    told = {"rank": key.data, "error": None}
                chosen.unregister(key.fileobj)  # nobody has more to say than that it ends, or that another one did
                if "end" not in told:
                    self._hear(told)

    def _hear(self, told: dict[str, Any]) -> None:
        """Take in why another process has ended."""
        if self.rank == 0:
            for rank in self.peers:
                if rank != told["rank"]:
                    self._tell(rank, told)
        if not self._heard.is_set():
            self._reason = self._told(told)
            self._heard.set()
            threading.Thread(target=self._end, daemon=True).start()

    def _tell(self, rank: int, told: dict[str, Any]) -> None:
        with suppress(OSError):  # it is gone: whoever listens learns it there
            send(self.peers[rank], told)

    def _told(self, told: dict[str, Any]) -> str:
        name = self.names[told["rank"]]
        who = f"process {told['rank']} of {len(self.names)} (pid {name['pid']} on {name['host']})"
        if told["error"] is not None:
            return f"{who} ended: {told['error']}"
        return f"{who} was killed or lost; the run goes on from its last checkpoint with --resume"

    def _end(self) -> None:
        """End this process unless its main thread does."""
        if not self._left.wait(GRACE):
            print(f"error: {self._reason}", file=sys.stderr, flush=True)
            os._exit(2)
