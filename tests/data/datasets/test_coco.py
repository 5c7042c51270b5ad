"""COCO captions, COCO instances and VQA v2 in their published layouts."""

import pytest

from ppmm.data.datasets.coco_captions import CocoCaptions
from ppmm.data.datasets.coco_instances import CocoInstances
from ppmm.data.datasets.vqa_v2 import VqaV2
from ppmm.errors import ConfigError, DataError


def image(number, name):
    return {"license": 4, "file_name": name, "height": 6, "width": 8, "id": number, "coco_url": "http://x"}


def captions(tree, part, name):
    tree.json(
        f"annotations/captions_{part}.json",
        {
            "info": {"year": 2017, "nested": [{"annotations": [1]}]},
            "images": [image(42, name(42)), image(9, name(9)), image(7, name(7))],
            "licenses": [],
            "annotations": [
                {"image_id": 9, "id": 1, "caption": "A cat\n on a mat. "},
                {"image_id": 42, "id": 2, "caption": "Two dogs."},
                {"image_id": 9, "id": 3, "caption": "The cat sits."},
            ],
        },
    )
    for number in (9, 42, 7):
        tree.picture(f"{part}/{name(number)}")


@pytest.mark.parametrize(
    ("year", "name"), [(2014, lambda n: f"COCO_val2014_{n:012d}.jpg"), (2017, lambda n: f"{n:012d}.jpg")]
)
def test_captions_by_row_or_as_a_list(tree, year, name):
    captions(tree, f"val{year}", name)
    rows = CocoCaptions(str(tree), "val", year)
    assert [(row["id"], row["caption"]) for row in rows] == [
        ("9#0", "A cat on a mat."), ("9#1", "The cat sits."), ("42#0", "Two dogs."),
    ]  # fmt: skip
    assert {key: rows[1][key] for key in ("image", "image_id", "group")} == {
        "image": tree.root / f"val{year}" / name(9), "image_id": 9, "group": "9",
    }  # fmt: skip
    lists = CocoCaptions(str(tree), "val", year, captions="list")
    assert [(row["id"], row["captions"]) for row in lists] == [
        ("9", ["A cat on a mat.", "The cat sits."]), ("42", ["Two dogs."]),
    ]  # fmt: skip
    assert "3 captions of 2 pictures" in rows.found


def instances(tree, **changes):
    def thing(number, kind, area, crowd=0):
        return {
            "segmentation": [[0.0] * 8],
            "area": area,
            "iscrowd": crowd,
            "image_id": number,
            "bbox": [0, 0, 1, 1],
            "category_id": kind,
        }

    content = {
        "images": [image(1, "000000000001.jpg"), image(2, "000000000002.jpg"), image(3, "000000000003.jpg")],
        "annotations": [
            thing(1, 18, 12.5), thing(1, 1, 700.25), thing(1, 18, 699), thing(2, 90, 5), thing(2, 1, 9999.0, crowd=1),
        ],
        "categories": [
            {"supercategory": "person", "id": 1, "name": "person"},
            {"supercategory": "animal", "id": 18, "name": "dog"},
            {"supercategory": "indoor", "id": 90, "name": "toothbrush"},
        ],
    }  # fmt: skip
    tree.json("annotations/instances_train2017.json", {**content, **changes})
    tree.picture("images/train2017/000000000001.jpg")


def test_the_largest_object_and_all_kinds_of_objects(tree):
    instances(tree)
    rows = CocoInstances(str(tree), "train")
    assert [(row["id"], row["label"], row["labels"]) for row in rows] == [
        ("1", "person", ["dog", "person"]), ("2", "toothbrush", ["toothbrush"]),
    ]  # fmt: skip
    assert rows[0]["image"] == tree.root / "images/train2017/000000000001.jpg"
    assert "2 pictures" in rows.found and "1 without objects are left out" in rows.found
    crowds = CocoInstances(str(tree), "train", crowds=True)
    assert (crowds[1]["label"], crowds[1]["labels"]) == ("person", ["person", "toothbrush"])


