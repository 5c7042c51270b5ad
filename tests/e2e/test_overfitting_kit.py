"""Everything of docs/training.md against overfitting, from one YAML."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from ppmm.app.train import train
from ppmm.engine.checkpoint import read_checkpoint


def test_the_whole_kit_works_together(write_config: Callable[..., Path], tmp_path: Path) -> None:
    """Label smoothing within R-Drop, mixup or CutMix, stochastic depth, dropout, an average, SAM, early stopping."""
    path = write_config(
        "kit",
        objective={
            "name": "r_drop",
            "alpha": 0.5,
            "objective": {"name": "cross_entropy", "target": "answer", "label_smoothing": 0.1},
        },
        loader={"batch_size": 32, "mix": [{"name": "mixup"}, {"name": "cutmix"}], "modality_dropout": 0.1},
        trainer={"epochs": 5, "average": {"name": "ema", "decay": 0.9}, "sam": 0.05},
        hooks=[{"name": "early_stopping", "patience": 1, "min_delta": 9.0, "metric": "loss", "mode": "min"}],
    )
    config = yaml.safe_load(path.read_text())
    config["model"]["encoders"]["image"] = {"name": "vit", "size": [16, 16], "patch": 8, "dim": 8, "depth": 2,
                                            "heads": 2, "drop_path": 0.2, "dropout": 0.1}  # fmt: skip
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    figures = train(str(path))
    run = tmp_path / "output" / "kit"
    lines = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    epochs = [line for line in lines if "val" in line]
    assert [line["epoch"] for line in epochs] == [1, 2], "the second epoch is not better by 9"
    best = max(line["val"]["accuracy"] for line in epochs)
    assert figures["accuracy"] == pytest.approx(best), "the best weights are those that are evaluated"
    assert read_checkpoint(run / "checkpoints" / "best").manifest["metrics"]["accuracy"] == pytest.approx(best)
    assert json.loads((run / "checkpoints" / "last" / "state.json").read_text())["stopped"] == (
        "loss has not improved for 1 epochs"
    )
