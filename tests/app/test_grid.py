"""Grids: cells, keys, statistics, and that a cell is trained once."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ppmm.app import ablate as app_ablate
from ppmm.app.ablate import run_grid
from ppmm.app.grid import Grid, cells_of, open_grid
from ppmm.app.grid_summary import markdown, picture, spread, summarise
from ppmm.app.results import write_results
from ppmm.errors import ConfigError, PpmmError

EXPERIMENT = "name: small\nseed: 7\nmodel: {name: late_fusion, fusion: {name: concat, dim: 8}}\n"
AXES = {"fusion": {"concat": [], "gated": "model.fusion={name: gated}"}, "seed": [0, 1]}


@pytest.fixture
def experiment(tmp_path: Path) -> str:
    path = tmp_path / "small.yaml"
    path.write_text(EXPERIMENT, encoding="utf-8")
    return str(path)


def test_cells_are_every_combination(experiment: str) -> None:
    cells = cells_of(Grid("g", AXES, config=experiment, override=["model.fusion.dim=4"]))
    assert [cell.slug for cell in cells] == ["concat-0", "concat-1", "gated-0", "gated-1"]
    assert cells[3].labels == {"fusion": "gated", "seed": "1"}
    assert cells[3].override == ["model.fusion.dim=4", "model.fusion={name: gated}", "seed=1"]
    assert len({cell.key for cell in cells}) == 4


def test_key_follows_what_is_computed_and_nothing_else(experiment: str) -> None:
    def key(*override: str, **more: Any) -> str:
        return cells_of(Grid("g", {"seed": [0]}, config=experiment, override=list(override), **more))[0].key

    assert key() == key("name=other") == key("output=elsewhere") == key(title="Title")
    assert key() != key("model.fusion.dim=9")
    assert key() != key(splits=["val"])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name: g\naxes: {seed: 3}\nconfig: X", "axes.seed: must be a list"),
        ("name: g\naxes: {a: {b: {confg: x}}}\nconfig: X", "axes.a.b: must be overrides"),
        ("name: g\naxes: {}\nconfig: X", "must name at least one"),
        ("name: a/b\naxes: {seed: [0]}\nconfig: X", "a folder is named after it"),
        ("name: g\naxis: {seed: [0]}", "did you mean 'axes'"),
    ],
)
def test_a_wrong_grid_says_where_and_what(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "grid.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"grid\.yaml") as caught:
        open_grid(path)
    assert says in str(caught.value)


def test_a_wrong_override_names_the_cell(experiment: str) -> None:
    with pytest.raises(ConfigError, match=r"g \[x\].*modle"):
        cells_of(Grid("g", {"a": {"x": "modle.fusion.dim=3"}}, config=experiment))
    with pytest.raises(ConfigError, match="needs one config"):
        cells_of(Grid("g", {"seed": [0]}))


def test_spread_is_the_sample_standard_deviation() -> None:
    found = spread([0.9, 0.8, 1.0])
    assert math.isclose(found["mean"], 0.9) and math.isclose(found["std"], 0.1)
    assert spread([0.5])["std"] == 0


class Tools:
    """Stands for the command lines: writes what they would write."""

    def __init__(self) -> None:
        self.commands: list[list[str]] = []
        self.broken = ""

    def __call__(self, command: Sequence[str], stream: Any, log: Path) -> None:
        self.commands.append(list(command))
        options = dict(
            word.split("=", 1) for word in command if "=" in word and word.startswith(("output", "name", "seed"))
        )
        if command[0] == "tools/train.py":
            options["name"] = options["name"].strip('"')  # quoted, so that '0' is a text
            if self.broken and self.broken == options["name"]:
                raise PpmmError(f"{options['name']} broke")
            folder = Path(options["output"]) / options["name"]
            best = folder / "checkpoints" / "best"
            best.mkdir(parents=True, exist_ok=True)
            (folder / "config.yaml").write_text("name: x", encoding="utf-8")
            (folder / "history.jsonl").write_text('{"seconds": 1.0}\n{"seconds": 30.0}\n', encoding="utf-8")
            (best / "manifest.json").write_text(json.dumps({"step": 3, "parameters": 1234}), encoding="utf-8")
        elif command[0] == "tools/eval.py":
            gated = "gated" in command[2]
            metrics = {"accuracy": (0.9 if gated else 0.7) + (0.1 if "1/checkpoints" in command[2] else 0.0)}
            entry = {"fields": ["image"], "dropped": [], "rows": 5, "metrics": metrics, "details": {}}
            out = Path(command[command.index("--out") + 1])
            out.write_text(json.dumps({"results": [entry]}), encoding="utf-8")


@pytest.fixture
def tools(monkeypatch: pytest.MonkeyPatch) -> Tools:
    fake = Tools()
    monkeypatch.setattr(app_ablate, "_command", fake)
    return fake


def test_a_cell_is_trained_once_and_summed_over_seeds(experiment: str, tmp_path: Path, tools: Tools) -> None:
    grid = Grid("g", AXES, config=experiment)
    first = run_grid(grid, tmp_path / "out", jobs=2)
    assert len(tools.commands) == 8
    assert run_grid(grid, tmp_path / "out") == first
    assert len(tools.commands) == 8, "a cell that was done ran again"
    summary = summarise(grid, first)
    assert [row["labels"] for row in summary["rows"]] == [{"fusion": "concat"}, {"fusion": "gated"}]
    assert [row["runs"] for row in summary["rows"]] == [2, 2]
    assert math.isclose(summary["rows"][1]["figures"]["test accuracy"]["mean"], 0.95)
    assert "| gated | 0.950 ± 0.071 | 1,234 | 30 |" in markdown(summary)
    picture(summary, tmp_path / "x.svg")
    assert "gated" in (tmp_path / "x.svg").read_text()


def test_another_config_is_trained_anew(experiment: str, tmp_path: Path, tools: Tools) -> None:
    run_grid(Grid("g", {"seed": [0]}, config=experiment), tmp_path / "out")
    run_grid(Grid("g", {"seed": [0]}, config=experiment, override=["model.fusion.dim=9"]), tmp_path / "out")
    assert ["--overwrite" in command for command in tools.commands if "train" in command[0]] == [False, True]


def test_one_broken_cell_does_not_stop_the_others(experiment: str, tmp_path: Path, tools: Tools) -> None:
    tools.broken = "concat-1"
    with pytest.raises(PpmmError, match="1 of 4 cells of g failed"):
        run_grid(Grid("g", AXES, config=experiment), tmp_path / "out")
    assert (
        sum((tmp_path / "out" / "g" / slug / "result.json").exists() for slug in ("concat-0", "gated-0", "gated-1"))
        == 3
    )


def test_results_page_says_what_is_missing(experiment: str, tmp_path: Path, tools: Tools) -> None:
    for name in ("one", "two"):
        text = f"name: {name}\ntitle: Table {name}\nconfig: {experiment}\naxes: {{seed: [0]}}\n"
        (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
    grids = [str(tmp_path / "one.yaml"), str(tmp_path / "two.yaml")]
    write_results(grids[:1], out=str(tmp_path / "out"), docs=str(tmp_path / "docs"))
    write_results(grids, out=str(tmp_path / "out"), docs=str(tmp_path / "docs"), cached=True)
    page = (tmp_path / "docs" / "results.md").read_text(encoding="utf-8")
    assert "## Table one" in page and "0.700" in page and page.rstrip().endswith("Not run yet.")
    assert list(json.loads((tmp_path / "docs" / "results.json").read_text())) == ["one"]
