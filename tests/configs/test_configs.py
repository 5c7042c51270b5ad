"""Every YAML under configs/ is right, and its model can be built."""

from __future__ import annotations

from pathlib import Path

import pytest

from ppmm.app.experiment import Parts, build_metrics, build_model, open_experiment
from ppmm.app.grid import cells_of, open_grid
from ppmm.app.tune_space import open_space
from ppmm.config import build
from ppmm.types import Field, Target

ROOT = Path(__file__).parents[2]
CONFIGS = sorted(path for path in (ROOT / "configs").rglob("*.yaml") if not path.parent.name.startswith("_"))
SPACES = sorted((ROOT / "configs" / "_spaces_").glob("*.yaml"))
GRIDS = sorted((ROOT / "configs" / "_grids_").glob("*.yaml"))


def test_there_are_configs() -> None:
    assert ROOT / "configs" / "quickstart.yaml" in CONFIGS


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: str(path.relative_to(ROOT)))
def test_config(path: Path) -> None:
    config = open_experiment(path)
    fields: dict[str, Field] = build(config["fields"], dict[str, Field])
    targets: dict[str, Target] = build(config["targets"], dict[str, Target])
    for field in fields.values():
        field.fit(["which digit do you see", "听到的数字"] * 5)  # more often than any min_count
    for target in targets.values():
        target.fit(["one class", "another"])
    parts = Parts(fields, targets)
    model = build_model(config, parts)
    assert set(model.fields) == set(config["fields"])
    assert build_metrics(config, parts)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: str(path.relative_to(ROOT)))
def test_config_opens_with_its_command_and_result(path: Path) -> None:
    first, second = path.read_text(encoding="utf-8").splitlines()[:2]
    tools = ("train", "compress")  # a student is built and taught by the second
    assert first.startswith(tuple(f"# python tools/{tool}.py -c {path.relative_to(ROOT)}" for tool in tools))
    assert any(character.isdigit() for character in first.removeprefix("# python") + second), "state the result"


@pytest.mark.parametrize("path", GRIDS, ids=lambda path: path.stem)
def test_every_cell_of_a_grid_is_a_right_config(path: Path) -> None:
    assert path.read_text(encoding="utf-8").startswith(f"# python tools/ablate.py -g {path.relative_to(ROOT)}")
    for cell in cells_of(open_grid(path)):
        open_experiment(cell.config, cell.override)


@pytest.mark.parametrize("path", SPACES, ids=lambda path: path.stem)
def test_every_value_of_a_space_is_a_right_config(path: Path) -> None:
    command = path.read_text(encoding="utf-8").splitlines()[0].split()
    assert command[:3] == ["#", "python", "tools/tune.py"]
    assert command[command.index("--space") + 1] == str(path.relative_to(ROOT))
    assert open_space(str(path), command[command.index("-c") + 1])
