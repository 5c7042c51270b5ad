"""Manifests: columns, missing modalities, paths."""

import json
from pathlib import Path

import pytest

from ppmm.data.datasets.manifest import Manifest
from ppmm.errors import ConfigError, DataError
from ppmm.registry import DATASETS

ROWS = [
    {"id": "x1", "picture": "img/1.png", "audio": "wav/1.wav", "question": "which?", "answer": 3, "sensor": [1, 2]},
    {"picture": None, "audio": " ", "question": "what?", "answer": "no"},
]
COLUMNS = {"image": "picture", "audio": "audio", "text": "question", "answer": "answer"}


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_text("\n".join(map(json.dumps, ROWS)), encoding="utf-8")
    return path


def test_fields_from_columns(table):
    data = Manifest(str(table), COLUMNS)
    root = table.parent
    assert len(data) == 2
    assert data[0] == {
        "id": "train.jsonl:1",
        "image": root / "img/1.png",
        "audio": root / "wav/1.wav",
        "text": "which?",
        "answer": 3,
    }
    assert data[1] == {"id": "train.jsonl:2", "text": "what?", "answer": "no"}
    assert isinstance(data[0]["image"], Path)
    assert DATASETS.get("manifest") is Manifest


def test_every_column_under_its_own_name(table):
    sample = Manifest(str(table))[0]
    assert sample["picture"] == "img/1.png" and sample["audio"] == table.parent / "wav/1.wav"
    assert sample["sensor"] == [1, 2] and sample["id"] == "train.jsonl:1"


def test_samples_are_copies(table):
    data = Manifest(str(table))
    data[0].clear()
    assert data[0]["question"] == "which?"


def test_files_and_root_and_limit(table):
    data = Manifest(str(table), {"left": "picture", "audio": "audio"}, files=["left"], root="/data", limit=1)
    assert len(data) == 1
    assert data[0] == {"id": "train.jsonl:1", "left": Path("/data/img/1.png"), "audio": "wav/1.wav"}


def test_csv(tmp_path):
    (tmp_path / "t.csv").write_text("image_left,label\na.png,7\n,8\n")
    data = Manifest(str(tmp_path / "t.csv"))
    assert data[0] == {"id": "t.csv:2", "image_left": tmp_path / "a.png", "label": "7"}
    assert data[1] == {"id": "t.csv:3", "label": "8"}


def one(tmp_path, value):
    path = tmp_path / "t.jsonl"
    path.write_text(json.dumps({"image": value}))
    return str(path)


@pytest.mark.parametrize("value", ["../a.png", "a/../../b.png", "..", "/etc/passwd", "/"])
def test_paths_may_not_lead_out_of_root(tmp_path, value):
    with pytest.raises(DataError, match=r"t\.jsonl:1 image: .* leads out of .*set root"):
        Manifest(one(tmp_path, value))


def test_paths_inside_root(tmp_path):
    assert Manifest(one(tmp_path, "a/../b.png"))[0]["image"] == tmp_path / "b.png"
    assert Manifest(one(tmp_path, f"{tmp_path}/c.png"))[0]["image"] == tmp_path / "c.png"
    assert Manifest(one(tmp_path, "/etc/c.png"), root="/")[0]["image"] == Path("/etc/c.png")
    assert Manifest(one(tmp_path, "..a.png"))[0]["image"] == tmp_path / "..a.png"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"columns": {"image": "pictur"}}, r"no column 'pictur' \(for image\); did you mean 'picture'"),
        ({"columns": {"text": "question"}, "files": ["txt"]}, "no field 'txt'; did you mean 'text'"),
        ({"columns": {"text": "answer"}, "files": ["text"]}, r"train\.jsonl:1 text: expected the path of a file"),
    ],
)
def test_wrong_columns(table, settings, message):
    with pytest.raises(DataError, match=message):
        Manifest(str(table), **settings)


@pytest.mark.parametrize("settings", [{"limit": 0}, {"columns": {"id": "question"}}])
def test_wrong_settings(table, settings):
    with pytest.raises(ConfigError):
        Manifest(str(table), **settings)


CAPTIONS = [
    {"image": "a.png", "text": ["one", "two"], "label": 1},
    {"image": "b.png", "text": [], "label": 2},
    {"image": "c.png", "text": "alone", "label": 3},
    {"image": "d.png", "label": 4},
    {"image": "e.png", "text": ["five", " "], "label": 5},
]


def test_a_row_for_each_caption(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text("\n".join(map(json.dumps, CAPTIONS)))
    data = Manifest(str(path), expand="text")
    found = [(row["id"], row["image"].name, row.get("text"), row["label"]) for row in (data[i] for i in range(7))]
    assert found == [
        ("t.jsonl:1#1", "a.png", "one", 1),
        ("t.jsonl:1#2", "a.png", "two", 1),
        ("t.jsonl:2", "b.png", None, 2),
        ("t.jsonl:3", "c.png", "alone", 3),
        ("t.jsonl:4", "d.png", None, 4),
        ("t.jsonl:5#1", "e.png", "five", 5),
        ("t.jsonl:5#2", "e.png", None, 5),
    ]
    assert len(data) == 7 and len(Manifest(str(path), expand="text", limit=2)) == 2
    assert list(data.column("text")) == ["one", "two", None, "alone", None, "five", None]
    assert data[-1] == data[6]
    with pytest.raises(IndexError):
        data[7]
    with pytest.raises(DataError, match=r"expand: .* no field 'txt'"):
        Manifest(str(path), expand="txt")


def test_all_captions_of_a_row(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text("\n".join(map(json.dumps, CAPTIONS[:2])))
    assert [row.get("text") for row in Manifest(str(path))] == [["one", "two"], []]


def test_columns_in_one_go(table):
    data = Manifest(str(table), COLUMNS)
    assert list(data.column("answer")) == [3, "no"]
    assert list(data.column("image")) == [table.parent / "img/1.png", None]
    assert list(data.column("sensor")) == [None, None]


def test_parquet_with_images_inside(tmp_path):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pa.table({"image": [b"png", None], "text": ["a", "b"]}), tmp_path / "t.parquet")
    data = Manifest(str(tmp_path / "t.parquet"))
    assert data[0] == {"id": "t.parquet:1", "image": b"png", "text": "a"}
    assert data[1] == {"id": "t.parquet:2", "text": "b"}
