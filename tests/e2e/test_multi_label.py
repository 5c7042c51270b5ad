"""Several labels per row, the whole way: train, evaluate, infer, export, predict; thresholds and bad labels."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from ppmm.app.checkpoints import load_checkpoint
from ppmm.app.evaluate import evaluate_checkpoint
from ppmm.app.export import export_checkpoint
from ppmm.app.infer import infer_manifest, infer_sample
from ppmm.app.train import train
from ppmm.config import loads
from ppmm.errors import CheckpointError, ConfigError, DataError, ExportError
from ppmm.hashing import seal, unseal
from ppmm.runtime import Predictor

ROOT = Path(__file__).parents[2]
COLOURS = {"red": 2, "green": 1, "blue": 0}
"""Tag -> OpenCV's channel."""
THRESHOLDS = {"loud": 0.7}


def write_rows(folder: Path, split: str, count: int) -> None:
    """Pictures that are lit in the channels of their tags; the tag ``loud`` stands in the remark alone."""
    rng = np.random.default_rng(len(split))
    lines = []
    for number, (*lit, loud) in zip(range(count), list(product((0, 1), repeat=4)) * count, strict=False):
        pixels = rng.integers(0, 40, (8, 8, 3))
        for on, channel in zip(lit, COLOURS.values(), strict=True):
            pixels[:, :, channel] += 200 * on
        name = f"{split}_{number}.png"
        (folder / name).write_bytes(cv2.imencode(".png", pixels.astype(np.uint8))[1].tobytes())
        tags = [tag for tag, on in zip((*COLOURS, "loud"), (*lit, loud), strict=True) if on]
        remark = "it is very loud here" if loud else "it is quiet here"
        lines.append({"image": name, "text": remark, "tags": "|".join(tags) if number % 2 else tags})
    (folder / f"{split}.jsonl").write_text("\n".join(json.dumps(line) for line in lines), encoding="utf-8")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, float]]:
    """(folder, config, figures) of a run on 48 rows."""
    folder = tmp_path_factory.mktemp("several")
    for split, count in (("train", 48), ("val", 16), ("test", 16)):
        write_rows(folder, split, count)
    target: dict[str, Any] = {"name": "multi_label", "allow_empty": True, "threshold": THRESHOLDS}
    config = {
        "name": "tags",
        "output": str(folder / "output"),
        "data": {s: {"name": "manifest", "path": str(folder / f"{s}.jsonl")} for s in ("train", "val", "test")},
        "fields": {
            "image": {"name": "image", "size": [8, 8]},
            "text": {"name": "text", "tokenizer": {"name": "word"}},
        },
        "targets": {"tags": target},
        "model": {
            "name": "late_fusion",
            "encoders": {"image": {"name": "cnn", "channels": [8, 8]}, "text": {"name": "bigru", "dim": 8}},
            "fusion": {"name": "concat", "dim": 16},
            "head": {"name": "linear"},
        },
        "objective": {"name": "bce", "target": "tags", "pos_weight": "balanced"},
        "metrics": [
            {"name": "multi_label_f1", "target": "tags"},
            {"name": "roc_auc", "target": "tags"},
            {"name": "mean_average_precision", "target": "tags"},
        ],
        "optimizer": {"name": "adamw", "learning_rate": 0.03},
        "schedule": {"name": "warmup_cosine"},
        "loader": {"batch_size": 8},
        "trainer": {"epochs": 8, "monitor": "micro_f1"},
    }  # fmt: skip
    path = folder / "tags.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return folder, path, train(str(path))


def best_of(folder: Path) -> str:
    return str(folder / "output" / "tags" / "checkpoints" / "best")


def test_it_learns_and_evaluation_counts_what_is_answered(run: Any, tmp_path: Path) -> None:
    folder, path, figures = run
    assert figures["micro_f1"] > 0.8 and (folder / "output" / "tags" / "report.html").is_file()
    evaluated = evaluate_checkpoint(best_of(folder), split="test")["metrics"]
    out = tmp_path / "answers.jsonl"
    assert infer_manifest(best_of(folder), str(folder / "test.jsonl"), None, str(out)) == 16
    answers = [set(json.loads(line)["tags"]) for line in out.read_text().splitlines()]
    rows = [json.loads(line)["tags"] for line in (folder / "test.jsonl").read_text().splitlines()]
    truth = [set(row.split("|") if isinstance(row, str) else row) - {""} for row in rows]
    right = sum(len(given & true) for given, true in zip(answers, truth, strict=True))
    assert evaluated["micro_f1"] == pytest.approx(2 * right / sum(map(len, [*answers, *truth])))
    assert evaluated["exact_match"] == np.mean([given == true for given, true in zip(answers, truth, strict=True)])
    # another threshold needs no other training; nothing reaches this one
    strict = evaluate_checkpoint(best_of(folder), str(path), ["targets.tags.threshold=0.999999999"], split="test")
    assert strict["metrics"]["micro_f1"] == 0
    with pytest.raises(CheckpointError, match="threshold: no class 'lout'; did you mean 'loud'"):
        evaluate_checkpoint(best_of(folder), str(path), ["targets.tags.threshold={lout: 0.2}"])
    with pytest.raises(ConfigError, match=r"trained with other targets\.tags\.separator"):
        evaluate_checkpoint(best_of(folder), str(path), ["targets.tags.separator=;"])


