"""A vision transformer that is evaluated with pictures of another size than it has learned from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from ppmm.app.checkpoints import load_checkpoint
from ppmm.app.evaluate import evaluate_checkpoint
from ppmm.app.experiment import open_experiment
from ppmm.app.export import export_checkpoint
from ppmm.app.train import train
from ppmm.errors import CheckpointError, ConfigError
from ppmm.runtime import Predictor

VIT = {"name": "vit", "size": [16, 16], "patch": 4, "dim": 8, "depth": 1, "heads": 2}


def sections(encoder: dict[str, object]) -> dict[str, object]:
    return {
        "fields": {"image": {"name": "image", "size": [16, 16], "channels": 1}},
        "model": {
            "name": "late_fusion",
            "encoders": {"image": encoder},
            "fusion": {"name": "concat", "dim": 8},
            "head": {"name": "linear"},
        },
        "trainer": {"epochs": 1, "max_steps": 2},
    }


def test_positions_are_interpolated_at_loading(write_config: Callable[..., Path], tmp_path: Path) -> None:
    path = write_config("sizes", **sections(VIT))
    train(str(path))
    best = tmp_path / "output" / "sizes" / "checkpoints" / "best"
    larger = ["fields.image.size=[24, 32]"]
    own = load_checkpoint(best)
    same = load_checkpoint(best, open_experiment(path))
    for name, tensor in own.model.state_dict().items():
        assert np.array_equal(tensor.numpy(), same.model.state_dict()[name].numpy()), name

    # by the encoder at each answer, or once when the checkpoint is read: the same figures
    each = evaluate_checkpoint(str(best), str(path), larger)
    once = evaluate_checkpoint(str(best), str(path), [*larger, "model.encoders.image.size=[24, 32]"])
    assert once["metrics"] == pytest.approx(each["metrics"], abs=1e-5) and once["rows"] == 32
    read = load_checkpoint(best, open_experiment(path, [*larger, "model.encoders.image.size=[24, 32]"]))
    table = read.model.encoders["image"].positions.table
    assert table.shape == [1, 8, 6, 8]
    bundles = [[], ["model.encoders.image.size=[24, 32]"]]
    answers = []
    for number, more in enumerate(bundles):
        bundle = tmp_path / f"bundle{number}"
        assert export_checkpoint(str(best), str(bundle), str(path), [*larger, *more], samples=3)["max_abs"] <= 1e-4
        pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
        answers.append(Predictor(bundle).outputs([{"image": cv2.imencode(".png", pixels)[1].tobytes()}])["logits"])
    np.testing.assert_allclose(answers[0], answers[1], atol=1e-5)
    with pytest.raises(ConfigError, match=r"was trained with other fields\.image\.channels than the YAML says"):
        evaluate_checkpoint(str(best), str(path), [*larger, "fields.image.channels=3"])
    with pytest.raises(CheckpointError, match="another architecture"):
        evaluate_checkpoint(str(best), str(path), ["model.encoders.image.dim=16"])


def test_other_encoders_keep_their_size(write_config: Callable[..., Path], tmp_path: Path) -> None:
    path = write_config("plain", **sections({"name": "cnn", "channels": [4]}))
    train(str(path))
    best = tmp_path / "output" / "plain" / "checkpoints" / "best"
    with pytest.raises(ConfigError, match=r"was trained with other fields\.image\.size than the YAML says"):
        evaluate_checkpoint(str(best), str(path), ["fields.image.size=[24, 32]"])
