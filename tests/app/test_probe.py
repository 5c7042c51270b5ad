"""Classifiers on frozen embeddings, against cases worked by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from ppmm.app.probe import knn_accuracy, linear_accuracy, probe, zero_shot_accuracy
from ppmm.errors import ConfigError

RIGHT, UP = np.array([1.0, 0.0]), np.array([0.0, 1.0])


def test_zero_shot_takes_the_class_of_the_nearest_direction() -> None:
    test = np.array([[5.0, 1.0], [0.1, 0.2], [3.0, 2.9]])
    truth = np.array(["right", "up", "up"])
    assert zero_shot_accuracy(test, truth, ["right", "up"], np.stack([RIGHT, UP * 9])) == pytest.approx(2 / 3)


def test_neighbours_vote_by_angle_not_by_length() -> None:
    train = np.stack([RIGHT * 100, RIGHT, UP * 0.01])
    labels = np.array(["r", "r", "u"])
    assert knn_accuracy(train, labels, np.stack([UP * 50]), np.array(["u"]), neighbours=1) == 1.0
    # With all three: exp(0/0.07) twice for "r" against exp(1/0.07) for "u".
    assert knn_accuracy(train, labels, np.stack([UP]), np.array(["u"]), neighbours=3) == 1.0


def test_a_linear_probe_learns_what_a_line_can_part() -> None:
    rng = np.random.default_rng(0)
    angle = rng.uniform(0, 2 * np.pi, 300)
    rows = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    labels = np.where(rows[:, 0] + rows[:, 1] > 0, "a", "b")
    assert linear_accuracy(rows[:200], labels[:200], rows[200:], labels[200:]) > 0.95
    shuffled = rng.permutation(labels)
    assert linear_accuracy(rows[:200], shuffled[:200], rows[200:], shuffled[200:]) < 0.7


def write(tmp_path: Path, trained: Any, **more: Any) -> str:
    columns = {"image": "image", "audio": "audio", "text": "question", "answer": "answer"}
    table = {"name": "manifest", "path": str(trained.data / "train.jsonl"), "columns": columns}
    document = {"field": "image", "target": "answer", "test": {**table, "limit": 24}, **more}
    path = tmp_path / "probe.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return str(path)


def test_probes_the_encoder_of_a_checkpoint(trained: Any, tmp_path: Path) -> None:
    columns = {"image": "image", "answer": "answer"}
    train = {"name": "manifest", "path": str(trained.data / "train.jsonl"), "columns": columns}
    out = tmp_path / "probe.json"
    found = probe(str(trained.best), write(tmp_path, trained, train=train, neighbours=1), out=str(out))
    assert found["knn"] == 1.0, "each test row is a training row: it is its own nearest neighbour"
    assert found["rows"] == 24 and 0 < found["majority"] < 1 and "zero_shot" not in found
    assert json.loads(out.read_text()) == found


def test_bad_probes_are_explained(trained: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="give 'prompts'"):
        probe(str(trained.best), write(tmp_path, trained))
    with pytest.raises(ConfigError, match="knn needs the key 'train'"):
        probe(str(trained.best), write(tmp_path, trained), methods=["knn"])
    with pytest.raises(ConfigError, match="did you mean 'image'"):
        probe(str(trained.best), write(tmp_path, trained, field="imag", prompts={"field": "text", "templates": ["{}"]}))
    with pytest.raises(ConfigError, match="one space for all fields"):
        probe(str(trained.best), write(tmp_path, trained, prompts={"field": "text", "templates": ["{}"]}))


def test_bad_numbers_and_prompts_of_a_probe(trained: Any, tmp_path: Path) -> None:
    columns = {"image": "image", "answer": "answer"}
    train = {"name": "manifest", "path": str(trained.data / "train.jsonl"), "columns": columns}
    with pytest.raises(ConfigError, match="neighbours: must be at least 1, got 0"):
        probe(str(trained.best), write(tmp_path, trained, train=train, neighbours=0))
    with pytest.raises(ConfigError, match=r"prompts\.field: 'image' is no text field"):
        probe(str(trained.best), write(tmp_path, trained, prompts={"field": "image", "templates": ["{}"]}))


def test_rows_that_lack_the_field_are_left_out(trained: Any, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in (trained.data / "train.jsonl").open(encoding="utf-8")][:12]
    for row in rows[::3]:
        del row["image"]
    table = tmp_path / "part.jsonl"
    table.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    part: dict[str, Any] = {"name": "manifest", "path": str(table), "columns": {"image": "image", "answer": "answer"}}
    part["root"] = str(trained.data)
    found = probe(str(trained.best), write(tmp_path, trained, test=part, train=part, neighbours=1))
    assert found["rows"] == 8 and found["knn"] == 1.0
