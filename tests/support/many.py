"""Several processes of one test without Paddle's launcher, whose looks every 3 s would be most of the time."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

ROOT = Path(__file__).parents[2]


def start(world: int, arguments: Sequence[str], logs: Path) -> list[subprocess.Popen[str]]:
    """``python *arguments`` in ``world`` processes, as the launcher sets their environment; output in ``logs/N``."""
    logs.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(world)]
        points = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    shared = {"PADDLE_TRAINERS_NUM": str(world), "PADDLE_TRAINER_ENDPOINTS": ",".join(points)}
    shared |= {"PADDLE_DISTRI_BACKEND": "gloo", "OMP_NUM_THREADS": "1"}
    shared |= {"PYTHONPATH": os.pathsep.join([str(ROOT), str(Path(__file__).parent)])}
    return [
        subprocess.Popen(
            [sys.executable, *arguments], cwd=ROOT, stdout=(logs / str(rank)).open("w"), stderr=subprocess.STDOUT,
            env={**os.environ, **shared, "PADDLE_TRAINER_ID": str(rank), "PADDLE_CURRENT_ENDPOINT": points[rank]},
            text=True,
        )
        for rank in range(world)
    ]  # fmt: skip


def finish(processes: Sequence[subprocess.Popen[str]], seconds: float = 120.0) -> list[int]:
    """Their exit codes."""
    try:
        return [process.wait(timeout=seconds) for process in processes]
    finally:
        for process in processes:
            process.kill()
