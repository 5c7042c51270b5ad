"""MNIST and Fashion-MNIST: IDX files written byte by byte, PNG folders, and the real images where they are unpacked."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from ppmm.data.datasets.fashion_mnist import FashionMnist
from ppmm.data.datasets.mnist import Mnist
from ppmm.errors import ConfigError, DataError

REAL = Path(__file__).parents[3] / "data" / "mnist"
PIXELS = np.arange(4 * 3 * 2, dtype=np.uint8).reshape(4, 3, 2)
LABELS = [7, 0, 9, 3]


def idx(values, magic=b"\0\0\x08"):
    values = np.asarray(values, np.uint8)
    return magic + bytes([values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()


def write(tree, images="t10k-images-idx3-ubyte", labels="t10k-labels-idx1-ubyte", pixels=PIXELS, numbers=LABELS):
    for name, content in ((images, idx(pixels)), (labels, idx(numbers))):
        tree.binary(name, gzip.compress(content) if name.endswith(".gz") else content)


@pytest.mark.parametrize(
    "names",
    [
        ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
        ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
        ("raw/t10k-images.idx3-ubyte", "raw/t10k-labels.idx1-ubyte"),
    ],
)
def test_idx_files_packed_or_not(tree, names):
    write(tree, *names)
    rows = Mnist(str(tree), "test")
    assert [rows[index]["label"] for index in range(4)] == ["7", "0", "9", "3"]
    assert (rows[2]["id"], rows[2]["number"]) == ("test:2", 9)
    np.testing.assert_array_equal(rows[2]["image"], PIXELS[2])
    assert "4 of 4 images of the IDX file" in rows.found
    with pytest.raises(IndexError):
        rows[4]


def test_fashion_has_names_for_its_classes(tree):
    write(tree)
    rows = FashionMnist(str(tree), "test")
    assert [rows[index]["label"] for index in range(4)] == ["Sneaker", "T-shirt/top", "Ankle boot", "Dress"]


def test_val_is_a_fixed_part_of_train(tree):
    pixels = np.zeros((600, 1, 1))
    write(tree, "train-images-idx3-ubyte", "train-labels-idx1-ubyte", pixels, np.arange(600) % 10)
    train, val = (Mnist(str(tree), split, val_share=0.25) for split in ("train", "val"))
    ids = [{rows[index]["id"].split(":")[1] for index in range(len(rows))} for rows in (train, val)]
    assert not ids[0] & ids[1] and len(ids[0] | ids[1]) == 600 and 120 < len(val) < 180
    smaller = Mnist(str(tree), "val", val_share=0.1)
    assert {smaller[index]["id"] for index in range(len(smaller))} < {val[index]["id"] for index in range(len(val))}
    assert len(Mnist(str(tree), "train", val_share=0.0)) == 600


def test_png_folders(tree):
    for digit in range(10):
        for number in (10, 9):
            tree.picture(f"test/{digit}/{number}.png", digit)
    rows = Mnist(str(tree), "test", limit=3)
    assert [(rows[i]["id"], rows[i]["label"]) for i in range(len(rows))] == [
        ("test:0/9.png", "0"), ("test:0/10.png", "0"), ("test:1/9.png", "1"),
    ]  # fmt: skip
    assert rows[0]["image"] == tree.root / "test/0/9.png"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (idx(PIXELS)[:-1], r"states the shape \[4, 3, 2\], but holds 23 values"),
        (b"\x89PNG\r\n", "no IDX file of bytes with 3 dimensions"),
        (idx(PIXELS, b"\0\0\x0d"), "begins with 00 00 0d 03, expected 00 00 08 03"),
        (b"\0\0\x08\x03" + b"\xff" * 12, "states the shape"),
        (idx(PIXELS[:3]), "3 images, .* 4 labels"),
    ],
)
def test_a_damaged_file_is_refused(tree, content, message):
    write(tree)
    tree.binary("t10k-images-idx3-ubyte", content)
    with pytest.raises(DataError, match=message):
        Mnist(str(tree), "test")


def test_what_is_missing_or_impossible_is_named(tree):
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte.*train/0/\*\.png.*holds nothing.*handwritten digits"):
        Mnist(str(tree), "train")
    write(tree, numbers=[1, 2, 3, 10])
    with pytest.raises(DataError, match="holds the label 10"):
        Mnist(str(tree), "test")
    tree.binary("t10k-images-idx3-ubyte.gz", b"\x1f\x8b broken")
    (tree.root / "t10k-images-idx3-ubyte").unlink()
    with pytest.raises(DataError, match="cannot be read"):
        Mnist(str(tree), "test")
    for arguments in ({"split": "dev"}, {"split": "val", "val_share": 1.0}, {"split": "test", "limit": 0}):
        with pytest.raises(ConfigError):
            Mnist(str(tree), **arguments)
    with pytest.raises(DataError, match="looked for the folder 'nowhere'"):
        Mnist("nowhere", "test")


@pytest.mark.skipif(not REAL.is_dir(), reason="MNIST is not unpacked")
def test_the_real_images():
    train, val = Mnist(str(REAL), "train"), Mnist(str(REAL), "val")
    assert len(train) + len(val) == 60_000 and 4_800 < len(val) < 5_200
