"""Options of the loader through training: unreadable rows left out, samplers, buckets, shards; and resumed exactly."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from ppmm.app.data import shard_split
from ppmm.app.experiment import open_experiment
from ppmm.app.train import train
from ppmm.errors import ConfigError, DataError

LOADER = {
    "batch_size": 16, "sampler": {"name": "class_balanced", "target": "answer", "power": 0.3}, "bucket_by": "audio",
    "bucket_window": 3,
}  # fmt: skip


def spoiled(digits: Path, folder: Path, rows: tuple[int, ...]) -> Path:
    """A copy of the data in which some images of the training split are gone."""
    shutil.copytree(digits, folder)
    lines = (folder / "train.jsonl").read_text().splitlines()
    for row in rows:
        (folder / json.loads(lines[row])["image"]).unlink()
    return folder


def redirected(config: Path, old: Path, new: Path) -> Path:
    config.write_text(config.read_text().replace(str(old), str(new)))
    return config


def weights(run: Path) -> dict[str, np.ndarray]:
    return load_file(run / "checkpoints" / "last" / "model.safetensors")


def test_unreadable_rows_in_quarantine(digits: Path, write_config: Callable[..., Path], tmp_path: Path) -> None:
    folder = spoiled(digits, tmp_path / "spoiled", (3, 40))
    loader = {"batch_size": 16, "on_error": "quarantine", "max_bad_rows": 2, "workers": 1}
    config = redirected(write_config("quarantine", loader=loader), digits, folder)
    train(str(config))
    run = tmp_path / "output" / "quarantine"
    listed = [json.loads(line) for line in (run / "quarantine.jsonl").read_text().splitlines()]
    assert sorted(entry["row"] for entry in listed) == [3, 40]
    assert all(entry["reason"].startswith(f"train.jsonl:{entry['row'] + 1} image: ") for entry in listed)
    epochs = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines() if '"val"' in line]
    assert [entry["skipped_rows"] for entry in epochs] == [2, 2]
    with pytest.raises(DataError, match=r"2 rows cannot be read, more than loader\.max_bad_rows 1"):
        train(str(config), ["loader.max_bad_rows=1"], overwrite=True)


@pytest.mark.parametrize("policy", ["raise", "skip"])
def test_resume_is_exact_with_every_option(
    policy: str, digits: Path, write_config: Callable[..., Path], tmp_path: Path
) -> None:
    folder = spoiled(digits, tmp_path / "data", (5,) if policy == "skip" else ())
    loader = {**LOADER, "on_error": policy}
    trainer = {"epochs": 2, "save_every": 1}
    whole = redirected(
        write_config("whole", loader=loader, trainer=trainer, schedule={"name": "constant"}), digits, folder
    )
    train(str(whole))
    broken = redirected(
        write_config("broken", loader=loader, trainer=trainer, schedule={"name": "constant"}), digits, folder
    )
    for last, more in ((4, []), (9, ["loader.workers=2"]), (None, ["loader.workers=1"])):
        until = [] if last is None else [f"trainer.max_steps={last}"]
        train(str(broken), [*until, *more], resume=last != 4)
    expected, found = weights(tmp_path / "output" / "whole"), weights(tmp_path / "output" / "broken")
    assert all(np.array_equal(expected[name], found[name]) for name in expected)


def test_shards_train_as_their_source(digits: Path, write_config: Callable[..., Path], tmp_path: Path) -> None:
    """The same rows in the same order: the same weights, whether from files or from tars."""
    source = write_config("files", trainer={"epochs": 1})
    train(str(source))
    for split in ("train", "val"):
        shard_split(str(source), tmp_path / split, split=split, samples=40)
    assert len(list((tmp_path / "train").glob("*.tar"))) == 3
    columns = {"image": "png", "audio": "wav", "text": "json:text", "answer": "json:answer"}
    data: dict[str, Any] = {
        split: {"name": "tar_shards", "shards": f"{tmp_path}/{split}/*.tar", "columns": columns}
        for split in ("train", "val")
    }
    train(str(write_config("tars", trainer={"epochs": 1}, data=data)), ["loader.workers=1"])
    expected, found = (weights(tmp_path / "output" / name) for name in ("files", "tars"))
    assert all(np.array_equal(expected[name], found[name]) for name in expected)


@pytest.mark.parametrize(
    ("loader", "message"),
    [
        (
            {"sampler": {"name": "class_balanced", "target": "anser"}},
            r"loader\.sampler\.target: no such target.*'answer'",
        ),
        ({"sampler": {"name": "clas_balanced"}}, "no sampler named 'clas_balanced'; did you mean 'class_balanced'"),
        ({"on_error": "ignore"}, "on_error.*'raise' or 'skip' or 'quarantine'"),
        ({"bucket_window": 0}, "bucket_window: must be at least 1"),
    ],
)
def test_wrong_options(loader: dict[str, Any], message: str, write_config: Callable[..., Path]) -> None:
    with pytest.raises(ConfigError, match=message):
        open_experiment(write_config("wrong", loader=loader))


def test_a_column_that_is_not_there_to_bucket_by(write_config: Callable[..., Path]) -> None:
    with pytest.raises(DataError, match="bucket_by: no row of the training split has a 'audo'"):
        train(str(write_config("bucket", loader={"bucket_by": "audo"})))
