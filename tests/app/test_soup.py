"""Model soups: the mean by hand, the greedy choice, an ordinary checkpoint, what cannot be mixed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ppmm.app import soup
from ppmm.app.checkpoints import load_checkpoint
from ppmm.app.evaluate import evaluate_checkpoint
from ppmm.app.soup import make_soup, mean_of
from ppmm.app.train import train
from ppmm.engine.checkpoint import read_checkpoint
from ppmm.errors import CheckpointError

SHORT = {"epochs": 1, "max_steps": 2}


def test_the_mean_is_that_of_the_floats() -> None:
    one = {"w": np.array([1.0, 2.0], "float32"), "n": np.array([3])}
    two = {"w": np.array([2.0, 6.0], "float32"), "n": np.array([5])}
    mean = mean_of([one, two, two])
    np.testing.assert_allclose(mean["w"], [5 / 3, 14 / 3], rtol=1e-7)
    assert mean["w"].dtype == np.float32 and mean["n"] == [3]


@pytest.fixture
def ingredients(write_config: Callable[..., Path], tmp_path: Path) -> list[str]:
    """Three short runs from one start, of different learning rates."""
    for number, rate in enumerate((0.01, 0.003, 0.02)):
        train(str(write_config(f"run{number}", trainer=SHORT, optimizer={"name": "adamw", "learning_rate": rate})))
    return [str(tmp_path / "output" / f"run{number}" / "checkpoints" / "last") for number in range(3)]


def test_a_soup_is_an_ordinary_checkpoint(ingredients: list[str], tmp_path: Path) -> None:
    out = tmp_path / "soup"
    document = make_soup(ingredients, str(out), method="uniform")
    arrays = [read_checkpoint(Path(path)).arrays("model.safetensors") for path in ingredients]
    found = read_checkpoint(out)
    for name, array in found.arrays("model.safetensors").items():
        np.testing.assert_allclose(array, np.mean([own[name] for own in arrays], axis=0), rtol=1e-5, atol=1e-7)
    assert found.manifest["soup"] == json.loads(json.dumps(document))
    assert [entry["checkpoint"] for entry in document["ingredients"]] == ingredients
    assert "state.safetensors" not in found.manifest["files"]
    assert evaluate_checkpoint(str(out), split="val")["metrics"]["accuracy"] == document["value"]
    make_soup(ingredients[:2], str(out))
    assert len(read_checkpoint(out).manifest["soup"]["ingredients"]) <= 2


def test_the_greedy_soup_takes_from_good_to_bad_what_does_not_make_it_worse(
    ingredients: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Figures 0.5, 0.7, 0.6 put run 1 first; with run 2 the mean is as good (kept), with run 0 worse (left out)."""
    values = {"run0": 0.5, "run1": 0.7, "run2": 0.6, "with number 2": 0.7, "with number 3": 0.69}

    class Figures(soup._Taste):
        def __call__(self, arrays: Any, name: str) -> float:
            return values.get(name if name.startswith("with") else Path(name).parent.parent.name, 0.1)

    monkeypatch.setattr(soup, "_Taste", Figures)
    document = make_soup(ingredients, str(tmp_path / "soup"))
    assert [entry["checkpoint"] for entry in document["ingredients"]] == [ingredients[1], ingredients[2]]
    assert document["left_out"] == [ingredients[0]]
    arrays = [load_checkpoint(path).checkpoint.arrays("model.safetensors") for path in ingredients[1:]]
    for name, array in read_checkpoint(tmp_path / "soup").arrays("model.safetensors").items():
        np.testing.assert_allclose(array, (arrays[0][name] + arrays[1][name]) / 2, rtol=1e-5, atol=1e-7)


def test_what_cannot_be_mixed(ingredients: list[str], write_config: Callable[..., Path], tmp_path: Path) -> None:
    fusion = {"name": "concat", "dim": 16}
    config = write_config("other", trainer=SHORT)
    train(str(config), ["model.fusion=" + json.dumps(fusion)])
    other = str(tmp_path / "output" / "other" / "checkpoints" / "last")
    out = str(tmp_path / "soup")
    with pytest.raises(CheckpointError, match=r"other/checkpoints/last differs from .* in model\.fusion\.name"):
        make_soup([ingredients[0], other], out)
    with pytest.raises(CheckpointError, match="at least two different checkpoints"):
        make_soup([ingredients[0], ingredients[0]], out)
    with pytest.raises(CheckpointError, match="is one of the checkpoints"):
        make_soup(ingredients, ingredients[2])
    with pytest.raises(CheckpointError, match="exists and is not a checkpoint"):
        make_soup(ingredients, str(tmp_path))
    assert not Path(out).exists()
