"""The trained model with which a training begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ppmm.app.checkpoints import load_checkpoint
from ppmm.app.experiment import Parts
from ppmm.config import ConfigNode

__all__ = ["Start", "start_from"]


@dataclass(frozen=True)
class Start:
    """A model and what it was trained with.

    Args:
        model: in the form that it has now.
        parts: its fields and targets, with vocabulary and labels.
        transforms: what gave a newly built model this form, for the manifests of checkpoints.
    """

    model: Any
    parts: Parts
    transforms: Sequence[dict[str, Any]] = field(default_factory=list)


def start_from(checkpoint: str, config: ConfigNode) -> Start:
    """The model of a checkpoint, to be trained as ``config`` says; its fields, targets and model must be the same.

    Raises CheckpointError or ConfigError where it does not fit.
    """
    loaded = load_checkpoint(checkpoint, config, config.get("plugins", []))
    return Start(loaded.model, loaded.parts, loaded.checkpoint.manifest["transforms"])
