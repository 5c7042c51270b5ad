"""Karpathy's splits of COCO and Flickr in their published form."""

import pytest

from ppmm.data.datasets.karpathy import Karpathy
from ppmm.errors import ConfigError, DataError

ORDER = [(9, "test", 6), (2, "train", 5), (7, "test", 5), (4, "restval", 7), (1, "val", 5), (3, "test", 5)]
"""cocoid, split, captions, in the order of the file."""


def entry(number, split, captions, **changes):
    folder = "train2014" if split == "train" else "val2014"
    told = [
        {"tokens": ["a"], "raw": f"Picture {number}, caption {k} . \n", "imgid": 0, "sentid": k}
        for k in range(captions)
    ]
    return {
        "filepath": folder, "sentids": [], "filename": f"COCO_{folder}_{number:012d}.jpg", "imgid": 0, "split": split,
        "sentences": told, "cocoid": number, **changes,
    }  # fmt: skip


@pytest.fixture
def coco(tree):
    images = [entry(*row) for row in ORDER]
    tree.json("dataset_coco.json", {"images": images, "dataset": "coco"})
    for image in images:
        tree.picture(f"{image['filepath']}/{image['filename']}")
    return tree


def test_five_captions_of_each_picture_in_the_order_of_the_file(coco):
    rows = Karpathy(str(coco), "test")
    assert [row["id"] for row in rows] == [f"{number}#{k}" for number in (9, 7, 3) for k in range(5)]
    assert rows[4] == {
        "id": "9#4", "group": "9", "image": coco.root / "val2014/COCO_val2014_000000000009.jpg", "image_id": 9,
        "caption": "Picture 9, caption 4 .",
    }  # fmt: skip
    assert "15 captions of 3 pictures" in rows.found
    assert [row["captions"][0][:9] for row in Karpathy(str(coco), "val", captions="list")] == ["Picture 1"]


def test_train_has_the_rest_and_all_captions_where_asked_for(coco):
    def count(**arguments):
        rows = Karpathy(str(coco), "train", **arguments)
        return [(number, rows.column("group").count(str(number))) for number in (2, 4)]

    assert count() == [(2, 5), (4, 5)]
    assert count(per_picture=None) == [(2, 5), (4, 7)]
    assert count(rest=False) == [(2, 5), (4, 0)]
    paths = {row["image"] for row in Karpathy(str(coco), "train")}
    assert {path.parent.name for path in paths} == {"train2014", "val2014"} and all(path.is_file() for path in paths)


def test_flickr_lists_name_no_folder(tree):
    images = [
        {
            "sentids": [],
            "imgid": 0,
            "split": split,
            "filename": f"{number}_x.jpg",
            "sentences": [{"raw": "A dog ."}] * 5,
        }
        for number, split in enumerate(("train", "test"))
    ]
    tree.json("caption_datasets/dataset_flickr8k.json", {"images": images, "dataset": "flickr8k"})
    tree.picture("Flicker8k_Dataset/0_x.jpg")
    tree.picture("Flicker8k_Dataset/1_x.jpg")
    rows = Karpathy(str(tree), "test", dataset="flickr8k")
    assert len(rows) == 5 and rows[0]["image"] == tree.root / "Flicker8k_Dataset/1_x.jpg"
    assert (rows[0]["id"], rows[0]["image_id"]) == ("1_x#0", "1_x")


def test_what_is_wrong_is_named(coco):
    def refused(message, error=DataError, **arguments):
        with pytest.raises(error, match=message):
            Karpathy(str(coco), **{"split": "test", **arguments})

    refused(r"no list of splits: looked for the file '.*dataset_flickr30k\.json'.*karpathy", dataset="flickr30k")
    refused("dataset: 'coco2017' must be one of coco, flickr8k", ConfigError, dataset="coco2017")
    refused("per_picture: 0 must be at least 1", ConfigError, per_picture=0)
    refused(r"images\[2\]: 5 captions, 6 are needed of each picture", per_picture=6)
    (coco.root / "val2014/COCO_val2014_000000000009.jpg").unlink()
    refused(r"no pictures: looked for the file '.*images/val2014/COCO_val2014_000000000009\.jpg'")
    for changes, message in (
        ({"split": "dev"}, r"images\[0\]: split is 'dev'; there is train, val, test, restval"),
        ({"cocoid": "9"}, r"images\[0\]: 'cocoid' is '9'"),
        ({"sentences": [{"raw": " "}]}, r"images\[0\]: a sentence has no text 'raw'"),
        ({"sentences": ["A dog"]}, r"images\[0\]: a sentence has no text 'raw': 'A dog'"),
    ):
        coco.json("dataset_coco.json", {"images": [{**entry(9, "test", 5), **changes}]})
        refused(message)
    coco.json("dataset_coco.json", {"images": [entry(9, "val", 5)]})
    refused("has no pictures of test")
    coco.json("dataset_coco.json", {"images": [entry(9, "test", 5, filepath="../..")]})
    refused("no pictures: looked for")
    (coco.root / "deep").mkdir()
    (coco.root / "COCO_val2014_000000000009.jpg").touch()
    (coco.root / "deep" / "dataset_coco.json").write_text(
        (coco.root / "dataset_coco.json").read_text().replace("../..", "..")
    )
    with pytest.raises(DataError, match="leads out of"):
        Karpathy(str(coco.root / "deep"), "test")
