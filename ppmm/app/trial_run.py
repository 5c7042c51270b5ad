"""A trainer that is ready for its first step, as `train` makes it, for the tools that try a few steps and keep none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from ppmm.app.experiment import build_parts, build_rows, set_device
from ppmm.app.initialise import initialise
from ppmm.app.train import make_trainer
from ppmm.config import ConfigNode
from ppmm.engine.divergence import DivergenceRecord
from ppmm.engine.history import History
from ppmm.engine.hooks import Checkpoints
from ppmm.engine.progress import Progress
from ppmm.engine.trainer import Trainer
from ppmm.engine.weights import trained_parameters
from ppmm.errors import ConfigError

__all__ = ["trial_trainer"]

NOT_FOR_TRIALS = (Checkpoints, DivergenceRecord, History, Progress)


@contextmanager
def trial_trainer(config: ConfigNode) -> Iterator[Trainer]:
    """The trainer of a checked config; its folder is a temporary one, so that no run is touched.

    Hooks of the YAML are told that the run starts (one may freeze a part of the model), and at the end that it stops.

    Raises ConfigError when there is nothing to train.
    """
    set_device(config)
    with TemporaryDirectory(prefix="ppmm-trial-") as folder:
        rows = build_rows(config, "train")
        trainer = make_trainer(config, build_parts(config, rows), rows, Path(folder), pretrained=True)
        initialise(trainer.step.model, trainer.loader, config.get("seed", 0))
        trainer.hooks = [hook for hook in trainer.hooks if not isinstance(hook, NOT_FOR_TRIALS)]
        for hook in trainer.hooks:
            hook.on_start(trainer)
        try:
            _see_that_something_learns(config, trainer)
            yield trainer
        finally:
            for hook in trainer.hooks:
                hook.on_stop(trainer, None)


def _see_that_something_learns(config: ConfigNode, trainer: Trainer) -> None:
    named = trained_parameters(trainer.step.model, trainer.step.objective)
    if all(parameter.stop_gradient for _, parameter in named):
        raise ConfigError(
            f"{config.place('model')} model: none of its {len(named)} parameters can be trained: all are frozen; "
            "unfreeze a part of it"
        )