def test_the_bundle_answers_with_labels_and_thresholds(run: Any, tmp_path: Path) -> None:
    folder, config, _ = run
    bundle = tmp_path / "bundle"
    assert export_checkpoint(best_of(folder), str(bundle), samples=6)["max_abs"] <= 1e-4
    picture = folder / "test_9.png"  # 1001: red and loud
    command = [
        sys.executable,
        "deploy/predict.py",
        str(bundle),
        "--image",
        str(picture),
        "--text",
        "it is very loud here",
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    limits = {"blue": 0.5, "green": 0.5, "loud": 0.7, "red": 0.5}
    assert answer["thresholds"] == limits
    assert answer["tags"] == [label for label, p in answer["probabilities"].items() if p >= limits[label]]
    inferred = infer_sample(best_of(folder), {"image": str(picture), "text": "it is very loud here"})
    assert inferred["tags"] == answer["tags"] and inferred["thresholds"] == limits
    assert inferred["probabilities"] == pytest.approx(answer["probabilities"], abs=1e-4)
    (alone,) = Predictor(bundle).predict([{"image": picture}])
    other, lower = tmp_path / "other", ["targets.tags.threshold={loud: 0.000001}"]
    export_checkpoint(best_of(folder), str(other), str(config), lower, samples=2)
    assert "loud" in Predictor(other).predict([{"image": picture, "text": "it is quiet here"}])[0]["tags"]
    assert set(alone) == {"tags", "probabilities", "thresholds"}

    path = bundle / "bundle.yaml"
    document = loads(unseal(path.read_text(encoding="utf-8")) or "", file=str(path))
    assert list(document["targets"]["tags"]["thresholds"]) == [
        limits[label] for label in document["targets"]["tags"]["labels"]
    ]
    body = (unseal(path.read_text(encoding="utf-8")) or "").replace("0.7", "7.0")
    path.write_text(seal(body), encoding="utf-8")
    with pytest.raises(ExportError, match="thresholds must be a probability for each of the labels"):
        Predictor(bundle)


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ("red|grean", r"bad\.jsonl:2 tags: no class 'grean'; did you mean 'green'"),
        (["red", 1.5], r"bad\.jsonl:2 tags: a label must be text or a whole number, not float 1\.5"),
        (["red", ["blue"]], r"bad\.jsonl:2 tags: a label must be text or a whole number, not list"),
        ({"red": 1}, r"bad\.jsonl:2 tags: .*dict"),
        (True, r"bad\.jsonl:2 tags: a label must be text or a whole number, not bool True"),
        (["red", " "], r"bad\.jsonl:2 tags: a label is empty"),
    ],
)  # fmt: skip
def test_a_bad_label_is_named_with_its_row(run: Any, tags: Any, message: str) -> None:
    folder, path, _ = run
    image = str(folder / "test_3.png")
    rows = [{"image": image, "text": "quiet", "tags": "red"}, {"image": image, "text": "quiet", "tags": tags}]
    bad = folder / "bad.jsonl"
    bad.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    with pytest.raises(DataError, match=message):
        evaluate_checkpoint(best_of(folder), str(path), [f"data.test={{name: manifest, path: '{bad}'}}"])


def test_rows_without_labels_are_refused_unless_allowed(run: Any, tmp_path: Path) -> None:
    _, path, _ = run
    with pytest.raises(DataError, match=r"train\.jsonl:1 tags: no label; set allow_empty: true"):
        train(str(path), [f"output={tmp_path}", "targets.tags.allow_empty=false"])
    with pytest.raises(ConfigError, match="threshold: no class 'lout'; did you mean 'loud'"):
        train(str(path), [f"output={tmp_path}", "targets.tags.threshold={lout: 0.3}"])
    with pytest.raises(ConfigError, match=r"targets\.tags.*threshold: 1\.5 is no probability"):
        train(str(path), [f"output={tmp_path}", "targets.tags.threshold=1.5"])


def test_the_config_of_the_checkpoint_keeps_the_thresholds(run: Any) -> None:
    folder, _, _ = run
    assert load_checkpoint(best_of(folder)).parts.thresholds() == {"tags": [0.5, 0.5, 0.7, 0.5]}