def test_what_is_wrong_with_coco_is_named(tree):
    with pytest.raises(DataError, match=r"looked for the file '.*annotations/captions_val2014\.json'.*2014 Train/Val"):
        CocoCaptions(str(tree), "val", 2014)
    captions(tree, "val2017", lambda n: f"{n}.jpg")
    with pytest.raises(DataError, match="no list 'categories'"):
        tree.text(
            "annotations/instances_val2017.json",
            (tree.root / "annotations/captions_val2017.json")
            .read_text()
            .replace('"caption"', '"area": 1, "category_id": 3, "caption"'),
        )
        CocoInstances(str(tree), "val")
    (tree.root / "val2017/42.jpg").unlink()
    with pytest.raises(DataError, match=r"lists a picture that is not at '.*val2017/42\.jpg'"):
        CocoCaptions(str(tree), "val")
    instances(tree, annotations=[{"image_id": 1, "category_id": 1, "area": "big"}])
    with pytest.raises(DataError, match=r"instances_train2017.json annotations\[0\]: 'area' is 'big'"):
        CocoInstances(str(tree), "train")
    instances(tree, annotations=[{"image_id": 1, "category_id": 5, "area": 3}])
    with pytest.raises(DataError, match="category 5 that it does not list"):
        CocoInstances(str(tree), "train")
    with pytest.raises(ConfigError, match="year: '2015' must be one of 2014, 2017"):
        CocoCaptions(str(tree), "val", 2015)


ANSWERS = {"train": ["yes", "yes", "no", "two", "no"], "val": ["no", "red", "yes"]}


@pytest.fixture
def vqa(tree):
    for split, answers in ANSWERS.items():
        part = f"{split}2014"
        asked = [
            {"image_id": 458752, "question": f"Question {k}? ", "question_id": 458752000 + k}
            for k in range(len(answers))
        ]
        head = {"info": {"version": "2.0"}, "data_type": "mscoco", "data_subtype": part, "license": {}}
        tree.json(f"v2_OpenEnded_mscoco_{part}_questions.json", {**head, "task_type": "Open-Ended", "questions": asked})
        given = [
            {
                "question_type": "what", "multiple_choice_answer": answer, "image_id": 458752, "answer_type": "other",
                "answers": [{"answer": text, "answer_confidence": "yes"} for text in [answer] * 9 + ["x"]],
                "question_id": 458752000 + k,
            }
            for k, answer in enumerate(answers)
        ]  # fmt: skip
        tree.json(f"v2_mscoco_{part}_annotations.json", {**head, "annotations": given})
        tree.picture(f"{part}/COCO_{part}_000000458752.jpg")
    tree.json(
        "v2_OpenEnded_mscoco_test-dev2015_questions.json",
        {"questions": [{"image_id": 1, "question": "Who?", "question_id": 10}]},
    )
    tree.picture("test2015/COCO_test2015_000000000001.jpg")
    return tree


def test_vqa_keeps_the_frequent_answers_of_train_and_says_what_that_costs(vqa):
    train, val = (VqaV2(str(vqa), split, answers=2) for split in ("train", "val"))
    assert [row["answer"] for row in train] == ["yes", "yes", "no", "no"]
    assert [(row["id"], row["answer"]) for row in val] == [("458752000", "no"), ("458752002", "yes")]
    assert "2 of 3 questions" in val.found and "0.6667" in val.found
    assert train[2] == {
        "id": "458752002", "image": vqa.root / "train2014/COCO_train2014_000000458752.jpg", "question": "Question 2?",
        "answer": "no", "answers": ["no"] * 9 + ["x"], "answer_type": "other", "image_id": 458752, "group": "458752",
    }  # fmt: skip
    assert len(VqaV2(str(vqa), "val", answers=None)) == 3


def test_vqa_test_parts_have_no_answers(vqa):
    assert VqaV2(str(vqa), "test-dev")[0] == {
        "id": "10", "image": vqa.root / "test2015/COCO_test2015_000000000001.jpg", "question": "Who?", "image_id": 1,
        "group": "1",
    }  # fmt: skip


def test_what_is_wrong_with_vqa_is_named(vqa):
    with pytest.raises(DataError, match=r"v2_OpenEnded_mscoco_test2015_questions\.json"):
        VqaV2(str(vqa), "test")
    vqa.json("v2_mscoco_val2014_annotations.json", {"annotations": []})
    with pytest.raises(DataError, match=r"questions\[0\]: question 458752000 has no annotation"):
        VqaV2(str(vqa), "val")
    vqa.json("v2_mscoco_val2014_annotations.json", {"annotations": [{"question_id": 1, "answers": ["yes"]}]})
    with pytest.raises(DataError, match=r"annotations\[0\]: answers must be a list of objects"):
        VqaV2(str(vqa), "val")
