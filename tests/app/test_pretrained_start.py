"""A run that starts from the weights of others: they are read once, and its checkpoint does not need them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from ppmm.app.check import check_config
from ppmm.app.checkpoints import load_checkpoint
from ppmm.app.train import train
from ppmm.errors import ConfigError

BACKBONE = "shufflenet_v2_x0_25"


def sections(weights: Path) -> dict[str, object]:
    """The small config with the image alone, a learning rate of nearly nothing and one step."""
    return {
        "fields": {"image": {"name": "image", "size": [32, 32], "channels": 3}},
        "model": {
            "name": "late_fusion",
            "encoders": {"image": {"name": "paddle_vision", "backbone": BACKBONE, "weights": str(weights)}},
            "fusion": {"name": "concat", "dim": 8},
            "head": {"name": "linear"},
        },
        "optimizer": {"name": "adamw", "learning_rate": 1e-9, "weight_decay": 0.0},
        "loader": {"batch_size": 16},
        "trainer": {"epochs": 1, "max_steps": 1},
    }


def test_weights_are_read_once_and_travel_in_the_checkpoint(write_config: Callable[..., Path], tmp_path: Path) -> None:
    from paddle.vision import models

    weights = tmp_path / "weights.safetensors"
    arrays = {name: tensor.numpy() for name, tensor in models.shufflenet_v2_x0_25().state_dict().items()}
    save_file(arrays, weights)
    config = write_config("pretrained", **sections(weights))
    check_config(str(config))
    train(str(config))
    weights.unlink()
    state = load_checkpoint(tmp_path / "output" / "pretrained" / "checkpoints" / "last").model.state_dict()
    compared = 0
    for name, tensor in state.items():
        own = name.partition("backbone.")[2]
        if own and not own.endswith(("_mean", "_variance")):
            np.testing.assert_allclose(tensor.numpy(), arrays[own], atol=1e-6)
            compared += 1
    assert compared > 100


def test_missing_weights_end_check_and_train_before_a_run_begins(
    write_config: Callable[..., Path], tmp_path: Path
) -> None:
    config = write_config("pretrained", **sections(tmp_path / "none.safetensors"))
    for command in (check_config, train):
        with pytest.raises(ConfigError, match=r"no file .*none\.safetensors.*get https://.*x0_25\.pdparams"):
            command(str(config))
    assert not (tmp_path / "output" / "pretrained" / "checkpoints").exists()
