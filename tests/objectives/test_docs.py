"""docs/objectives.md names every objective and target, and its YAML is right."""

import re
from pathlib import Path

import pytest
import yaml

from ppmm.config import build
from ppmm.registry import OBJECTIVES, TARGETS
from ppmm.types import Objective, Target

DOCS = Path(__file__).parents[2] / "docs"
NAMES = ["objectives.md", "objectives.zh.md"]


@pytest.mark.parametrize("name", NAMES)
def test_every_part_is_named(name):
    text = (DOCS / name).read_text(encoding="utf-8")
    assert [part for part in (*OBJECTIVES.names(), *TARGETS.names()) if f"`{part}`" not in text] == []


@pytest.mark.parametrize("name", NAMES)
def test_the_example_builds(name):
    example = yaml.safe_load(re.search(r"```yaml\n(.*?)```", (DOCS / name).read_text(encoding="utf-8"), re.DOTALL)[1])
    assert set(build(example["targets"], dict[str, Target])) == {"answer", "scene"}
    objective = build(example["objective"], Objective)
    assert objective.passes == 2 and objective.weights == {"answer": 1.0, "space": 0.5}
