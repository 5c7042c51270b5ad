"""Wrong and hostile use of tools/data.py: a message that explains, nothing lost, nothing written elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from ppmm.app.data_commands import parse, run_command
from ppmm.data.table import read_table
from ppmm.errors import PpmmError

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two manifests of one name, ``a/train.csv`` and ``b/train.csv``, of six rows each."""
    rng = np.random.default_rng(0)
    for name in "ab":
        (tmp_path / name).mkdir()
        lines = ["image,text,label,group"]
        for i in range(6):
            cv2.imwrite(str(tmp_path / name / f"{i}.png"), rng.integers(0, 256, (20, 20, 3), dtype=np.uint8))
            lines.append(f"{i}.png,text {i} of {name},{'x' if i % 2 else 'y'},g{i // 2}")
        (tmp_path / name / "train.csv").write_text("\n".join(lines) + "\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def tool(*arguments: str) -> int:
    command = arguments[0]
    work = ["--workers", "0"] if command in ("check", "clean", "dedup", "stats") else []
    return run_command(parse([*arguments, *work], "x"))


def refused(*arguments: str) -> str:
    with pytest.raises(PpmmError) as caught:
        tool(*arguments)
    return str(caught.value)


def test_two_manifests_of_one_name_do_not_overwrite_each_other(folder: Path) -> None:
    assert "would both be written to" in refused("clean", "a/train.csv", "b/train.csv", "--out", "out")
    assert not (folder / "out").exists()
    assert tool("clean", "a/train.csv", "b/train.csv") == 0
    assert len(read_table(folder / "a/train.clean.csv")) == len(read_table(folder / "b/train.clean.csv")) == 6


def test_nothing_is_written_where_one_manifest_would_be_empty(folder: Path) -> None:
    lines = (folder / "b/train.csv").read_text().splitlines()
    (folder / "b/train.csv").write_text(lines[0] + "\n" + "".join(f"gone{i}.png,t {i},x,g\n" for i in range(3)))
    assert "no row would be left" in refused("clean", "a/train.csv", "b/train.csv")
    assert not list(folder.glob("*/*.clean.csv")) + list(folder.glob("*/*.quarantine.jsonl"))


def test_the_same_manifest_twice(folder: Path) -> None:
    assert "given 2 times" in refused("dedup", "a/train.csv", "a/../a/train.csv")


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (["train=nan", "test=0.5"], "must be a number above 0"),
        (["train=inf", "test=0.5"], "must be a number above 0"),
        (["../../evil=0.5", "test=0.5"], "the name becomes part of a file's"),
        (["train=0.5", "train=0.5"], "given twice"),
        (["=0.5", "train=0.5"], "the name becomes part of a file's"),
    ],
)
def test_parts_of_a_split(folder: Path, parts: list[str], message: str) -> None:
    assert message in refused("split", "a/train.csv", "--parts", *parts)


@pytest.mark.parametrize(
    "arguments",
    [
        ["clean", "a/train.csv", "--out", "a/train.csv"],
        ["stats", "a/train.csv", "--out", "a/train.csv/s.html"],
        ["check", "a/train.csv", "--json", "a/train.csv/c.json"],
        ["check", "a/train.csv", "--work", "a/train.csv"],
        ["split", "a/train.csv", "--out", "a/train.csv", "--parts", "x=1", "y=1"],
        ["annotate", "export", "a/train.csv", "--target", "label", "--out", "a/train.csv/t.json"],
    ],
)
def test_places_that_cannot_be_written(folder: Path, arguments: list[str]) -> None:
    before = (folder / "a/train.csv").read_bytes()
    assert "cannot be written" in refused(*arguments)
    assert (folder / "a/train.csv").read_bytes() == before


def test_annotate_overwrites_neither_manifest_nor_tasks(folder: Path) -> None:
    target = ("--target", "label", "--out")
    before = (folder / "a/train.csv").read_bytes()
    assert "is the manifest itself" in refused("annotate", "export", "a/train.csv", *target, "a/train.csv")
    assert "configuration goes there" in refused("annotate", "export", "a/train.csv", *target, "t.xml")
    assert tool("annotate", "export", "a/train.csv", *target, "t.json") == 0
    assert "the tasks itself" in refused("annotate", "import", "t.json", *target, "t.json")
    assert (folder / "a/train.csv").read_bytes() == before and len(json.loads((folder / "t.json").read_text())) == 6


