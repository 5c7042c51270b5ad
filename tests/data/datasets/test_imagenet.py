"""ImageNet in the layouts of the ILSVRC archives with devkit and of the Kaggle challenge."""

import numpy as np
import pytest
from scipy.io import savemat

from ppmm.data.datasets.imagenet import Imagenet
from ppmm.errors import DataError

CLASSES = {"n01440764": "tench, Tinca tinca", "n02012849": "crane", "n03126707": "crane"}
DEVKIT = "ILSVRC2012_devkit_t12/data"


@pytest.fixture
def pictures(tree):
    for grey, synset in enumerate(CLASSES):
        for number in (10026, 27):
            tree.picture(f"train/{synset}/{synset}_{number}.JPEG", 40 * grey)
    for number in (1, 2, 3):
        tree.picture(f"val/ILSVRC2012_val_{number:08d}.JPEG")
    return tree


def devkit(tree, truth="2\n1\n3\n"):
    dtype = [
        ("ILSVRC2012_ID", object),
        ("WNID", object),
        ("words", object),
        ("gloss", object),
        ("num_children", object),
    ]
    rows = [(number, synset, words, "a gloss", 0) for number, (synset, words) in enumerate(CLASSES.items(), 1)]
    savemat(
        tree.path(f"{DEVKIT}/meta.mat"), {"synsets": np.array([*rows, (4, "n00001740", "entity", "all", 3)], dtype)}
    )
    tree.text(f"{DEVKIT}/ILSVRC2012_validation_ground_truth.txt", truth)


def labels(rows):
    return [(row["id"], row["label"], row["synset"]) for row in (rows[index] for index in range(len(rows)))]


CRANES = ["crane (n02012849)", "crane (n03126707)"]
VAL = [
    ("ILSVRC2012_val_00000001", CRANES[0], "n02012849"),
    ("ILSVRC2012_val_00000002", "tench, Tinca tinca", "n01440764"),
    ("ILSVRC2012_val_00000003", CRANES[1], "n03126707"),
]


def test_names_and_the_classes_of_a_flat_val_come_from_the_devkit(pictures):
    devkit(pictures)
    train = Imagenet(str(pictures), "train")
    assert len(train) == 6
    assert labels(train)[:3] == [
        ("n01440764_10026", "tench, Tinca tinca", "n01440764"), ("n01440764_27", "tench, Tinca tinca", "n01440764"),
        ("n02012849_10026", CRANES[0], "n02012849"),
    ]  # fmt: skip
    assert train[0]["image"] == pictures.root / "train/n01440764/n01440764_10026.JPEG"
    assert labels(Imagenet(str(pictures), "val")) == VAL
    assert "meta.mat" in train.found and "6 pictures of 3 synsets" in train.found


def test_the_kaggle_layout(pictures, tmp_path):
    base = tmp_path / "ILSVRC/Data/CLS-LOC"
    base.mkdir(parents=True)
    for part in ("train", "val"):
        (tmp_path / part).rename(base / part)
    pictures.text("LOC_synset_mapping.txt", "".join(f"{synset} {words}\n" for synset, words in CLASSES.items()))
    rows = [f"{name},{synset} 85 1 499 272 {synset} 1 1 2 2 \n" for name, _, synset in VAL]
    pictures.text("LOC_val_solution.csv", "ImageId,PredictionString\n" + "".join(reversed(rows)))
    pictures.picture("ILSVRC/Data/CLS-LOC/test/ILSVRC2012_test_00000001.JPEG")
    assert labels(Imagenet(str(pictures), "val")) == VAL
    assert labels(Imagenet(str(pictures), "train", synsets=["n03126707"]))[0][1] == CRANES[1]
    assert set(Imagenet(str(pictures), "test")[0]) == {"id", "image"}


def test_without_names_a_class_is_its_synset_and_a_flat_val_is_an_error(pictures):
    rows = Imagenet(str(pictures), "train")
    assert labels(rows)[0][1] == "n01440764" and "neither devkit" in rows.found
    with pytest.raises(DataError, match=r"ILSVRC2012_validation_ground_truth\.txt.*LOC_val_solution\.csv"):
        Imagenet(str(pictures), "val")


def test_a_sorted_val_needs_no_list(pictures):
    pictures.picture("val/n01440764/ILSVRC2012_val_00000002.JPEG")
    assert labels(Imagenet(str(pictures), "val")) == [("ILSVRC2012_val_00000002", "n01440764", "n01440764")]


def test_what_is_wrong_is_named(pictures):
    devkit(pictures, "2\n1\n")
    with pytest.raises(DataError, match=r"has 2 lines and none for 'ILSVRC2012_val_00000003"):
        Imagenet(str(pictures), "val")
    devkit(pictures, "2\n1\n9\n")
    with pytest.raises(DataError, match=r"ground_truth.txt:3: class '9'"):
        Imagenet(str(pictures), "val")
    pictures.text(f"{DEVKIT}/meta.mat", "no MATLAB file at all, only text")
    with pytest.raises(DataError, match=r"not the devkit's meta.mat"):
        Imagenet(str(pictures), "train")


def test_archives_that_are_still_packed_are_recognised(tree):
    tree.binary("train/n01440764.tar", b"\0" * 1024)
    with pytest.raises(DataError, match=r"it holds \.tar files: unpack each"):
        Imagenet(str(tree), "train")
