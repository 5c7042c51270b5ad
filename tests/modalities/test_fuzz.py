"""Broken files: each ends in a DataError or a good sample, never in a crash, a hang or a memory spike."""

import importlib.util
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from ppmm.errors import DataError
from ppmm.modalities.audio import LogMel
from ppmm.modalities.image import ImageField

SPEC = importlib.util.spec_from_file_location("damage", Path(__file__).with_name("damage.py"))
damage = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(damage)
KINDS = (*damage.IMAGES, *damage.RECORDINGS)
FIELDS = {
    "image": ImageField((24, 24), max_pixels=4_000_000),
    "audio": LogMel(8000, 24, max_seconds=5.0),
}
SECONDS_PER_FILE = 10.0
MEMORY_SPIKE = 512 << 20
"""Bytes above what the process has with one whole file of every format decoded."""


@pytest.fixture(scope="module", autouse=True)
def decoders():
    """The libraries are loaded with the first file, which takes seconds and is no hang."""
    FIELDS["image"](damage.image_file("PNG"))
    FIELDS["audio"](damage.audio_file("WAV"))


def outcome(kind, data):
    """``good`` or ``refused``. Anything else than a DataError passes through."""
    field = FIELDS["image" if kind in damage.IMAGES else "audio"]
    start = time.monotonic()
    try:
        array = field(data)
    except DataError as error:
        assert str(error)
        return "refused"
    finally:
        assert time.monotonic() - start < SECONDS_PER_FILE, "hangs"
    assert np.isfinite(array).all() and array.dtype == np.float32
    assert array.shape == (3, 24, 24) if kind in damage.IMAGES else array.shape[1] == 24 and len(array) >= 1
    return "good"


@pytest.mark.parametrize("kind", KINDS)
def test_whole_files_are_good(kind):
    whole = damage.image_file(kind) if kind in damage.IMAGES else damage.audio_file(kind)
    assert outcome(kind, whole) == "good"


@pytest.mark.parametrize("kind", KINDS)
def test_some_broken_files(kind):
    found = [outcome(kind, data) for data in damage.broken_files(kind, 25)]
    assert len(found) == 25 and "refused" in found


def fuzz(kind, count, seed, progress):
    """Run in a process of its own: bounds its memory, then tries ``count`` files; the number under way is on disk."""
    import resource

    damaged_first = damage.image_file(kind) if kind in damage.IMAGES else damage.audio_file(kind)
    outcome(kind, damaged_first)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY_SPIKE, size + MEMORY_SPIKE))
    counts = {"good": 0, "refused": 0}
    for number, data in enumerate(damage.broken_files(kind, count, seed)):
        progress.write_text(str(number))
        counts[outcome(kind, data)] += 1
    print(json.dumps(counts))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_many_broken_files(kind, tmp_path):
    """17 formats x 320 = 5,440 files."""
    progress = tmp_path / "number"
    command = [sys.executable, __file__, kind, "320", "1", str(progress)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"file {progress.read_text()} of {kind}, seed 1:\n{done.stderr[-2000:]}"
    counts = json.loads(done.stdout.splitlines()[-1])
    assert sum(counts.values()) == 320 and counts["refused"] > 30


if __name__ == "__main__":
    fuzz(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
