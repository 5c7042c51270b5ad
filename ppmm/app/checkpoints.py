"""Checkpoints that rebuild themselves: config, vocabulary and labels travel with the weights."""

from __future__ import annotations

import json
import platform
import re
import tempfile
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ppmm import __version__
from ppmm.app.experiment import CLASS_KINDS, Parts, build_model, build_parts, checked, set_device
from ppmm.app.source_commit import source_commit
from ppmm.app.target_checks import learned_targets
from ppmm.app.transforms import replay_transforms, sizes_before
from ppmm.config import ConfigNode, changed_keys, dump, loads
from ppmm.decode.answers import ANSWERED_KINDS
from ppmm.engine.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from ppmm.engine.weights import load_model, load_optimizer, model_arrays, optimizer_arrays
from ppmm.errors import CheckpointError, ConfigError, DataError
from ppmm.registry import ENCODERS
from ppmm.types import Target

__all__ = [
    "Loaded",
    "load_checkpoint",
    "make_saver",
    "restore_objective",
    "restore_training",
    "settings_of",
    "versions",
    "vocabularies",
]

MODEL, STATE, STATE_JSON, CONFIG = "model.safetensors", "state.safetensors", "state.json", "config.yaml"
RAW = "weights|"
"""Before the names of the last weights among the state, where the model's file has an average of weights."""
OBJECTIVE = "objective.safetensors"
"""Where the objective has learned something."""

FREE = re.compile(r"augment|^targets\.[^.]+\.threshold(\.|$)")
"""Keys of fields and targets that a trained model does not depend on."""


@dataclass(frozen=True)
class Loaded:
    """A checkpoint as objects: the trained model and what feeds it."""

    checkpoint: Checkpoint
    config: ConfigNode
    parts: Parts
    model: Any

    def answered(self) -> dict[str, Target]:
        """The targets that the model's ``logits`` answer: those that the objective learns, of a kind that has answers.

        None where the model has no logits.
        """
        targets = self.parts.targets
        names = learned_targets(self.config) if "logits" in self.model.outputs else []
        return {name: targets[name] for name in names if targets[name].kind in ANSWERED_KINDS}


def load_checkpoint(path: str | Path, config: ConfigNode | None = None, plugins: Collection[str] = ()) -> Loaded:
    """Rebuild a trained model from its folder alone.

    Args:
        path: the checkpoint folder.
        config: to be used instead of the saved one; its fields, targets and model must be the same, but for the size of
            pictures where the encoder takes any (``vit``).
        plugins: code that the saved config may import; a checkpoint must not run code that nobody named.

    Raises CheckpointError when the folder is damaged or the model does not fit.
    """
    checkpoint = read_checkpoint(Path(path))
    saved = loads(checkpoint.text(CONFIG), file=str(checkpoint.folder / CONFIG))
    if config is None:
        config = checked(saved, trusted=plugins)
    else:
        changed = [key for key in changed_keys(_data_side(saved), _data_side(config)) if not FREE.search(key)]
        changed = [key for key in changed if key not in _free_sizes(config)]
        if changed:
            raise ConfigError(f"{path} was trained with other {', '.join(changed)} than the YAML says; make them equal")
    set_device(config, or_cpu=True)
    parts = build_parts(config)
    for field in parts.fields.values():
        field.load_assets(checkpoint.folder)
    _load_labels(checkpoint, parts)
    records = checkpoint.manifest.get("transforms", [])
    model = build_model(config, parts, checkpoint.manifest.get("settings"), sizes_before(records, str(path)))
    replay_transforms(model, records, str(path))
    load_model(model, _resized(model, checkpoint.arrays(MODEL)), str(path))
    model.eval()
    return Loaded(checkpoint, config, parts, model)


def _data_side(config: ConfigNode) -> dict[str, Any]:
    """What turns rows into numbers."""
    return {section: config[section] for section in ("fields", "targets")}


def _free_sizes(config: ConfigNode) -> list[str]:
    """Keys of the sizes of pictures whose encoders take any."""
    encoders = config["model"].get("encoders")
    nodes = encoders.items() if isinstance(encoders, ConfigNode) else ()
    free = (name for name, node in nodes if getattr(ENCODERS.get(node["name"]), "any_size", False))
    return [f"fields.{name}.size" for name in free]


