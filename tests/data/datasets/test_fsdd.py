"""The Free Spoken Digit Dataset: made-up recordings, and the real ones where they are unpacked."""

from pathlib import Path

import pytest

from ppmm.data.datasets.fsdd import Fsdd
from ppmm.errors import ConfigError, DataError

REAL = Path(__file__).parents[3] / "data" / "fsdd"


@pytest.fixture
def recordings(tree):
    for digit in range(3):
        for speaker in ("ann", "bob"):
            for number in (0, 4, 5, 9, 10, 49):
                tree.wav(f"recordings/{digit}_{speaker}_{number}.wav", 10)
    tree.text("recordings/notes.txt", "not a recording")
    return tree


def numbers(rows):
    return {int(row["id"].split("_")[2].removesuffix(".wav")) for row in rows}


def test_the_published_split_and_a_val_part_of_train(recordings):
    splits = {split: Fsdd(str(recordings), split) for split in ("train", "val", "test")}
    assert {split: numbers(rows) for split, rows in splits.items()} == {
        "train": {10, 49},
        "val": {5, 9},
        "test": {0, 4},
    }
    assert all(len(rows) == 12 for rows in splits.values())
    assert splits["test"][3] == {
        "id": "0_bob_4.wav", "audio": recordings.root / "recordings/0_bob_4.wav", "digit": "0", "speaker": "bob",
        "group": "bob",
    }  # fmt: skip
    assert numbers(Fsdd(str(recordings), "train", val_numbers=[])) == {5, 9, 10, 49}
    assert {row["speaker"] for row in Fsdd(str(recordings), "train", speakers=["ann"])} == {"ann"}
    assert len(Fsdd(str(recordings), "train", limit=5)) == 5


def test_what_is_wrong_is_named(recordings, tmp_path):
    with pytest.raises(ConfigError, match=r"\[4\] belong to the test split"):
        Fsdd(str(recordings), "val", val_numbers=[4, 5])
    with pytest.raises(DataError, match=r"<digit>_<speaker>_<5-49>\.wav' of eve; .*free-spoken-digit-dataset"):
        Fsdd(str(recordings), "train", speakers=["eve"])


@pytest.mark.skipif(not REAL.is_dir(), reason="FSDD is not unpacked")
def test_the_real_recordings():
    assert (len(Fsdd(str(REAL), "train")), len(Fsdd(str(REAL), "val"))) == (2400, 300)
