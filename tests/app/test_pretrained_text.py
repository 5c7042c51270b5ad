"""A run with a pretrained text model: its checkpoint and bundle need the model's folder no more."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ppmm.app.checkpoints import load_checkpoint
from ppmm.app.evaluate import evaluate_checkpoint
from ppmm.app.export import export_checkpoint
from ppmm.app.train import train
from ppmm.errors import ConfigError


def test_checkpoint_needs_no_other_folder(write_config: Callable[..., Path], tiny_bert: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bert"
    shutil.copytree(tiny_bert, folder)
    path = write_config("pretrained", trainer={"epochs": 1, "max_steps": 3})
    overrides = [
        "fields.text={name: text, tokenizer: {name: word, max_vocab: 30}}",
        f"model.encoders.text={{name: paddlenlp, path: {folder}, pooling: mean}}",
    ]
    figures = train(str(path), overrides)
    best = tmp_path / "output" / "pretrained" / "checkpoints" / "best"
    trained = load_checkpoint(best)
    folder.rename(tmp_path / "elsewhere")
    again = load_checkpoint(best)
    for (name, value), (_, wanted) in zip(
        again.model.named_parameters(), trained.model.named_parameters(), strict=True
    ):
        assert np.array_equal(value.numpy(), wanted.numpy()), name
    assert evaluate_checkpoint(str(best), split="val")["metrics"] == figures
    export_checkpoint(str(best), str(tmp_path / "bundle"))
    with pytest.raises(ConfigError, match="no folder"):
        train(str(path), [*overrides, "name=other"])
