"""Folders that appear complete or not at all."""

import os
import signal
import subprocess
import sys

import pytest

from ppmm.data.new_folder import new_folder
from ppmm.errors import DataError


def test_appears_at_the_end(tmp_path):
    out = tmp_path / "deep" / "out"
    with new_folder(out) as folder:
        (folder / "a").write_text("x")
        assert not out.exists()
    assert (out / "a").read_text() == "x" and list(out.parent.iterdir()) == [out]


def test_an_empty_folder_may_be_there(tmp_path):
    (tmp_path / "out").mkdir()
    with new_folder(tmp_path / "out") as folder:
        (folder / "a").touch()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_nothing_is_left_after_an_error(tmp_path, error):
    with pytest.raises(error), new_folder(tmp_path / "out") as folder:
        (folder / "a").touch()
        raise error
    assert list(tmp_path.iterdir()) == []


def test_refuses_what_is_in_the_way(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").touch()
    for name in ("file", "full"):
        with pytest.raises(DataError, match="exists already"), new_folder(tmp_path / name):
            pytest.fail("must not be reached")
    with pytest.raises(DataError, match="cannot be written"), new_folder(tmp_path / "file" / "out"):
        pytest.fail("must not be reached")


HOLD = """
import sys
from pathlib import Path
from ppmm.data.new_folder import new_folder
with new_folder(Path(sys.argv[1])) as folder:
    (folder / "deep").mkdir()
    (folder / "deep" / "a").write_text("x")
    print(folder.name, flush=True)
    input()
"""


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path):
    out, keep = tmp_path / "out", [".out.making-x", ".out.making-", ".other.making-999999999", "out.making-999999999"]
    for name in keep:
        (tmp_path / name).mkdir()
    (tmp_path / ".out.making-9").write_text("a file is nobody's folder")
    (tmp_path / f".out.making-{10**30}").mkdir()
    command = [sys.executable, "-c", HOLD, str(out)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        name = other.stdout.readline().strip()
        with new_folder(out):
            assert (tmp_path / name / "deep" / "a").read_text() == "x", "another one at work is left alone"
        out.rmdir()
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
    assert (tmp_path / name).is_dir()
    with new_folder(out) as folder:
        (folder / "b").touch()
    assert {path.name for path in tmp_path.iterdir()} == {*keep, ".out.making-9", "out"}
