"""Tools that start others: what is left of those when the first one ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ppmm.app.child import interrupt_children, run_child

ROOT = Path(__file__).parents[2]
TOOL = """
import os, sys, time
from pathlib import Path
from ppmm.command import run

def main():
    Path(sys.argv[1] + ".part").write_text(str(os.getpid()))
    os.rename(sys.argv[1] + ".part", sys.argv[1])
    time.sleep(60)

run(main)
"""
PARENT_TOOL = "import sys; from ppmm.app.child import run_child; run_child(sys.argv[1:], None)"


def pid_in(path: Path) -> int:
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline, "the child has not started"
        time.sleep(0.02)
    return int(path.read_text())


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    (tmp_path / "tool.py").write_text(TOOL)
    return tmp_path / "tool.py"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_child_does_not_outlive_a_tool_that_is_killed(number: signal.Signals, tool: Path, tmp_path: Path) -> None:
    said = tmp_path / "pid"
    with subprocess.Popen([sys.executable, "-c", PARENT_TOOL, str(tool), str(said)]) as parent:
        child = pid_in(said)
        assert is_running(child)
        os.kill(parent.pid, number)
    deadline = time.monotonic() + 10
    while is_running(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    alive = is_running(child)
    if alive:
        os.kill(child, signal.SIGKILL)
    assert not alive


def test_ctrl_c_is_handed_to_a_child_of_another_thread(tool: Path, tmp_path: Path) -> None:
    said = tmp_path / "pid"
    with ThreadPoolExecutor(1) as pool, (tmp_path / "log").open("w") as stream:
        ended = pool.submit(run_child, [str(tool), str(said)], stream)
        pid_in(said)
        interrupt_children()
        assert ended.result(timeout=20) == 130
    assert "interrupted" in (tmp_path / "log").read_text()
