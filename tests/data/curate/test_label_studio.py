"""Rows -> tasks -> rows -> tasks loses nothing."""

from __future__ import annotations

import json
import math
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from ppmm.data.curate.collection import Collection
from ppmm.data.curate.label_studio import KEEP, Project, from_tasks, labelling_config, to_tasks
from ppmm.data.curate.uncertainty import uncertainty
from ppmm.data.table import Row
from ppmm.errors import ConfigError, DataError

KINDS = {"photo": "image", "sound": "audio", "caption": "text", "label": "label"}
ROWS: list[dict[str, Any]] = [
    {"photo": "a/雪 1.png", "sound": None, "caption": 'a <b> & "c"', "label": "cat", "extra": [1, {"x": None}]},
    {"photo": "b.png", "sound": "b.wav", "caption": "", "label": None, "other": 2.5},
    {"photo": "c.png", "label": 3},
]


def collection(rows: list[dict[str, Any]]) -> Collection:
    return Collection("x", [Row(i, cells) for i, cells in enumerate(rows, 1)], KINDS, Path("data"))


def choose(name: str, time: str, **more: Any) -> dict[str, Any]:
    result = {"from_name": "label", "to_name": "photo", "type": "choices", "value": {"choices": [name]}}
    return {"result": [result], "created_at": time, **more}


CLASSIFY = Project("label", ("photo", "sound", "caption"), ("cat", "dog", "3"))


@pytest.mark.parametrize(
    "project",
    [
        CLASSIFY,
        Project("label", ("sound",), ("cat",)),
        Project("label", ("caption",), ("cat",)),
        Project("caption", ("photo",)),
        Project("caption", ("sound",)),
    ],
)
def test_rows_come_back_as_they_were(project: Project) -> None:
    tasks = json.loads(json.dumps(to_tasks(collection(ROWS), project, {1: ("dog", 0.75)})))
    assert from_tasks(tasks, project.target) == (ROWS, [])
    again = to_tasks(collection(from_tasks(tasks, project.target)[0]), project, {1: ("dog", 0.75)})
    assert json.loads(json.dumps(again)) == tasks


def test_the_form_of_a_task() -> None:
    task = to_tasks(collection(ROWS), CLASSIFY, {0: ("dog", 0.75)}, "model 1")[0]
    assert task["data"]["photo"] == "/data/local-files/?d=a/%E9%9B%AA%201.png"
    assert task["annotations"][0]["result"] == [choose("cat", "")["result"][0]]
    assert task["predictions"] == [
        {"model_version": "model 1", "score": 0.75, "result": [{**choose("dog", "")["result"][0], "score": 0.75}]}
    ]
    written = to_tasks(collection(ROWS), Project("caption", ("sound",)))[0]["annotations"][0]["result"][0]
    assert written["type"] == "textarea" and written["value"] == {"text": ['a <b> & "c"']}


def test_annotations_survive_whole_where_they_are_kept() -> None:
    tasks = to_tasks(collection(ROWS), CLASSIFY)
    work = [choose("dog", "2024-01-02", completed_by=7, lead_time=3.5, id=11), choose("dog", "2024-01-01", id=12)]
    tasks[1]["annotations"] = work
    rows, _ = from_tasks(tasks, "label", keep=True)
    assert rows[1]["label"] == "dog" and rows[1][KEEP] == work
    rows[1][KEEP] = json.dumps(rows[1][KEEP])  # as a CSV holds it
    assert to_tasks(collection(rows), CLASSIFY)[1]["annotations"] == work


def test_majority_disagreement_cancelled_and_latest() -> None:
    tasks = to_tasks(collection(ROWS), CLASSIFY)
    tasks[0]["annotations"] = [choose("dog", "1"), choose("cat", "2"), choose("dog", "3")]
    tasks[1]["annotations"] = [choose("dog", "1"), choose("cat", "2")]
    tasks[2]["annotations"] = [choose("dog", "1", was_cancelled=True)]
    rows, disputed = from_tasks(tasks, "label")
    assert [row["label"] for row in rows] == ["dog", None, 3] and disputed == ["x:2"]
    written = to_tasks(collection(ROWS[:1]), Project("caption", ("photo",)))
    texts = [{"text": ["late"]}, {"text": "early"}]
    written[0]["annotations"] = [
        {"result": [{"from_name": "caption", "value": value}], "updated_at": time}
        for value, time in zip(texts, ("2", "1"), strict=True)
    ]
    assert from_tasks(written, "caption")[0][0]["caption"] == "late"


def test_tasks_of_others_and_nonsense() -> None:
    foreign = [{"data": {"photo": "/data/local-files/?d=a%20b.png"}, "annotations": [choose("cat", "1")]}]
    assert from_tasks(foreign, "label")[0] == [{"photo": "a b.png", "label": "cat"}]
    with pytest.raises(DataError, match="task 1 has no 'data'"):
        from_tasks([{"photo": "x"}], "label")


def test_the_labelling_config_is_xml() -> None:
    root = ElementTree.fromstring(labelling_config(CLASSIFY, KINDS))
    assert [(e.tag, e.get("name"), e.get("value")) for e in root[:3]] == [
        ("Image", "photo", "$photo"), ("Audio", "sound", "$sound"), ("Text", "caption", "$caption"),
    ]  # fmt: skip
    assert [e.get("value") for e in root[3]] == ["cat", "dog", "3"]
    assert ElementTree.fromstring(labelling_config(Project("caption", ("photo",)), KINDS))[1].tag == "TextArea"


def test_uncertainty() -> None:
    for measure in ("entropy", "margin", "least"):
        assert uncertainty([0.25] * 4, measure) == pytest.approx(1)
        assert uncertainty([0, 1.0, 0], measure) == pytest.approx(0)
    assert uncertainty([3.0, 1.0], "margin") == pytest.approx(0.5)
    assert uncertainty([0.75, 0.25], "least") == pytest.approx(0.5)
    assert uncertainty([0.9, 0.1]) == pytest.approx(-(0.9 * math.log2(0.9) + 0.1 * math.log2(0.1)))
    with pytest.raises(ConfigError, match="entropy, margin, least"):
        uncertainty([1.0], "x")


@pytest.mark.parametrize(
    "task",
    [
        {"data": {"ppmm": {"id": 1}}},
        {"data": {"ppmm": {"cells": [1, 2]}}},
        {"data": {"ppmm": "x"}},
        {"data": {}, "annotations": [{"result": {"a": 1}}]},
        {"data": {}, "annotations": [{"result": ["a"]}]},
        {"data": {}, "annotations": [{"result": 5}]},
        {"data": {}, "annotations": [{"result": [{"from_name": "label", "value": "x"}]}]},
        {"data": {}, "annotations": [{"result": [{"from_name": "label", "value": {"choices": None}}]}]},
        {"data": {}, "annotations": [{"result": [{"from_name": "label", "value": {"choices": {"a": 1}}}]}]},
    ],
)
def test_damaged_tasks(task: dict[str, object]) -> None:
    with pytest.raises(DataError, match="task 1"):
        from_tasks([task], "label")


def test_a_dispute_about_a_row_without_id() -> None:
    said = [{"result": [{"from_name": "label", "value": {"choices": [name]}}]} for name in "xy"]
    assert from_tasks([{"data": {"ppmm": {"cells": {}}}, "annotations": said}], "label") == ([{}], ["task 1"])
