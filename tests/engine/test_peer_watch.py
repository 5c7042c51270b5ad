"""A process that ends is noticed by the others although they exchange nothing: small processes without Paddle."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PEER = """
import json, os, sys, time, types
folder, rank, how = sys.argv[1], int(sys.argv[2]), sys.argv[3]
package = types.ModuleType("ppmm.engine")  # the package itself imports Paddle
package.__path__ = [os.path.join(sys.argv[4], "ppmm", "engine")]
sys.modules["ppmm.engine"] = package
from ppmm.engine.peer_watch import PeerWatch
from ppmm.engine.star import Star, connect
def exchange(document):
    with open(f"{folder}/{rank}.tmp", "w") as file:
        json.dump(document, file)
    os.rename(f"{folder}/{rank}.tmp", f"{folder}/{rank}.json")
    while not all(os.path.exists(f"{folder}/{other}.json") for other in range(3)):
        time.sleep(0.01)
    return [json.load(open(f"{folder}/{other}.json")) for other in range(3)]
star = Star(rank, connect(rank, 3, "127.0.0.1", exchange)[1])
peers = PeerWatch(rank, *connect(rank, 3, "127.0.0.1", star.exchange))
assert star.exchange("x" * 100_000 * rank) == ["", "x" * 100_000, "x" * 200_000]
if rank == 1:
    open(f"{folder}/ready", "w").close()
    if how == "error":
        peers.leave(OSError("no space left"))
        sys.exit(1)
    if how == "end":
        peers.leave(None)
        sys.exit(0)
    time.sleep(60)
if how == "end":
    time.sleep(1)
    peers.leave(None)
    sys.exit(0)
time.sleep(60)
"""


@pytest.mark.parametrize("how", ["kill", "error", "end"])
def test_every_process_learns_it(how: str, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PEER, str(tmp_path), str(rank), how, str(ROOT)], stderr=subprocess.PIPE, text=True,
            env=environment,
        )
        for rank in range(3)
    ]  # fmt: skip
    deadline = time.monotonic() + 30
    while not (tmp_path / "ready").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    if how == "kill":
        processes[1].kill()
    texts = [process.communicate(timeout=30)[1] for process in processes]
    assert [process.returncode for process in processes] == {
        "kill": [2, -9, 2], "error": [2, 1, 2], "end": [0, 0, 0]
    }[how]  # fmt: skip
    pid = json.loads((tmp_path / "1.json").read_text())["pid"]
    told = {
        "kill": " was killed or lost; the run goes on from its last checkpoint with --resume",
        "error": " ended: OSError: no space left",
    }.get(how)
    for rank in (0, 2):
        assert (told is None) == (texts[rank] == "")
        assert told is None or (texts[rank].startswith(f"error: process 1 of 3 (pid {pid} on ") and told in texts[rank])
