"""Somebody's own manifest: other column and field names, classes found in the data, cells of every kind."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ppmm.app.check import check_config
from ppmm.app.evaluate import evaluate_checkpoint
from ppmm.app.export import export_checkpoint
from ppmm.app.infer import infer_manifest, infer_sample
from ppmm.app.train import train
from ppmm.errors import CheckpointError, ConfigError, DataError
from ppmm.runtime import Predictor

# What a YAML reader might take for a number, a truth value, null or a reference.
CLASSES = ["1e5", "0o17", "on", "~", "${x}", "007"]


@pytest.fixture
def own(digits: Path, write_config: Callable[..., Path], tmp_path: Path) -> Path:
    """A CSV with Chinese file names and odd classes, and a YAML whose field names say nothing of their kind."""
    folder = tmp_path / "own"
    folder.mkdir()
    for split in ("train", "val", "test"):
        rows = [json.loads(line) for line in (digits / f"{split}.jsonl").read_text().splitlines()]
        with (folder / f"{split}.csv").open("w", newline="", encoding="utf-8-sig") as file:
            writer = csv.writer(file)
            writer.writerow(["bild", "ton", "remark", "fault"])
            for number, row in enumerate(rows):
                picture, sound = f"图 片 {split} {number}.png", f"{split}{number}.wav"
                shutil.copy(digits / row["image"], folder / picture)
                shutil.copy(digits / row["audio"], folder / sound)
                remark = "" if number % 5 == 0 else row["question"]
                writer.writerow([picture, "" if number % 7 == 0 else sound, remark, CLASSES[number % len(CLASSES)]])
    config: dict[str, Any] = yaml.safe_load(write_config("own", trainer={"epochs": 1}).read_text())
    columns = {"photo": "bild", "sound": "ton", "remark": "remark", "fault": "fault"}
    config["data"] = {
        split: {"name": "manifest", "path": str(folder / f"{split}.csv"), "columns": columns}
        for split in config["data"]
    }
    fields, encoders = config["fields"], config["model"]["encoders"]
    config["fields"] = {"photo": fields["image"], "sound": fields["audio"], "remark": fields["text"]}
    config["model"]["encoders"] = {"photo": encoders["image"], "sound": encoders["audio"], "remark": encoders["text"]}
    config["targets"] = {"fault": {"name": "label"}}
    config["objective"] = {"name": "cross_entropy", "target": "fault", "class_weights": "balanced"}
    config["metrics"] = [{"name": "accuracy", "target": "fault"}, {"name": "class_report", "target": "fault"}]
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return path


def test_the_whole_way(own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check_config(str(own))
    figures = train(str(own))
    best = str(tmp_path / "output" / "own" / "checkpoints" / "best")
    evaluated = evaluate_checkpoint(best, split="val")
    assert evaluated["metrics"] == figures, "balanced weights come from the training split everywhere"
    out = tmp_path / "answers.jsonl"
    infer_manifest(best, str(own.parent / "own" / "test.csv"), None, str(out))
    export_checkpoint(best, str(tmp_path / "bundle"))
    sample = {"photo": own.parent / "own" / "图 片 test 3.png", "remark": "which digit?"}
    predicted, inferred = Predictor(tmp_path / "bundle").predict([sample])[0], infer_sample(best, sample)
    assert predicted["fault"] == inferred["fault"]
    assert set(predicted["probabilities"]) == set(inferred["probabilities"]) == set(CLASSES)
    assert {json.loads(line)["fault"] for line in out.read_text().splitlines()} <= set(CLASSES)


def test_a_head_of_another_size_is_refused(own: Path) -> None:
    with pytest.raises(ConfigError, match=r"model\.head\.classes: is 30, but 'fault' has 6 classes; leave it out"):
        train(str(own), ["model.head.classes=30"])


def test_class_weights_of_another_number_are_refused(own: Path) -> None:
    with pytest.raises(ConfigError, match=r"objective\.class_weights: 2 weights for the 6 classes of 'fault'"):
        train(str(own), ["objective.class_weights=[1.0, 2.0]"])


def test_a_target_that_nothing_learns_is_refused(own: Path) -> None:
    with pytest.raises(ConfigError, match=r"targets\.other: neither the objective nor a metric uses it; remove it"):
        check_config(str(own), ["targets.other={name: label}"])


def test_a_bad_cell_is_named_while_the_vocabulary_is_learned(own: Path) -> None:
    path = own.parent / "own" / "train.jsonl"
    path.write_text('{"remark": "fine", "fault": "a"}\n{"remark": 5, "fault": "b"}\n')
    with pytest.raises(DataError, match=r"train\.jsonl:2 remark: text must be a string, not int 5"):
        train(str(own), [f"data.train={{name: manifest, path: '{path}'}}"])


def test_other_preprocessing_in_evaluation_is_refused(trained: Any, tmp_path: Path) -> None:
    config = yaml.safe_load(trained.config.read_text())
    config["fields"]["audio"]["n_mels"] = 17
    other = tmp_path / "other.yaml"
    other.write_text(yaml.safe_dump(config, sort_keys=False))
    with pytest.raises(ConfigError, match=r"was trained with other fields\.audio\.n_mels than the YAML says"):
        evaluate_checkpoint(str(trained.best), str(other))


def test_a_mistyped_overwrite_deletes_nothing(own: Path, tmp_path: Path) -> None:
    thesis = tmp_path / "output" / "thesis"
    thesis.mkdir(parents=True)
    (thesis / "a.tex").write_text("years of work")
    with pytest.raises(ConfigError, match="holds files that are not a run"):
        train(str(own), ["name=thesis"], overwrite=True)
    assert (thesis / "a.tex").read_text() == "years of work"
    train(str(own), ["trainer.max_steps=1"])
    run = tmp_path / "output" / "own"
    before = (run / "metrics.json").read_bytes()
    with pytest.raises(DataError, match=r"nope\.csv"):
        train(str(own), ["data.train.path=nope.csv"], overwrite=True)
    assert (run / "metrics.json").read_bytes() == before


def test_two_runs_do_not_share_a_folder(own: Path, tmp_path: Path) -> None:
    (tmp_path / "output").mkdir(exist_ok=True)
    hold = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.lockf(f, fcntl.LOCK_EX); print(flush=True); input()"
    command = [sys.executable, "-c", hold, str(tmp_path / "output" / ".own.lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(CheckpointError, match="another run is writing to"):
            train(str(own))
        assert not (tmp_path / "output" / "own").exists()
        other.communicate("\n")
    assert 0 <= train(str(own), ["trainer.max_steps=1"])["accuracy"] <= 1


def test_a_run_that_stopped_early_has_ended(own: Path, tmp_path: Path) -> None:
    hooks = "hooks=[{name: early_stopping, patience: 1, min_delta: 2.0}]"
    train(str(own), ["trainer.epochs=5", hooks])
    state = tmp_path / "output" / "own" / "checkpoints" / "last" / "state.json"
    assert json.loads(state.read_text())["epoch"] == 2
    train(str(own), ["trainer.epochs=5", hooks], resume=True)
    assert json.loads(state.read_text())["epoch"] == 2
    train(str(own), ["trainer.epochs=5", hooks.replace("patience: 1", "patience: 2")], resume=True)
    assert json.loads(state.read_text())["epoch"] == 3


def test_a_bad_row_in_val_costs_no_epoch(own: Path, tmp_path: Path) -> None:
    val = own.parent / "own" / "val.csv"
    good = val.read_text(encoding="utf-8-sig")
    val.write_text(good.rstrip("\n").rsplit(",", 1)[0] + ",only here\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"val\.csv:33 fault: no class 'only here'"):
        train(str(own))
    val.write_text(good, encoding="utf-8")
    state = tmp_path / "output" / "own" / "checkpoints" / "last" / "state.json"
    assert json.loads(state.read_text())["step"] == 6
    assert 0 <= train(str(own), resume=True)["accuracy"] <= 1
