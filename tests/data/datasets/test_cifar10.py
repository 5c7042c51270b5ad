"""CIFAR-10: batches of the binary version written byte by byte."""

import numpy as np
import pytest

from ppmm.data.datasets.cifar10 import Cifar10
from ppmm.errors import DataError

NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
FOLDER = "cifar-10-batches-bin"


def record(label, red, green, blue):
    planes = np.repeat(np.array([red, green, blue], np.uint8), 1024)
    planes[1] = 255  # second pixel of the first row, red
    return bytes([label]) + planes.tobytes()


@pytest.fixture
def batches(tree):
    tree.text(f"{FOLDER}/batches.meta.txt", "\n".join(NAMES) + "\n\n")
    for number in range(1, 6):
        tree.binary(f"{FOLDER}/data_batch_{number}.bin", b"".join(record(k, number, 20, k) for k in range(10)))
    tree.binary(f"{FOLDER}/test_batch.bin", record(6, 1, 2, 3) + record(9, 4, 5, 6))
    return tree


@pytest.mark.parametrize("inside", [False, True])
def test_a_record_is_a_label_and_three_planes(batches, inside):
    rows = Cifar10(str(batches.root / FOLDER) if inside else str(batches), "test")
    assert len(rows) == 2
    assert [rows[index]["label"] for index in range(2)] == ["frog", "truck"] and rows[1]["id"] == "test:1"
    image = rows[0]["image"]
    assert image.shape == (32, 32, 3) and image.dtype == np.uint8
    assert image[0, 0].tolist() == [1, 2, 3] and image[0, 1].tolist() == [255, 2, 3]


def test_train_and_val_share_the_five_batches(batches):
    train, val = (Cifar10(str(batches), split, val_share=0.2) for split in ("train", "val"))
    assert len(train) + len(val) == 50 and 0 < len(val) < 20
    assert len(Cifar10(str(batches), "train", val_share=0.0)) == 50
    assert Cifar10(str(batches), "train", val_share=0.0)[13]["image"][5, 5].tolist() == [2, 20, 3]


@pytest.mark.parametrize("place", ["cifar-10-batches-py/data_batch_1", "data_batch_1"])
def test_the_python_version_is_refused_as_pickle(tree, place):
    tree.binary(place, b"\x80\x02}q\x01")
    with pytest.raises(DataError, match=r"pickle.*download the 'CIFAR-10 binary version'"):
        Cifar10(str(tree), "train")


def test_what_is_damaged_or_missing_is_named(batches):
    batches.binary(f"{FOLDER}/test_batch.bin", record(3, 1, 2, 3)[:-1])
    with pytest.raises(DataError, match="has 3,072 bytes, which is no multiple of 3,073"):
        Cifar10(str(batches), "test")
    batches.binary(f"{FOLDER}/test_batch.bin", record(10, 1, 2, 3))
    with pytest.raises(DataError, match="holds the label 10"):
        Cifar10(str(batches), "test")
    (batches.root / FOLDER / "data_batch_4.bin").unlink()
    with pytest.raises(DataError, match=r"looked for the file '.*data_batch_4\.bin'"):
        Cifar10(str(batches), "train")
    batches.text(f"{FOLDER}/batches.meta.txt", "cat\ndog\n")
    with pytest.raises(DataError, match="names 2 classes"):
        Cifar10(str(batches), "test")
