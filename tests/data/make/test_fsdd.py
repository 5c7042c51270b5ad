"""The packaged recordings."""

import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ppmm.data.make import fsdd
from ppmm.errors import DataError

REAL = Path(__file__).parents[3] / "data" / "fsdd" / "recordings"


def test_contents():
    recordings = fsdd.load_recordings()
    cells = Counter((recording.digit, recording.speaker) for recording in recordings)
    assert len(cells) == 60 and set(cells.values()) == {20} and fsdd.ARCHIVE.stat().st_size < 5_800_000
    assert all(recording.samples.dtype == np.int16 and recording.samples.any() for recording in recordings)
    text = fsdd.LICENSE.read_text(encoding="utf-8")
    assert "CC BY-SA 4.0" in text and "Jakobovski/free-spoken-digit-dataset" in text


@pytest.mark.skipif(not REAL.is_dir(), reason="data/fsdd is not unpacked")
def test_samples_are_those_of_the_original():
    for recording in fsdd.load_recordings()[::97]:
        samples, _ = soundfile.read(REAL / f"{recording.name}.wav", dtype="int16")
        assert np.array_equal(samples, recording.samples)


def test_packing_is_reproducible_and_takes_the_lowest_indices(tmp_path):
    for index in (12, 3, 7):
        soundfile.write(tmp_path / f"4_ann_{index}.wav", np.arange(100, dtype=np.int16) * index, 8000)
    (tmp_path / "notes.wav").touch()
    for name in ("a.zip", "b.zip"):
        assert fsdd.pack_recordings(tmp_path, tmp_path / name, per_cell=2) == 2
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    found = fsdd.load_recordings(tmp_path / "a.zip")
    assert [recording.name for recording in found] == ["4_ann_3", "4_ann_7"]
    assert found[1].samples[99] == 693


def test_damaged_zip(tmp_path):
    with pytest.raises(DataError, match="install ppmm again"):
        fsdd.load_recordings(tmp_path / "none.zip")
    (tmp_path / "a.zip").write_bytes(b"junk")
    with pytest.raises(DataError, match="cannot be read"):
        fsdd.load_recordings(tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as out:
        out.writestr("1_ann_2.flac", b"junk")
    with pytest.raises(DataError, match="cannot be read"):
        fsdd.load_recordings(tmp_path / "b.zip")
