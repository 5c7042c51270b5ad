"""tools/crossval.py: the folds of its runs, its statistics, and that a fold is trained once."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from ppmm.app import ablate as app_ablate
from ppmm.app.crossval import _column, crossval, fold_grid
from ppmm.app.crossval_summary import fold_table, interval, summarise_folds
from ppmm.app.experiment import build_rows, open_experiment
from ppmm.app.grid import cells_of
from ppmm.config.node import as_tree
from ppmm.errors import ConfigError, DataError


def test_every_row_validates_once(write_config: Callable[..., Path]) -> None:
    path = str(write_config())
    seen: list[str] = []
    for cell in cells_of(fold_grid(path, folds=4, stratify="answer")):
        config = open_experiment(cell.config, cell.override)
        train, val = (build_rows(config, part) for part in ("train", "val"))
        ids = [{rows[row]["id"] for row in range(len(rows))} for rows in (train, val)]
        assert len(ids[0]) == 72 and len(ids[1]) == 24 and not ids[0] & ids[1]
        assert all(isinstance(row["image"], Path) for row in (train[0], val[0])), (
            "file fields must reach the inner rows"
        )
        seen += ids[1]
    assert len(seen) == len(set(seen)) == 96


def test_the_rows_of_val_are_dealt_where_asked(write_config: Callable[..., Path]) -> None:
    cells = cells_of(fold_grid(str(write_config()), folds=2, with_val=True))
    sizes = [len(build_rows(open_experiment(cell.config, cell.override), "val")) for cell in cells]
    assert sizes == [64, 64]  # 96 rows of train and 32 of val


def test_a_target_stands_for_its_column(write_config: Callable[..., Path]) -> None:
    config = as_tree({"targets": {"said": {"name": "key", "column": "caption"}, "answer": {"name": "label"}}})
    found = {name: _column(config, name) for name in ("said", "answer", "speaker")}
    assert found == {"said": "caption", "answer": "answer", "speaker": "speaker"}
    cell = cells_of(fold_grid(str(write_config()), folds=2, stratify="answer", group_by="text"))[0]
    train = open_experiment(cell.config, cell.override)["data"]["train"]
    assert train["stratify"] == "answer" and train["group_by"] == "text" and train["of"]["name"] == "manifest"


def test_the_interval_is_that_of_nadeau_and_bengio() -> None:
    """s = 0.1; t(0.975, 2) = 4.30265; half a width is 4.30265 * 0.1 * sqrt(1/3 + 1/2)."""
    low, high = interval([0.8, 0.9, 1.0], 3)
    half = 4.30265273 * 0.1 * math.sqrt(1 / 3 + 1 / 2)
    assert math.isclose(low, 0.9 - half, rel_tol=1e-6) and math.isclose(high, 0.9 + half, rel_tol=1e-6)
    assert all(math.isnan(end) for values in ([0.5], [0.5, math.nan]) for end in interval(values, 5))


class Tools:
    """Stands for tools/train.py and tools/eval.py; fold f has an accuracy of 0.5 + f / 10."""

    def __init__(self) -> None:
        self.commands: list[list[str]] = []

    def __call__(self, command: Sequence[str], stream: Any, log: Path) -> None:
        self.commands.append(list(command))
        if command[0] == "tools/train.py":
            options = dict(word.split("=", 1) for word in command if word.startswith(("output=", "name=")))
            folder = Path(options["output"]) / options["name"].strip('"')
            (folder / "checkpoints" / "best").mkdir(parents=True, exist_ok=True)
            (folder / "config.yaml").write_text("name: x", encoding="utf-8")
            (folder / "history.jsonl").write_text('{"seconds": 6.0}\n', encoding="utf-8")
            manifest = json.dumps({"step": 3, "parameters": 12})
            (folder / "checkpoints" / "best" / "manifest.json").write_text(manifest, encoding="utf-8")
            return
        fold = int(Path(command[2]).parts[-3])
        entry = {"fields": ["image"], "dropped": [], "rows": 32, "metrics": {"accuracy": 0.5 + fold / 10}}
        Path(command[command.index("--out") + 1]).write_text(json.dumps({"results": [entry]}), encoding="utf-8")


@pytest.fixture
def tools(monkeypatch: pytest.MonkeyPatch) -> Tools:
    fake = Tools()
    monkeypatch.setattr(app_ablate, "_command", fake)
    return fake


def test_folds_are_trained_once_and_summed_up(
    write_config: Callable[..., Path], tmp_path: Path, tools: Tools, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(write_config())
    summary = crossval(path, folds=3, out=str(tmp_path / "cv"))
    assert len(tools.commands) == 6
    figure = summary["rows"][0]["figures"]["val accuracy"]
    assert figure["values"] == pytest.approx([0.5, 0.6, 0.7]) and math.isclose(figure["mean"], 0.6)
    assert math.isclose(figure["std"], 0.1) and figure["interval"] == list(interval(figure["values"], 3))
    said = capsys.readouterr().out
    assert "| val accuracy | 0.6000 ± 0.1000 | 0.2072 to 0.9928 | 0.5000 | 0.6000 | 0.7000 |" in said
    folder = tmp_path / "cv" / "small-3fold"
    assert json.loads((folder / "summary.json").read_text())["folds"][2] == {
        "fold": "2", "rows": 32, "step": 3, "seconds": 6.0,
    }  # fmt: skip
    assert "<svg" in (folder / "summary.svg").read_text() and "3 folds of the rows of train" in (
        folder / "summary.md"
    ).read_text(encoding="utf-8")
    assert crossval(path, folds=3, out=str(tmp_path / "cv")) == summary and len(tools.commands) == 6
    crossval(path, folds=3, group_by="text", out=str(tmp_path / "cv"))
    assert len(tools.commands) == 12, "folds that are dealt otherwise are other runs"


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"folds": 1}, ConfigError, "--folds 1: must be at least 2"),
        ({"folds": 97}, DataError, "96 rows cannot be dealt to 97 folds"),
        ({"folds": 3, "group_by": "speakr"}, DataError, "group_by: no row has a 'speakr'"),
        ({"folds": 3, "splits": ["tset"]}, ConfigError, "--splits tset: no such split.*did you mean 'test'"),
        ({"folds": 3, "jobs": 0}, ConfigError, "--jobs must be at least 1"),
    ],
)
def test_a_mistake_is_told_before_anything_is_trained(
    write_config: Callable[..., Path], tmp_path: Path, tools: Tools, arguments: Any, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        crossval(str(write_config()), out=str(tmp_path / "cv"), **arguments)
    assert tools.commands == []


def test_a_fold_that_is_missing_is_not_in_the_table(write_config: Callable[..., Path]) -> None:
    grid = fold_grid(str(write_config()), folds=5)
    entry = {"fields": ["image"], "dropped": [], "rows": 19, "metrics": {"accuracy": 0.5}}
    result = {"labels": {"fold": "3"}, "config": "c", "override": [], "seconds": 1.0, "step": 2, "parameters": 3}
    table = fold_table(summarise_folds(grid, [{**result, "splits": {"val": [entry]}}]))
    assert "fold 3" in table and "fold 0" not in table and "nan to nan" in table
