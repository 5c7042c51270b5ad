"""Checkpoints that rebuild themselves: config, vocabulary and labels travel with the weights."""

from __future__ import annotations

import json
import platform
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ppmm import __version__
from ppmm.app.experiment import Parts, build_model, build_parts, checked, set_device
from ppmm.config import ConfigNode, dump, loads
from ppmm.engine.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from ppmm.engine.weights import load_model, load_optimizer, model_arrays, optimizer_arrays
from ppmm.errors import CheckpointError

__all__ = ["Loaded", "load_checkpoint", "make_saver", "restore_training", "versions"]

MODEL, STATE, STATE_JSON, CONFIG = "model.safetensors", "state.safetensors", "state.json", "config.yaml"


@dataclass(frozen=True)
class Loaded:
    """A checkpoint as objects: the trained model and what feeds it."""

    checkpoint: Checkpoint
    config: ConfigNode
    parts: Parts
    model: Any


def load_checkpoint(path: str | Path, config: ConfigNode | None = None) -> Loaded:
    """Rebuild a trained model from its folder alone.

    Args:
        path: the checkpoint folder.
        config: to be used instead of the saved one; its model must be of the same architecture.

    Raises CheckpointError when the folder is damaged or the model does not fit.
    """
    checkpoint = read_checkpoint(Path(path))
    if config is None:
        config = checked(loads(checkpoint.text(CONFIG), file=str(checkpoint.folder / CONFIG)))
    set_device(config)
    parts = build_parts(config)
    for field in parts.fields.values():
        field.load_assets(checkpoint.folder)
    for name, target in parts.targets.items():
        saved = checkpoint.manifest["labels"].get(name)
        if target.labels is None and saved is not None:
            target.fit(saved)
        if saved is not None and target.labels != saved:
            raise CheckpointError(f"{path} was trained with other classes of '{name}' than the config names")
    model = build_model(config, parts)
    load_model(model, checkpoint.arrays(MODEL), str(path))
    model.eval()
    return Loaded(checkpoint, config, parts, model)


def make_saver(folder: Path, config: ConfigNode, parts: Parts, facts: dict[str, Any]) -> Callable[[str, Any], None]:
    """A function (name, trainer) that writes ``folder/name``.

    Args:
        folder: the run's checkpoints.
        config: resolved.
        parts: their vocabularies and labels go along.
        facts: further entries of the manifest, such as the number of parameters.
    """
    texts = {CONFIG: dump(config), **_assets(parts)}

    def save(name: str, trainer: Any) -> None:
        step = trainer.step
        manifest = {
            "versions": versions(),
            "step": trainer.state.step,
            "epoch": trainer.state.epoch,
            "metrics": trainer.figures,
            "labels": parts.labels(),
            "dtypes": {MODEL: "float32"},
            "transforms": [],
            **facts,
        }
        write_checkpoint(
            folder / name,
            {MODEL: model_arrays(step.model), STATE: optimizer_arrays(step.model, step.optimizer)},
            {**texts, STATE_JSON: json.dumps(trainer.state_dict(), indent=2)},
            manifest,
        )

    return save


def restore_training(path: Path, trainer: Any) -> None:
    """Bring weights, optimizer and position of a run back. Raises CheckpointError."""
    checkpoint = read_checkpoint(path)
    load_model(trainer.step.model, checkpoint.arrays(MODEL), str(path))
    load_optimizer(trainer.step.model, trainer.step.optimizer, checkpoint.arrays(STATE), str(path))
    trainer.load_state_dict(json.loads(checkpoint.text(STATE_JSON)))
    trainer.figures = checkpoint.manifest["metrics"]


def versions() -> dict[str, str]:
    """Versions of what wrote a checkpoint or bundle."""
    import paddle

    return {"ppmm": __version__, "paddle": paddle.__version__, "python": platform.python_version()}


def _assets(parts: Parts) -> dict[str, str]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return {
            asset: (folder / asset).read_text(encoding="utf-8")
            for field in parts.fields.values()
            for asset in field.save_assets(folder)
        }
