"""Checkpoint folders: exact, verified, and never lost, whatever happens while one is written."""

import errno
import json
import os
import resource
import shutil
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from safetensors import SafetensorError

from ppmm.engine import checkpoint as module
from ppmm.engine.checkpoint import read_checkpoint, write_checkpoint
from ppmm.errors import CheckpointError
from ppmm.hashing import file_sha256

STATE_JSON = "state.json"


def write(folder, number=1.0, size=10):
    """A checkpoint whose content is ``number`` throughout."""
    arrays = {
        "model.safetensors": {"weight": np.full((size, 2), number, "float32"), "bias": np.full(3, number)},
        "state.safetensors": {"weight|moment": np.full((size, 2), -number, "float32")},
    }
    write_checkpoint(folder, arrays, {STATE_JSON: json.dumps({"step": number})}, {"step": number})


def number_of(folder):
    """Which checkpoint is readable there; every part of it must belong together."""
    found = read_checkpoint(folder)
    numbers = {found.manifest["step"], json.loads(found.text(STATE_JSON))["step"]}
    numbers |= set(found.arrays("model.safetensors")["weight"].ravel().tolist())
    numbers |= set((-found.arrays("state.safetensors")["weight|moment"]).ravel().tolist())
    (number,) = numbers
    return number


def test_arrays_and_texts_come_back_exactly(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {
        "a/b.c|d": rng.normal(size=(3, 4)).astype("float32"),
        "double": rng.normal(size=5),
        "half": rng.normal(size=(2, 2)).astype("float16"),
        "ids": np.array([[-1, 2**62]]),
        "flags": np.array([True, False]),
        "bits": np.arange(6, dtype="uint16"),
        "transposed": np.arange(6, dtype="float32").reshape(2, 3).T,
        "strided": np.arange(10)[::3],
        "empty": np.zeros((0, 4), "float32"),
        "not a number": np.array([np.nan, np.inf, -0.0], "float32"),
    }
    text = "größer: 中文\n\tline two\n"
    write_checkpoint(tmp_path / "last", {"m.safetensors": arrays, "none.safetensors": {}}, {"a.txt": text}, {"x": [1]})
    found = read_checkpoint(tmp_path / "last")
    back = found.arrays("m.safetensors")
    assert set(back) == set(arrays)
    for name, array in arrays.items():
        assert back[name].dtype == array.dtype and back[name].shape == array.shape, name
        assert np.ascontiguousarray(back[name]).tobytes() == np.ascontiguousarray(array).tobytes(), name
    assert found.arrays("none.safetensors") == {} and found.text("a.txt") == text and found.manifest["x"] == [1]
    assert found.folder == tmp_path / "last"


def test_arrays_without_axes_keep_their_shape(tmp_path):
    """A buffer of shape [], such as a learned temperature."""
    write_checkpoint(tmp_path / "last", {"m.safetensors": {"scale": np.array(2.5, "float32")}}, {}, {})
    scale = read_checkpoint(tmp_path / "last").arrays("m.safetensors")["scale"]
    assert scale.shape == () and scale == 2.5


def test_manifest_has_the_hash_of_every_file(tmp_path):
    write(tmp_path / "last")
    manifest = json.loads((tmp_path / "last" / "manifest.json").read_text())
    assert set(manifest["files"]) == {path.name for path in (tmp_path / "last").iterdir()} - {"manifest.json"}
    for name, digest in manifest["files"].items():
        assert file_sha256(tmp_path / "last" / name) == digest


def test_replacing_leaves_nothing_behind(tmp_path):
    for number in (1.0, 2.0, 3.0):
        write(tmp_path / "run" / "last", number)
    assert number_of(tmp_path / "run" / "last") == 3.0
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["last"]


def test_two_names_side_by_side(tmp_path):
    write(tmp_path / "last", 1.0)
    write(tmp_path / "best", 2.0)
    write(tmp_path / "last", 3.0)
    assert (number_of(tmp_path / "last"), number_of(tmp_path / "best")) == (3.0, 2.0)


# --- damage ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["model.safetensors", "state.safetensors", STATE_JSON])
def test_half_cut_file(tmp_path, name):
    write(tmp_path / "last")
    path = tmp_path / "last" / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(CheckpointError, match=rf"{name} is damaged"):
        read_checkpoint(tmp_path / "last")


@pytest.mark.parametrize("name", ["model.safetensors", STATE_JSON])
@pytest.mark.parametrize("place", [0, -1])
def test_one_changed_byte(tmp_path, name, place):
    write(tmp_path / "last")
    path = tmp_path / "last" / name
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"{name} is damaged"):
        read_checkpoint(tmp_path / "last")


def test_missing_file(tmp_path):
    write(tmp_path / "last")
    (tmp_path / "last" / "state.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"incomplete: state\.safetensors is missing"):
        read_checkpoint(tmp_path / "last")


def test_manifest_cut_anywhere(tmp_path):
    write(tmp_path / "last")
    path = tmp_path / "last" / "manifest.json"
    whole = path.read_bytes()
    for length in [*range(0, len(whole) - 1, 7), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match=r"manifest\.json"):
            read_checkpoint(tmp_path / "last")


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe\x00",
        b"[]",
        b"null",
        b"3",
        b'"text"',
        b"{}",
        b'{"format": 1}',
        b'{"files": {}}',
        b'{"format": 1, "files": 3}',
    ],
)
def test_manifest_of_another_form(tmp_path, content):
    write(tmp_path / "last")
    (tmp_path / "last" / "manifest.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"manifest\.json"):
        read_checkpoint(tmp_path / "last")


def changed_manifest(folder, **change):
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest.update(change)
    path.write_text(json.dumps(manifest))


def test_another_format_version(tmp_path):
    write(tmp_path / "last")
    changed_manifest(tmp_path / "last", format=99)
    with pytest.raises(CheckpointError, match="format 99; this version of ppmm reads 1"):
        read_checkpoint(tmp_path / "last")


@pytest.mark.parametrize("name", ["../secret", "..", "sub/secret", ".", "", "{absolute}", "../last/state.json"])
def test_manifest_cannot_name_files_elsewhere(tmp_path, name):
    write(tmp_path / "last")
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "last" / "sub").mkdir()
    (tmp_path / "last" / "sub" / "secret").write_text("secret")
    name = name.replace("{absolute}", str(tmp_path / "secret"))
    changed_manifest(tmp_path / "last", files={name: file_sha256(tmp_path / "secret")})
    with pytest.raises(CheckpointError):
        read_checkpoint(tmp_path / "last")


def test_only_files_of_the_manifest_are_read(tmp_path):
    write(tmp_path / "last")
    (tmp_path / "last" / "extra.txt").write_text("planted")
    found = read_checkpoint(tmp_path / "last")
    for name in ("extra.txt", "../last/state.json", "manifest.json"):
        with pytest.raises(CheckpointError, match="has no"):
            found.text(name)


def test_arrays_of_a_text_file(tmp_path):
    write(tmp_path / "last")
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        read_checkpoint(tmp_path / "last").arrays(STATE_JSON)


def test_places_without_a_checkpoint(tmp_path):
    with pytest.raises(CheckpointError, match="no checkpoint at"):
        read_checkpoint(tmp_path / "nothing")
    write(tmp_path / "run" / "checkpoints" / "best")
    with pytest.raises(CheckpointError, match=r"did you mean .*run/checkpoints/best\?"):
        read_checkpoint(tmp_path / "run")
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        read_checkpoint(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        read_checkpoint(tmp_path / "empty")


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