def test_a_checkpoint_writes_no_captions_yet(folder: Path) -> None:
    arguments = ("annotate", "export", "a/train.csv", "--target", "caption", "--out", "t.json", "--task", "write")
    message = refused(*arguments, "-w", "gone")
    assert "none writes captions or transcripts yet" in message and "--predictions" in message
    (folder / "p.jsonl").write_text('{"id": "train.csv:2", "text": "a grey square"}\n')
    assert tool(*arguments, "--predictions", "p.jsonl", "--show", "image") == 0
    results = json.loads((folder / "t.json").read_text())[0]["predictions"][0]["result"]
    assert results[0]["value"] == {"text": ["a grey square"]}


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({}, "says nothing"),
        ({"label": "x", "score": "high"}, "is no number"),
        ({"label": "x", "probabilities": [0.5]}, "numbers by class"),
        ({"label": "x", "probabilities": {"x": "a"}}, "numbers by class"),
    ],
)
def test_damaged_predictions(folder: Path, answer: dict[str, Any], message: str) -> None:
    (folder / "p.jsonl").write_text(json.dumps({"id": "train.csv:2", **answer}) + "\n")
    arguments = ("annotate", "export", "a/train.csv", "--target", "label", "--out", "t.json")
    assert message in refused(*arguments, "--predictions", "p.jsonl")


def test_rank_of_impossible_probabilities(folder: Path) -> None:
    text = (folder / "a/train.csv").read_text().replace(",x,", ",,").replace(",y,", ",,")
    (folder / "a/train.csv").write_text(text)
    answer = {"label": "x", "probabilities": {"x": 0.0, "y": 0.0}}
    (folder / "p.jsonl").write_text("".join(json.dumps({"id": f"train.csv:{n}", **answer}) + "\n" for n in range(2, 8)))
    arguments = ("annotate", "rank", "a/train.csv", "--target", "label", "--out", "r.jsonl", "--predictions", "p.jsonl")
    assert "one of them above" in refused(*arguments)
    assert "--limit -1" in refused(*arguments, "--limit", "-1")


def test_several_captions_of_a_picture_are_no_duplicates(folder: Path) -> None:
    rows = [
        ("0.png", "a red square"), ("0.png", "what is it?"), ("1.png", "what is it?"), ("1.png", "some noise"),
        ("copy.png", "another text"), ("copy.png", "and one more"), ("1.png", "some noise"),
    ]  # fmt: skip
    (folder / "a/copy.png").write_bytes((folder / "a/0.png").read_bytes())
    (folder / "a/c.csv").write_text("image,text\n" + "".join(f"{image},{text}\n" for image, text in rows))
    assert tool("dedup", "a/c.csv", "--json", "d.json") == 1
    groups = json.loads((folder / "d.json").read_text())["groups"]
    assert [(group["kind"], [row["row"] for row in group["rows"]]) for group in groups] == [
        ("image", [2, 6, 7]),  # another file with the same content
        ("text", [3, 4]),
        ("text", [5, 8]),
    ]
    assert tool("clean", "a/c.csv", "--duplicates") == 0
    assert [row.cells["row"] for row in read_table(folder / "a/c.quarantine.jsonl")] == [6, 7]
    assert tool("clean", "a/c.csv", "--duplicates", "--columns", "image", "text") == 0
    assert [row.cells["row"] for row in read_table(folder / "a/c.quarantine.jsonl")] == [4, 6, 7, 8]


def test_the_same_row_twice_is_a_duplicate(folder: Path) -> None:
    (folder / "a/c.csv").write_text("image,label\n0.png,x\n1.png,x\n0.png,x\n0.png,y\n")
    assert tool("clean", "a/c.csv", "--duplicates") == 0
    assert [row.cells["row"] for row in read_table(folder / "a/c.quarantine.jsonl")] == [4, 5]


