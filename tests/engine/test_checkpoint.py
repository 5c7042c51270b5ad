"""Checkpoint folders: exact, verified, and damage of every kind is told."""

import json

import numpy as np
import pytest
from numbered_checkpoint import STATE_JSON, number_of, write

from ppmm.engine.checkpoint import read_checkpoint, write_checkpoint
from ppmm.errors import CheckpointError
from ppmm.hashing import file_sha256


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
