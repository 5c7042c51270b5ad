"""Numbers with gaps, from the cells of a table to the answers of a bundle."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import yaml

from ppmm.app.export import export_checkpoint
from ppmm.app.infer import infer_sample
from ppmm.app.train import train
from ppmm.errors import DataError
from ppmm.runtime import Predictor

SAMPLES = ["0.5,,2", ",,", "nan 1 2", [0.5, None, 2.0], [0.5, float("nan"), 2.0], [1, 2, 3]]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A YAML over a CSV in which a third of the numbers is not there; missing numbers are what tells the classes."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 96), ("val", 48)):
        with (tmp_path / f"{split}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["sensor", "state"])
            for number in range(count):
                cells = [f"{value:.3f}" for value in rng.normal(size=3)]
                cells[0 if number % 2 else 2] = ""
                writer.writerow([",".join(cells), "broken" if number % 2 else "fine"])
    splits = {name: {"name": "manifest", "path": str(tmp_path / f"{name}.csv")} for name in ("train", "val")}
    config = {
        "name": "sensor", "output": str(tmp_path / "output"), "data": splits,
        "fields": {"sensor": {"name": "numeric", "size": 3, "missing": True}},
        "targets": {"state": {"name": "label"}},
        "model": {
            "name": "late_fusion", "encoders": {"sensor": {"name": "mlp", "dim": 8}},
            "fusion": {"name": "concat", "dim": 8}, "head": {"name": "linear"},
        },
        "objective": {"name": "cross_entropy", "target": "state"}, "metrics": [{"name": "accuracy", "target": "state"}],
        "loader": {"batch_size": 16}, "optimizer": {"name": "adamw", "learning_rate": 0.02},
        "schedule": {"name": "constant"}, "trainer": {"epochs": 6, "monitor": "accuracy", "mode": "max"},
    }  # fmt: skip
    path = tmp_path / "sensor.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


@pytest.mark.parametrize("encoder", ["{name: mlp, dim: 8}", "{name: rbf, centres: 24}"])
def test_training_and_serving_see_the_same(table: Path, tmp_path: Path, encoder: str) -> None:
    figures = train(str(table), [f"model.encoders.sensor={encoder}"])
    assert figures["accuracy"] > 0.9, "what is missing tells the class"
    best = str(tmp_path / "output" / "sensor" / "checkpoints" / "best")
    export_checkpoint(best, str(tmp_path / "bundle"))
    predictor = Predictor(tmp_path / "bundle")
    for value in SAMPLES:
        served, trained = predictor.predict([{"sensor": value}])[0], infer_sample(best, {"sensor": value})
        for label, probability in trained["probabilities"].items():
            assert served["probabilities"][label] == pytest.approx(probability, abs=1e-5)
    assert predictor.predict([{"sensor": ",1,1"}])[0]["state"] == "broken"
    assert predictor.predict([{"sensor": "1,1,"}])[0]["state"] == "fine"
    with pytest.raises(DataError, match="no infinity"):
        predictor.predict([{"sensor": [1, 2, float("inf")]}])
