"""Robustness of a grid's cells on the results page: measured once, again when a checkpoint or the question changes."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from ppmm.app import results, robustness_results
from ppmm.app.results import write_results
from ppmm.app.robustness import robustness_table
from ppmm.app.robustness_results import measured, open_robustness, robustness_section
from ppmm.errors import ConfigError

ROOT = Path(__file__).parents[2]
DOCUMENT = {
    "checkpoint": "/somewhere", "split": "test", "metric": "accuracy", "rows": 8, "levels": [0.0, 1.0],
    "subsets": {"image+text": 0.75, "text": 0.5},
    "curves": {"image noise": {"values": [0.75, 0.25], "relative": 0.5, "effective": -0.125}},
    "baseline": {"checkpoint": "/elsewhere", "curves": {}, "subsets": {"image+text": 0.5}},
}  # fmt: skip


@pytest.fixture
def page(trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A YAML about two cells of a grid, whose checkpoints are there; `measure_robustness` is replaced."""
    grid = {"name": "g", "title": "Table", "config": str(trained.config), "axes": {"seed": [0, 1]}}
    (tmp_path / "grids").mkdir()
    (tmp_path / "grids" / "g.yaml").write_text(yaml.safe_dump(grid), encoding="utf-8")
    for seed in "01":
        shutil.copytree(trained.best, tmp_path / "out" / "g" / seed / "checkpoints" / "best")
    asked = {
        "name": "curves", "title": "How robust?", "text": "Eight rows.", "grid": str(tmp_path / "grids" / "g.yaml"),
        "cell": "0", "baseline": "1", "rows": 8, "levels": [0.0, 1.0],
    }  # fmt: skip
    (tmp_path / "robustness").mkdir()
    path = tmp_path / "robustness" / "curves.yaml"
    path.write_text(yaml.safe_dump(asked), encoding="utf-8")
    monkeypatch.setattr(results, "GRIDS", tmp_path / "grids")
    monkeypatch.setattr(results, "ROBUSTNESS", tmp_path / "robustness")
    return path


class Measure:
    """Stands for `measure_robustness`."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, weights: str, **more: Any) -> dict[str, Any]:
        self.calls.append((weights, more))
        Path(more["out"]).mkdir(parents=True, exist_ok=True)
        return DOCUMENT


@pytest.fixture
def measure(monkeypatch: pytest.MonkeyPatch) -> Measure:
    fake = Measure()
    monkeypatch.setattr(robustness_results, "measure_robustness", fake)
    return fake


def test_measured_once_for_the_same_checkpoints(page: Path, tmp_path: Path, measure: Measure) -> None:
    out, wanted = tmp_path / "out", open_robustness(page)
    assert measured(wanted, out, cached=True) is None and measure.calls == []
    assert measured(wanted, out) == measured(wanted, out) == measured(wanted, out, cached=True) == DOCUMENT
    ((weights, more),) = measure.calls
    assert weights == str(out / "g" / "0" / "checkpoints" / "best") and more["rows"] == 8
    assert more["baseline"] == str(out / "g" / "1" / "checkpoints" / "best") and more["levels"] == [0.0, 1.0]
    assert measured(dataclasses.replace(wanted, text="Other words."), out, cached=True) == DOCUMENT
    assert measured(dataclasses.replace(wanted, rows=9), out, cached=True) is None
    assert measured(dataclasses.replace(wanted, baseline=None), out, cached=True) is None
    shutil.rmtree(out / "g" / "1")
    assert measured(wanted, out) is None, "the model was not trained"
    assert len(measure.calls) == 1


def test_the_page_and_the_figures(page: Path, tmp_path: Path, measure: Measure) -> None:
    def write(**more: Any) -> str:
        write_results(out=str(tmp_path / "out"), docs=str(tmp_path / "docs"), cached=True, **more)
        return (tmp_path / "docs" / "results.md").read_text(encoding="utf-8")

    assert write().rstrip().endswith("Not run yet.") and "## How robust?" in write()
    measured(open_robustness(page), tmp_path / "out")
    text = write()
    assert "| text | 0.500 |" in text and "| image noise | 0.750 | 0.250 | 0.500 | -0.125 |" in text
    command = (
        "python tools/robustness.py -w output/grids/g/0/checkpoints/best --baseline output/grids/g/1/checkpoints/best"
    )
    assert f"`{command} --split test --metric accuracy --rows 8 --levels 0 1`" in text
    entry = json.loads((tmp_path / "docs" / "results.json").read_text(encoding="utf-8"))["curves"]
    assert entry["robustness"]["curves"] == DOCUMENT["curves"] and entry["rows"] == []
    assert entry["baseline"] == {"cell": "1", "curves": {}, "subsets": {"image+text": 0.5}}
    assert "where" not in json.dumps(entry), "no path of this machine"
    assert "How robust?" not in write(grids=[str(tmp_path / "grids" / "g.yaml")])


def test_a_cell_that_is_not_there_is_named(page: Path) -> None:
    page.write_text(page.read_text().replace("cell: '0'", "cell: concat-0"), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"curves\.yaml:\d+ cell: .*g\.yaml has no cell 'concat-0'; there is 0, 1"):
        open_robustness(page)


@pytest.mark.parametrize("path", sorted((ROOT / "configs" / "_robustness_").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_ones_of_the_project_are_right(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    wanted = open_robustness(path)
    section = "\n".join(robustness_section(wanted, None))
    assert section.startswith(f"## {wanted.title}") and wanted.text and robustness_table(DOCUMENT)
