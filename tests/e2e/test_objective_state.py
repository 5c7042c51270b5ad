"""Runs whose objective learns: resume bit for bit, the loss of a checkpoint, checkpoints without, other targets."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors.numpy import load_file

from ppmm.app.evaluate import evaluate_checkpoint
from ppmm.app.experiment import build_rows, open_experiment
from ppmm.app.export import export_checkpoint
from ppmm.app.infer import infer_sample
from ppmm.app.train import train
from ppmm.engine.checkpoint import read_checkpoint, write_checkpoint
from ppmm.errors import ConfigError
from ppmm.runtime import Predictor


@pytest.fixture
def retrieval(write_config: Callable[..., Path]) -> Callable[..., Path]:
    """A function that writes a config of image-audio-text retrieval whose rows of one answer belong together."""

    def write(name: str, **sections: object) -> Path:
        path = write_config(name)
        config = yaml.safe_load(path.read_text())
        config["fields"].pop("text")
        config["model"] = {"name": "two_tower", "dim": 8, "encoders": config["model"]["encoders"]}
        config["model"]["encoders"].pop("text")
        config["targets"] = {"scene": {"name": "key", "column": "answer"}}
        config["objective"] = {"name": "info_nce", "fields": ["image", "audio"], "positives": ["scene"]}
        config["metrics"] = []
        config["schedule"] = {"name": "constant"}
        config["trainer"] = {"epochs": 2, "monitor": "loss", "mode": "min", "log_every": 1, "clip_norm": 1.0}
        path.write_text(yaml.safe_dump({**config, **sections}, sort_keys=False))
        return path

    return write


def arrays(run: Path, checkpoint: str = "last") -> dict[str, np.ndarray]:
    folder = run / "checkpoints" / checkpoint
    names = ("model", "objective", "state")
    return {
        f"{name}/{key}": array for name in names for key, array in load_file(folder / f"{name}.safetensors").items()
    }


def test_a_learned_temperature_resumes_bit_for_bit(retrieval: Callable[..., Path], tmp_path: Path) -> None:
    figures = train(str(retrieval("whole")))
    whole, broken = tmp_path / "output" / "whole", tmp_path / "output" / "broken"
    config = retrieval("broken")
    train(str(config), ["trainer.max_steps=4"])
    train(str(config), resume=True)
    wanted, found = arrays(whole), arrays(broken)
    assert {"objective/scale.log_scale", "state/objective.scale.log_scale|moment1"} <= wanted.keys() == found.keys()
    assert all(np.array_equal(wanted[name], found[name]) for name in wanted)
    assert wanted["objective/scale.log_scale"][0] != pytest.approx(np.log(1 / 0.07), abs=1e-4), "nothing was learned"
    lines = [json.loads(line) for line in (whole / "history.jsonl").read_text().splitlines()]
    best = next(line["val"] for line in lines if "val" in line and line["val"]["loss"] == figures["loss"])
    assert best["temperature"] == pytest.approx(
        float(np.exp(-arrays(whole, "best")["objective/scale.log_scale"][0])), rel=1e-5
    )
    assert (whole / "report.html").is_file()


def test_the_loss_of_a_checkpoint_is_that_of_its_own_temperature(
    retrieval: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = retrieval("run")
    figures = train(str(config))
    folder = tmp_path / "output" / "run" / "checkpoints" / "best"
    again = evaluate_checkpoint(str(folder), split="val")
    assert again["metrics"] == figures and set(figures) == {"loss", "temperature"}
    old = read_checkpoint(folder)
    texts = {name: old.text(name) for name in old.manifest["files"] if not name.endswith(".safetensors")}
    write_checkpoint(tmp_path / "old", {"model.safetensors": old.arrays("model.safetensors")}, texts, old.manifest)
    assert evaluate_checkpoint(str(tmp_path / "old"), split="val")["metrics"] == {}
    assert "no loss is given: the checkpoint does not hold what this objective learns" in capsys.readouterr().err


def test_matching_trains_exports_and_answers(retrieval: Callable[..., Path], tmp_path: Path) -> None:
    terms = {
        "contrast": {"name": "siglip", "fields": ["image", "audio"], "positives": ["scene"]},
        "match": {"name": "image_text_matching", "fields": ["image", "audio"], "positives": ["scene"]},
    }
    encoders = {"image": {"name": "cnn", "channels": [4]}, "audio": {"name": "audio_cnn", "channels": [4]}}
    config = retrieval(
        "match",
        objective={"name": "weighted_sum", "terms": terms, "weights": {"match": 0.5}},
        model={"name": "two_tower", "dim": 8, "matching": [["image", "audio"]], "encoders": encoders},
    )
    train(str(config))
    best = tmp_path / "output" / "match" / "checkpoints" / "best"
    learned = load_file(best / "objective.safetensors")
    assert {"learning.contrast.scale.log_scale", "learning.contrast.bias"} == set(learned)
    export_checkpoint(str(best), str(tmp_path / "bundle"), samples=5)
    rows = build_rows(open_experiment(config), "val")
    sample = {name: rows[0][name] for name in ("image", "audio")}
    answers = Predictor(tmp_path / "bundle").predict([sample, {"image": sample["image"]}])
    assert 0 < answers[0]["matches"]["image_audio"] < 1 and answers[1]["matches"] == {}
    inferred = infer_sample(str(best), sample)
    assert inferred["matches"] == pytest.approx(answers[0]["matches"], abs=1e-4)
    assert answers[1]["embeddings"].keys() == {"image"}


def test_several_labels_train_evaluate_and_report(write_config: Callable[..., Path], tmp_path: Path) -> None:
    config = yaml.safe_load(write_config("several").read_text())
    config["targets"] = {"answer": {"name": "multi_label", "classes": ["yes", "no", *range(19)]}}
    config["objective"] = {"name": "bce", "target": "answer", "pos_weight": "balanced"}
    config["metrics"] = []
    config["trainer"] = {"epochs": 1, "max_steps": 2, "monitor": "loss", "mode": "min"}
    path = tmp_path / "several.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    assert set(train(str(path))) == {"loss"}
    folder = tmp_path / "output" / "several"
    manifest = read_checkpoint(folder / "checkpoints" / "best").manifest
    assert sum(manifest["class_counts"]["answer"]) == manifest["train_rows"] == 96
    assert (folder / "report.html").is_file()
    best = str(folder / "checkpoints" / "best")
    export_checkpoint(best, str(tmp_path / "bundle"), samples=3)
    (answer,) = Predictor(tmp_path / "bundle").predict([{"text": "which digit do you see?"}])
    assert answer["answer"] == [label for label, value in answer["probabilities"].items() if value >= 0.5]
    inferred = infer_sample(best, {"text": "which digit do you see?"})
    assert inferred["probabilities"] == pytest.approx(answer["probabilities"], abs=1e-4)


def test_numbers_train_evaluate_and_report(write_config: Callable[..., Path], tmp_path: Path) -> None:
    config = yaml.safe_load(write_config("number").read_text())
    for split in config["data"].values():
        split["columns"] = {**split["columns"], "digit": "digit_seen"}
    config["targets"] = {"digit": {"name": "number"}}
    config["objective"] = {"name": "huber", "target": "digit"}
    config["metrics"] = []
    config["trainer"] = {"epochs": 1, "max_steps": 2, "monitor": "loss", "mode": "min"}
    path = tmp_path / "number.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    assert set(train(str(path))) == {"loss"}
    folder = tmp_path / "output" / "number"
    assert load_file(folder / "checkpoints" / "best" / "model.safetensors")["head.layers.1.bias"].shape == (1,)
    assert (folder / "report.html").is_file()
    with pytest.raises(ConfigError, match=r"model\.head\.classes: is 3, but 'digit' is one number; leave it out"):
        train(str(path), ["model.head.classes=3"], overwrite=True)
    best = str(folder / "checkpoints" / "best")
    export_checkpoint(best, str(tmp_path / "bundle"), samples=3)
    (answer,) = Predictor(tmp_path / "bundle").predict([{"text": "which digit do you see?"}])
    assert answer == pytest.approx(infer_sample(best, {"text": "which digit do you see?"}), abs=1e-4)


def test_nested_objectives_with_two_passes_resume_and_show_mistakes(
    write_config: Callable[..., Path], tmp_path: Path
) -> None:
    inner = {"name": "cross_entropy", "target": "answer", "class_weights": "balanced"}
    objective = {
        "name": "uncertainty_weighted",
        "terms": {"answer": {"name": "r_drop", "objective": inner}, "focal": {"name": "focal", "target": "answer"}},
    }
    sections = {
        "objective": objective, "schedule": {"name": "constant"}, "trainer": {"epochs": 1, "clip_norm": 1.0},
    }  # fmt: skip
    train(str(write_config("whole", **sections)))
    config = write_config("broken", **sections)
    train(str(config), ["trainer.max_steps=3"])
    train(str(config), resume=True)
    wanted, found = (arrays(tmp_path / "output" / name) for name in ("whole", "broken"))
    assert all(np.array_equal(wanted[name], found[name]) for name in wanted)
    assert wanted["objective/log_variance"].all() and wanted["objective/log_variance"].shape == (2,)
    lines = (tmp_path / "output" / "whole" / "history.jsonl").read_text().splitlines()
    last = [json.loads(line) for line in lines][-1]
    assert {"answer_loss", "focal_loss", "answer_weight", "focal_weight"} <= last["val"].keys()
    assert "answer_disagreement" in json.loads(lines[0])["train"] and "answer_disagreement" not in last["val"]
    assert 'class="card' in (tmp_path / "output" / "whole" / "report.html").read_text(), "no gallery of mistakes"


def test_an_objective_that_reads_what_the_model_does_not_give(write_config: Callable[..., Path]) -> None:
    config = write_config(
        objective={"name": "info_nce", "fields": ["image", "audio"]}, targets={"answer": {"name": "label"}}
    )
    with pytest.raises(ConfigError, match="neither the model nor the data gives 'image_embed'; the model gives logits"):
        train(str(config), overwrite=True)


def test_a_target_must_be_used_and_be_of_the_right_kind(write_config: Callable[..., Path]) -> None:
    path = write_config()
    for override, message in {
        "targets.answer={name: number}": r"target: 'answer' is of the kind number; cross_entropy needs label",
        "targets.answer={name: multi_label}": "metrics.target: 'answer' is of the kind multi_label",
        "targets={answer: {name: label}, scene: {name: key}}": "neither the objective nor a metric uses it",
        "targets={answer: {name: label}, image: {name: key}}": "targets.image: a field has the same name",
        "objective={name: info_nce, fields: [image, sound], positives: [answer]}": "no field 'sound'",
        "objective={name: info_nce, fields: [image, text], positives: [anser]}": "no such target; did you mean",
    }.items():
        with pytest.raises(ConfigError, match=message):
            open_experiment(path, [override])