def test_a_parquet_manifest_keeps_its_types(folder: Path) -> None:
    import datetime

    import pyarrow
    import pyarrow.parquet

    day = datetime.date(2024, 2, 29)
    columns = {"image": ["0.png", "gone.png", "1.png"], "day": [day, None, day], "note": pyarrow.nulls(3, "string")}
    pyarrow.parquet.write_table(pyarrow.table(columns), "a/m.pq")
    assert tool("clean", "a/m.pq", "--image", "image") == 0
    clean = pyarrow.parquet.read_table("a/m.clean.pq")
    assert clean.schema.field("note").type == "string" and clean.schema.field("day").type == "date32[day]"
    assert clean.to_pylist() == [{"image": f"{i}.png", "day": day, "note": None} for i in (0, 1)]
    gone = read_table(folder / "a/m.quarantine.jsonl")[0].cells
    assert gone["row"] == 2 and gone["reasons"] == ["missing: image: a/gone.png does not exist"]


def config(folder: Path, train: str, fields: str = "image: {name: image, size: [8, 8]}") -> str:
    text = ", text: {name: bilstm, dim: 8}" if "text:" in fields else ""
    (folder / "x.yaml").write_text(
        f"""
_base_: {ROOT}/configs/_base_/small_cpu.yaml
name: x
data: {{train: {train}, val: {train}}}
fields: {{{fields}}}
targets: {{label: {{name: label}}}}
model:
  name: late_fusion
  encoders: {{image: {{name: resnet, depth: 18, width: 0.125}}{text}}}
  fusion: {{name: concat, dim: 8}}
  head: {{name: linear}}
objective: {{name: cross_entropy, target: label}}
metrics: [{{name: accuracy, target: label}}]
trainer: {{epochs: 1}}
"""
    )
    return str(folder / "x.yaml")


def test_a_config_is_taken_as_training_takes_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fields = "image: {name: image, size: [8, 8]}, text: {name: text, tokenizer: {name: word}}"
    few = config(folder, "{name: manifest, path: a/train.csv, limit: 4, columns: {image: image, label: label}}", fields)
    assert tool("check", "-c", few, "--split", "train", "--json", "c.json") == 0
    assert json.loads((folder / "c.json").read_text())["rows"] == {"train": 4}
    rows = [{"image": f"a/{i}.png", "text": [f"one {i}", f"two {i}", "..."], "label": "x"} for i in range(3)]
    (folder / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    expanded = config(folder, "{name: manifest, path: m.jsonl, expand: text}", fields)
    assert tool("check", "-c", expanded, "--split", "train", "--json", "c.json") == 1
    document = json.loads((folder / "c.json").read_text())
    assert document["rows"] == {"train": 9}
    assert [f["id"] for f in document["findings"]] == ["m.jsonl:1#3", "m.jsonl:2#3", "m.jsonl:3#3"]


def test_shards(folder: Path) -> None:
    path = config(folder, "{name: manifest, path: a/train.csv, columns: {image: image, label: label}}")
    assert "at least 1" in refused("shard", "-c", path, "--out", "s0", "--samples", "0")
    assert tool("shard", "-c", path, "--out", "s1", "--samples", "4") is not None
    run_command(parse(["shard", "-c", path, "--out", "s2", "--samples", "4", "--workers", "2"], "x"))
    names = sorted(p.name for p in (folder / "s1").iterdir())
    assert names == ["train-000000.tar", "train-000001.tar"] == sorted(p.name for p in (folder / "s2").iterdir())
    assert all((folder / "s1" / name).read_bytes() == (folder / "s2" / name).read_bytes() for name in names)
    shards = config(folder, "{name: tar_shards, shards: 's1/*.tar'}")
    assert tool("check", "-c", shards, "--split", "train", "--json", "c.json") == 0
    assert json.loads((folder / "c.json").read_text())["rows"] == {"train": 6}
    assert "give --out" in refused("clean", "-c", shards, "--split", "train")
    assert "give a manifest of paths" in refused("clean", "-c", shards, "--split", "train", "--out", "out")
