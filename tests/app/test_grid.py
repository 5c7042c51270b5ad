"""Grids: cells, keys, statistics, and that a cell is trained once."""

from __future__ import annotations

import dataclasses
import json
import math
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from ppmm.app import ablate as app_ablate
from ppmm.app.ablate import ablate, run_grid
from ppmm.app.grid import Grid, cells_of, open_grid
from ppmm.app.grid_summary import markdown, picture, spread, summarise
from ppmm.app.results import write_results
from ppmm.errors import ConfigError, DataError, PpmmError

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
        ("name: g\naxes: {seed: [0, 0]}\nconfig: X", "axes.seed: 0 is listed twice"),
        ("name: g\naxes: {a: {b: {config: 3}}}\nconfig: X", "axes.a.b: must be overrides"),
        ("name: g\naxes: {a: {b: {override: null}}}\nconfig: X", "axes.a.b: must be overrides"),
        ("name: g\naxes: {seed: [0]}\nover: sede\nconfig: X", "over: no axis 'sede'; did you mean 'seed'"),
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
    assert math.isnan(spread([0.5, math.nan])["mean"]) and math.isnan(spread([0.5, math.nan])["std"])


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
    monkeypatch.setattr(app_ablate, "check_cells", lambda grid, cells: None)  # these YAMLs are no whole experiments
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


def test_labels_in_chinese_have_folders_of_their_own(experiment: str) -> None:
    grid = Grid("g", {"fusion": {"拼接": "seed=1", "门控": "seed=2"}}, config=experiment)
    first, second = (cell.slug for cell in cells_of(grid))
    assert first != second and first.isascii() and second.isascii()


def test_splits_that_are_not_there_are_found_before_training(tmp_path: Path) -> None:
    path = tmp_path / "with_data.yaml"
    path.write_text(EXPERIMENT + "data: {train: {name: manifest}, test_speaker: {name: manifest}}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"with_data\.yaml has no data\.test_speeker; did you mean 'test_speaker'"):
        cells_of(Grid("g", {"seed": [0]}, config=str(path), splits=["test_speeker"]))


def test_every_cell_is_checked_before_the_first_is_trained(
    write_config: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = Tools()
    monkeypatch.setattr(app_ablate, "_command", tools)
    axes = {"fusion": {"good": "model.fusion={name: concat}", "bad": "model.fusion={name: concart}"}}
    with pytest.raises(ConfigError, match=r"g \[bad\]: .*no fusion named 'concart'; did you mean 'concat'"):
        run_grid(Grid("g", axes, config=str(write_config())), tmp_path)
    assert tools.commands == []


def test_a_part_of_a_grid_leaves_the_rest_in_its_table(experiment: str, tmp_path: Path, tools: Tools) -> None:
    path = tmp_path / "g.yaml"
    path.write_text(yaml.safe_dump({"name": "g", "axes": AXES, "config": experiment}), encoding="utf-8")
    for only in ("concat", "gated"):
        ablate(str(path), out=str(tmp_path / "out"), only=only)
    summary = json.loads((tmp_path / "out" / "g" / "summary.json").read_text())
    assert [row["labels"] for row in summary["rows"]] == [{"fusion": "concat"}, {"fusion": "gated"}]


def test_two_runs_of_one_grid_do_not_mix(experiment: str, tmp_path: Path, tools: Tools) -> None:
    hold = (
        "import fcntl, sys; file = open(sys.argv[1], 'w'); fcntl.lockf(file, fcntl.LOCK_EX); "
        "print(1, flush=True); input()"
    )
    command = [sys.executable, "-c", hold, str(tmp_path / ".g.lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(DataError, match="another run is at work in"):
            run_grid(Grid("g", AXES, config=experiment), tmp_path)
        other.communicate("\n")
    assert tools.commands == []


def test_figures_that_no_run_has_or_that_are_nan(experiment: str, tmp_path: Path, tools: Tools) -> None:
    grid = Grid("g", AXES, config=experiment)
    results = run_grid(grid, tmp_path)
    for result in results[:2]:
        result["splits"]["test"][0]["metrics"]["accuracy"] = math.nan
    picture(summarise(grid, results), tmp_path / "nan.svg")
    del results[2]["splits"]["test"][0]["metrics"]["accuracy"], results[3]["splits"]["test"][0]["metrics"]["accuracy"]
    results[3]["splits"]["test"][0]["metrics"]["f1"] = 0.5
    picture(summarise(grid, results), tmp_path / "less.svg")
    assert (tmp_path / "nan.svg").stat().st_size and (tmp_path / "less.svg").stat().st_size
    with pytest.raises(ConfigError, match="g: figures: no run measured 'acuracy'; did you mean 'accuracy'"):
        markdown(summarise(dataclasses.replace(grid, figures=["acuracy"]), results))
