"""A checkpoint is never lost, whatever happens while one is written: kills, full disks, errors of the system."""

import errno
import os
import resource
import shutil
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from numbered_checkpoint import STATE_JSON, number_of, write
from safetensors import SafetensorError

from ppmm.engine import checkpoint as module
from ppmm.engine.checkpoint import read_checkpoint, write_checkpoint
from ppmm.errors import CheckpointError

# --- a kill while writing -------------------------------------------------------------------------------------------

WATCHED = ("open", "os.", "shutil.")


def in_child(function):
    """What ``function`` returns (a text) in a forked process; None where that process ended without answering."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            os.write(writer, function().encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as answer:
        text = answer.read().decode()
    os.waitpid(child, 0)
    return text or None


def write_and_die(folder, number, at):
    """Write in a process that ends without any clean-up at its ``at``-th file operation.

    Returns whether it was killed (False: it wrote everything).
    """

    def run():
        seen = 0

        def count(event, arguments):
            nonlocal seen
            if event.startswith(WATCHED):
                if seen == at:
                    os._exit(9)
                seen += 1

        sys.addaudithook(count)
        write(folder, number)
        return "written"

    return in_child(run) is None


@pytest.mark.parametrize("previous", [None, 1.0])
def test_a_kill_at_any_moment_leaves_a_complete_checkpoint(tmp_path, previous):
    """SIGKILL, as nothing of the killed process runs any more; then the next run writes and cleans up."""
    found = set()
    for at in range(500):
        run = tmp_path / str(at)
        if previous is not None:
            write(run / "last", previous)
        killed = write_and_die(run / "last", 2.0, at)
        try:
            found.add(number_of(run / "last"))
        except CheckpointError as error:
            assert previous is None and "no checkpoint at" in str(error), f"operation {at}: {error}"
        write(run / "last", 3.0)
        assert number_of(run / "last") == 3.0
        assert [path.name for path in run.iterdir()] == ["last"], f"operation {at}: left over"
        shutil.rmtree(run)
        if not killed:
            break
    assert not killed and at >= 10, "no operation was watched"
    assert found == {previous, 2.0} - {None}


def test_kill_after_kill(tmp_path):
    """A run that dies again and again at different moments never loses the last complete checkpoint."""
    write(tmp_path / "last", 1.0)
    for at in [*range(0, 60, 3), *range(59, 0, -3)]:
        write_and_die(tmp_path / "last", 2.0, at)
        assert number_of(tmp_path / "last") in (1.0, 2.0), at


# --- errors while writing -------------------------------------------------------------------------------------------

CALLS = [
    ("os", "rename"),
    ("os", "fsync"),
    ("shutil", "rmtree"),
    ("module", "save_file"),
    ("module", "file_sha256"),
    ("Path", "mkdir"),
    ("Path", "write_text"),
    ("Path", "open"),
]
OWNERS = {"os": os, "shutil": shutil, "module": module, "Path": Path}


def failing(monkeypatch, owner, name, nth, error):
    """Let the ``nth`` call of a function raise; returns the list of calls."""
    calls = []
    original = getattr(OWNERS[owner], name)

    def call(*args, **kwargs):
        calls.append(args)
        if len(calls) == nth:
            raise error
        return original(*args, **kwargs)

    monkeypatch.setattr(OWNERS[owner], name, call)
    return calls


@pytest.mark.parametrize(("owner", "name"), CALLS, ids=[name for _, name in CALLS])
@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()], ids=["no space", "second Ctrl-C"]
)
def test_an_error_at_any_call_keeps_the_previous_one(tmp_path, monkeypatch, owner, name, error):
    for nth in range(1, 20):
        folder = tmp_path / str(nth) / "last"
        write(folder, 1.0)
        with monkeypatch.context() as patch:
            calls = failing(patch, owner, name, nth, error)
            raised = None
            try:
                write(folder, 2.0)
            except (CheckpointError, KeyboardInterrupt) as caught:
                raised = caught
        if raised is None:
            assert number_of(folder) == 2.0, f"call {nth}"
        else:
            assert type(raised) is (CheckpointError if isinstance(error, OSError) else KeyboardInterrupt)
            assert number_of(folder) in (1.0, 2.0), f"call {nth}"
        if not (isinstance(error, KeyboardInterrupt) and name == "rmtree"):
            left = {path.name for path in folder.parent.iterdir()}
            assert not any(entry.endswith(".tmp") for entry in left), f"call {nth}: {left}"
        if len(calls) < nth:
            break
    assert nth > 1, "the function was never called"


def test_no_space_is_said_so(tmp_path, monkeypatch):
    write(tmp_path / "last", 1.0)
    with monkeypatch.context() as patch:
        failing(patch, "os", "fsync", 1, OSError(errno.ENOSPC, "No space left on device"))
        with pytest.raises(CheckpointError, match=r"no space left .* \(the previous checkpoint there is intact\)"):
            write(tmp_path / "last", 2.0)
    with monkeypatch.context() as patch:
        failing(patch, "os", "fsync", 1, OSError(errno.ENOSPC, "No space left on device"))
        with pytest.raises(CheckpointError) as caught:
            write(tmp_path / "new", 2.0)
    assert "previous" not in str(caught.value)


def test_the_previous_one_is_promised_where_it_still_is(tmp_path, monkeypatch):
    """The second rename fails: the previous checkpoint is still readable, and the message has to say so."""
    write(tmp_path / "last", 1.0)
    with monkeypatch.context() as patch:
        failing(patch, "os", "rename", 2, OSError(errno.EIO, "Input/output error"))
        with pytest.raises(CheckpointError, match="intact"):
            write(tmp_path / "last", 2.0)
    assert number_of(tmp_path / "last") == 1.0


@pytest.mark.parametrize("limit", [0, 1000, 80_000, 165_000])
def test_full_disk(tmp_path, limit):
    """The operating system refuses to write more than ``limit`` bytes to a file (arrays 160 kB, text 90 kB)."""
    folder = tmp_path / "last"
    write(folder, 1.0)

    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        arrays = {"model.safetensors": {"weight": np.ones((100, 200))}}
        try:
            write_checkpoint(folder, arrays, {STATE_JSON: "x" * 90_000}, {})
        except CheckpointError as error:
            return str(error)
        return "written"

    message = in_child(limited)
    if limit < 160_000:
        assert "no space left" in message and "intact" in message, message
        assert number_of(folder) == 1.0
    else:
        assert message == "written"
        assert read_checkpoint(folder).arrays("model.safetensors")["weight"].sum() == 20_000
    assert [path.name for path in tmp_path.iterdir()] == ["last"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_no_space_while_the_arrays_are_written(tmp_path, monkeypatch, number):
    """safetensors puts the operating system's error number into a text; quotas are common on shared machines."""
    problem = SafetensorError(f"Error while serializing: I/O error: {os.strerror(number)} (os error {number})")
    failing(monkeypatch, "module", "save_file", 1, problem)
    with pytest.raises(CheckpointError, match="no space left"):
        write(tmp_path / "last")


def test_a_file_in_the_way_of_the_folder(tmp_path):
    (tmp_path / "checkpoints").write_text("a file")
    with pytest.raises(CheckpointError, match="cannot write"):
        write(tmp_path / "checkpoints" / "last")
    assert (tmp_path / "checkpoints").read_text() == "a file"


def test_other_mistakes_leave_no_temporary_folder(tmp_path):
    with pytest.raises(TypeError):
        write_checkpoint(tmp_path / "last", {}, {}, {"figure": object()})
    assert list(tmp_path.iterdir()) == []
