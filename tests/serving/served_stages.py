"""deploy/load_test.py at a small size: every stage, and its figures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from served import BUNDLE, ROOT, free_port  # isort: skip


def test_every_stage(tmp_path: Path) -> None:
    import shutil

    shutil.copytree(BUNDLE, tmp_path / "digits")
    command = [sys.executable, "deploy/load_test.py", str(tmp_path / "digits"), "--port", str(free_port())]
    command += ["--seconds", "1", "--clients", "4", "--soak", "6", "--malformed", "66", "--json", str(tmp_path / "f")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    figures = json.loads((tmp_path / "f").read_text())
    assert figures["exit_code"] == 0 and figures["malformed"]["wrong"] == 0
    assert figures["malformed"]["same_answer_after"] is True and figures["malformed"]["sent"] >= 61
    assert figures["bare"]["samples_per_second"] > 0 and figures["soak"]["last_mb"] > 100
    for stage in ("one_client", "full_load", "at_70_percent"):
        assert 0 < figures[stage]["p50_ms"] <= figures[stage]["p99_ms"]
