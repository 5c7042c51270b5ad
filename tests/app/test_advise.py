"""Advice: what a table holds, what fits it, and what is said when nothing does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ppmm.app.advise import advise, candidates, look_at, rank
from ppmm.errors import ConfigError, DataError

ROOT = Path(__file__).parents[2]


def rows(count: int = 40) -> list[dict[str, Any]]:
    return [
        {
            "id": f"x:{number}", "photo": f"img/{number}.JPG", "sound": f"{number}.flac",
            "fault": ["oil", "belt"][number % 2], "remark": f"it rattles {number} times", "grade": number % 3,
            "weight": number * 0.37, "serial": f"A{number}",
        }
        for number in range(count)
    ]  # fmt: skip


def test_columns_are_recognised() -> None:
    found = look_at(rows())
    assert found.kinds == {
        "photo": "image", "sound": "audio", "fault": "label", "remark": "text", "grade": "label", "weight": "numeric",
    }  # fmt: skip
    assert found.inputs == {"image", "audio", "text", "numeric"} and found.task == "classification" and found.rows == 40


def test_questions_that_repeat_are_text_and_long_names_of_few_classes_are_labels() -> None:
    rows = [
        {"id": str(n), "q": f"how many dots of kind {n % 12}", "fault": f"worn out belt {n % 3}"} for n in range(200)
    ]
    assert look_at(rows).kinds == {"q": "text", "fault": "label"}


def test_captions_in_lists_and_chinese_are_text_and_ask_for_retrieval() -> None:
    found = look_at(
        [{"id": str(n), "image": f"{n}.png", "caption": ["一只红色的猫在左边", f"第{n}张图片里的狗"]} for n in range(9)]
    )
    assert found.kinds == {"image": "image", "caption": "text"} and found.task == "retrieval"


@pytest.fixture
def results(tmp_path: Path) -> str:
    def row(label: str, config: str, accuracy: float, ms: float, mb: float, fields: list[str]) -> dict[str, Any]:
        return {
            "labels": {"model": label}, "runs": 1, "config": str(ROOT / config), "override": [],
            "fields": fields, "parameters": 10, "seconds": 60,
            "figures": {"test accuracy": {"mean": accuracy}}, "latency": {"p50_ms": ms, "memory_mb": mb},
        }  # fmt: skip

    grid = [
        row("three", "configs/quickstart.yaml", 0.9, 8.0, 90, ["image", "audio", "text"]),
        row("two", "configs/digits/av_mnist.yaml", 0.95, 4.0, 50, ["image", "audio"]),
        row("one", "configs/mnist/mnist.yaml", 0.99, 1.0, 30, ["image"]),
    ]
    path = tmp_path / "results.json"
    path.write_text(json.dumps({"zoo": {"figures": ["accuracy"], "rows": grid}}), encoding="utf-8")
    return str(path)


def test_rank_wants_all_kinds_first_and_keeps_the_limits(results: str) -> None:
    zoo, table = candidates(Path(results)), look_at(rows())
    names = [one.name for one in rank(zoo, table, "classification", None, None)]
    assert names == ["zoo three", "zoo two", "zoo one"]
    assert [one.name for one in rank(zoo, table, "classification", 5.0, None)] == ["zoo two", "zoo one"]
    assert [one.name for one in rank(zoo, table, "classification", None, 40)] == ["zoo one"]
    assert rank(zoo, table, "retrieval", None, None) == []


def manifest(tmp_path: Path) -> str:
    path = tmp_path / "train.jsonl"
    path.write_text(
        "".join(json.dumps({k: v for k, v in row.items() if k != "id"}) + "\n" for row in rows()), encoding="utf-8"
    )
    return str(path)


def test_advice_names_the_command(results: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert advise(manifest(tmp_path), latency=5, results=results)[0].name == "zoo two"
    said = capsys.readouterr().out
    assert "photo (image)" in said and "1. python tools/train.py -c " in said and "av_mnist.yaml" in said


def test_when_nothing_fits_it_says_what_would(results: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"the fastest takes 1\.0 ms, the smallest 30 MB"):
        advise(manifest(tmp_path), latency=0.1, results=results)
    with pytest.raises(DataError, match="no measured model does retrieval"):
        advise(manifest(tmp_path), task="retrieval", results=results)
    with pytest.raises(DataError, match="make results"):
        advise(manifest(tmp_path), results=str(tmp_path / "none.json"))
    with pytest.raises(ConfigError, match="--latency must be above 0"):
        advise(manifest(tmp_path), latency=-1, results=results)


def test_errors_rank_low_first_and_runs_without_a_figure_are_left_out(results: str) -> None:
    document = json.loads(Path(results).read_text())
    grid = document["zoo"]
    for row, error in zip(grid["rows"], (3.0, float("nan"), 1.0), strict=True):
        row |= {"figures": {"test mae": {"mean": error}}, "config": grid["rows"][0]["config"]}
    grid["figures"] = ["mae"]
    Path(results).write_text(json.dumps(document))
    ranked = rank(candidates(Path(results)), look_at(rows()), "classification", None, None)
    assert [one.name for one in ranked] == ["zoo one", "zoo three"]
    for broken in ("[1]", '{"zoo": {"figures": ["f1"], "rows": []}}', '{"zoo": 3}'):
        Path(results).write_text(broken)
        with pytest.raises(DataError, match="make results"):
            candidates(Path(results))
