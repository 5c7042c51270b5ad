"""What happens around the loop: the events, early stopping, checkpoints."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

from ppmm.engine.trainer import Interrupted
from ppmm.errors import DataError
from ppmm.registry import HOOKS

__all__ = ["Checkpoints", "EarlyStopping", "HookBase"]


class HookBase:
    """The four events, all doing nothing; a hook of one's own inherits and overrides what it needs.

    Hooks of the YAML come in its order, then the trainer's own, so that what they add to ``trainer.terms`` or
    ``trainer.figures`` is in the history, and what they ask for is in the checkpoint of that moment. An exception in
    one of the first three events ends the run. A hook with ``state_dict() -> dict`` of JSON values and
    ``load_state_dict(saved)`` is saved in every checkpoint and restored, before ``on_start``, when a run is resumed.

    Of several processes each has its hooks, unless their class states ``first_process_only = True``, as one that writes
    files should.

    A hook may read ``state`` (`TrainState`), ``batches`` (of the last step), ``terms``, ``figures``, ``improved``,
    ``learning_rate``, ``folder``, ``epochs``, ``total_steps``, ``accumulate``, ``monitor``, ``mode``, ``loader``,
    ``waited`` (seconds this session waited for batches), ``step.model``, ``step.objective``, ``step.optimizer``, and
    call ``stop(reason)`` and ``is_better(value, than)`` of the trainer.
    """

    def on_start(self, trainer: Any) -> None:
        """Before the first step, also of a resumed run, which then has its ``state``."""

    def on_step(self, trainer: Any) -> None:
        """After each optimizer step; ``trainer.terms`` has its losses; gradients are cleared already."""

    def on_epoch(self, trainer: Any) -> None:
        """After each epoch's evaluation; ``trainer.figures`` has them, ``trainer.improved`` whether it is best."""

    def on_stop(self, trainer: Any, error: BaseException | None) -> None:
        """At the very end, whatever ended the run: ``error``, or None after the last epoch or ``trainer.stop``.

        Every hook hears of it, also one whose ``on_start`` was not reached. What is raised here is told on stderr when
        the run has an error already, and raised when it has not.
        """


@HOOKS.register("early_stopping")
class EarlyStopping(HookBase):
    """Ends the run when a figure has not improved for ``patience`` epochs.

    The weights of the best epoch are those of the checkpoint ``best``, which is evaluated when the run has ended:
    nothing need be restored.

    Args:
        patience: epochs without improvement that are accepted; at least 1.
        min_delta: improvements no larger than this do not count.
        metric: the figure, such as ``loss``; what the trainer monitors when null.
        mode: whether more or less of it is better; the trainer's when null.
    """

    def __init__(
        self,
        patience: int,
        min_delta: float = 0.0,
        metric: str | None = None,
        mode: Literal["max", "min"] | None = None,
    ) -> None:
        if patience < 1:
            raise ValueError(f"patience must be at least 1, got {patience}")
        if not 0 <= min_delta < math.inf:
            raise ValueError(f"min_delta must be finite and not negative, got {min_delta}")
        if metric is not None and mode is None:
            raise ValueError(f"mode must say whether more ('max') or less ('min') of {metric} is better")
        self.patience, self.min_delta = patience, min_delta
        self.metric, self.mode = metric, mode
        self.best: float | None = None
        self.waited = 0

    def on_epoch(self, trainer: Any) -> None:
        metric = self.metric or trainer.monitor
        value = trainer.figures[metric]
        if trainer.is_better(value, math.nan if self.best is None else self.best, self.min_delta, self.mode):
            self.best, self.waited = value, 0
            return
        self.waited += 1
        if self.waited >= self.patience:
            trainer.stop(f"{metric} has not improved for {self.patience} epochs")

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "waited": self.waited}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        self.best, self.waited = saved["best"], saved["waited"]


class Checkpoints(HookBase):
    """Saves ``last`` at the start, after each epoch, every ``every`` steps and when the run is broken off between two
    steps (Ctrl-C, a row that cannot be read), and ``best`` when the figure improved.

    Args:
        save: writes the checkpoint of that name.
        every: optimizer steps between two saves of ``last`` within an epoch; None saves at its end only.
    """

    def __init__(self, save: Callable[[str, Any], None], every: int | None = None) -> None:
        self.save = save
        self.every = every

    def on_start(self, trainer: Any) -> None:
        if trainer.state.step == 0:
            self.save("last", trainer)

    def on_step(self, trainer: Any) -> None:
        if self.every is not None and trainer.state.step % self.every == 0:
            self.save("last", trainer)

    def on_epoch(self, trainer: Any) -> None:
        if trainer.improved:
            self.save("best", trainer)
        self.save("last", trainer)

    def on_stop(self, trainer: Any, error: BaseException | None) -> None:
        together = trainer.processes.world == 1 or isinstance(error, Interrupted) or getattr(error, "shared", False)
        if isinstance(error, Interrupted | DataError) and trainer.state.step and together:  # all have a part in saving
            self.save("last", trainer)