def _resized(model: Any, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """``arrays`` with the positions (``table``) that were learned from pictures of another size brought to the model's.

    Equal sizes change nothing, bit for bit.
    """
    fitted = dict(arrays)
    for name, layer in model.named_sublayers():
        table, resized = f"{name}.table", getattr(layer, "resized", None)
        if table in fitted and resized is not None:
            fitted[table] = resized(fitted[table])
    return fitted


def _load_labels(checkpoint: Checkpoint, parts: Parts) -> None:
    for name, target in parts.targets.items():
        if target.kind not in CLASS_KINDS:
            continue
        saved = checkpoint.manifest.get("labels", {}).get(name)
        if not isinstance(saved, list):
            raise CheckpointError(f"{checkpoint.folder}/manifest.json names no labels of '{name}'; it was changed")
        try:
            target.load_labels([str(label) for label in saved])
        except (DataError, ConfigError) as error:
            raise CheckpointError(f"{checkpoint.folder}: target '{name}': {error}") from error


def make_saver(folder: Path, config: ConfigNode, parts: Parts, facts: dict[str, Any]) -> Callable[[str, Any], None]:
    """A function (name, trainer) that writes ``folder/name``.

    Args:
        folder: the run's checkpoints.
        config: resolved.
        parts: their vocabularies and labels go along.
        facts: further entries of the manifest, such as the number of parameters and the ``transforms`` of the model.
    """
    texts = {CONFIG: dump(config), **vocabularies(parts)}
    commit = source_commit()

    def save(name: str, trainer: Any) -> None:
        step = trainer.step
        average = {} if trainer.averaging is None else trainer.averaging.arrays()
        manifest = {
            "versions": versions(),
            **({} if commit is None else {"commit": commit}),
            "step": trainer.state.step,
            "epoch": trainer.state.epoch,
            "metrics": trainer.figures,
            "labels": parts.labels(),
            "dtypes": {MODEL: "float32"},
            "transforms": [],
            **({"averaged": trainer.averaging.taken} if average else {}),
            "settings": settings_of(step.model),
            **facts,
        }
        learned = model_arrays(step.objective)
        weights, state = model_arrays(step.model), optimizer_arrays(step.model, step.optimizer, step.objective)
        state |= getattr(step.optimizer, "gathered", {})
        if average:
            state |= {f"{RAW}{key}": array for key, array in weights.items()}
        position = {**trainer.state_dict(), "precision": step.precision.state_dict()}
        write_checkpoint(
            folder / name,
            {
                MODEL: average or weights,
                STATE: state,
                **({OBJECTIVE: learned} if learned else {}),
            },
            {**texts, STATE_JSON: json.dumps(position, indent=2)},
            manifest,
        )

    return save


def settings_of(model: Any) -> dict[str, Any]:
    """What encoders read from files beside their weights, by field, so that the checkpoint needs no such file."""
    encoders = getattr(model, "encoders", {})
    return {field: encoder.settings for field, encoder in encoders.items() if hasattr(encoder, "settings")}


def restore_training(path: Path, trainer: Any) -> None:
    """Bring weights, their average, optimizer and position of a run back. Raises CheckpointError."""
    checkpoint = read_checkpoint(path)
    step = trainer.step
    state = checkpoint.arrays(STATE)
    raw = {key.removeprefix(RAW): state.pop(key) for key in list(state) if key.startswith(RAW)}
    load_model(step.model, raw or checkpoint.arrays(MODEL), str(path))
    if raw and trainer.averaging is not None:
        trainer.averaging.load(checkpoint.arrays(MODEL), int(checkpoint.manifest["averaged"]), str(path))
    if model_arrays(step.objective):
        load_model(step.objective, checkpoint.arrays(OBJECTIVE), f"{path}/{OBJECTIVE}")
    load_optimizer(step.model, step.optimizer, state, str(path), step.objective)
    position = json.loads(checkpoint.text(STATE_JSON))
    step.precision.load_state_dict(position.pop("precision", {}))
    trainer.load_state_dict(position)
    trainer.figures = checkpoint.manifest["metrics"]


def restore_objective(loaded: Loaded, objective: Any) -> bool:
    """Bring back what ``objective`` has learned, where it learns; False when the checkpoint does not hold it.

    So it is with an objective that the run did not have. Raises CheckpointError when what is there does not fit.
    """
    if not model_arrays(objective):
        return True
    saved = loads(loaded.checkpoint.text(CONFIG), file=str(loaded.checkpoint.folder / CONFIG))
    if OBJECTIVE not in loaded.checkpoint.manifest["files"] or saved["objective"] != loaded.config["objective"]:
        return False
    load_model(objective, loaded.checkpoint.arrays(OBJECTIVE), f"{loaded.checkpoint.folder}/{OBJECTIVE}")
    return True


def versions() -> dict[str, str]:
    """Versions of what wrote a checkpoint or bundle."""
    import paddle

    return {"ppmm": __version__, "paddle": paddle.__version__, "python": platform.python_version()}


def vocabularies(parts: Parts) -> dict[str, str]:
    """What the fields have learned, by file name. Raises ConfigError when two of them write the same file."""
    owners: dict[str, str] = {}
    texts: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, field in parts.fields.items():
            for asset in field.save_assets(Path(folder)):
                if asset in owners:
                    raise ConfigError(
                        f"fields.{owners[asset]} and fields.{name} both write {asset}; "
                        f"give one of them another name, such as tokenizer_file: {name}_{asset}"
                    )
                owners[asset] = name
                texts[asset] = (Path(folder) / asset).read_text(encoding="utf-8")
    return texts
