"""One optimizer step over one or several batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import paddle
from paddle import Tensor

from ppmm.errors import ConfigError, PpmmError
from ppmm.types import Batch, GradientRule, Objective, Outputs

__all__ = ["TrainStep", "scheduled", "terms_of"]


def scheduled(rate: float, factor: Callable[[int], float]) -> paddle.optimizer.lr.LRScheduler:
    """A paddle scheduler whose rate at step n is ``rate * factor(n)``."""
    return paddle.optimizer.lr.LambdaDecay(rate, factor)


def terms_of(objective: Objective, outputs: Outputs, batch: Batch, *again: Outputs) -> dict[str, Tensor]:
    """What the objective says. Raises ConfigError when it reads an output that the model does not give."""
    try:
        return objective(outputs, batch, *again)
    except KeyError as error:
        name = error.args[0] if error.args else None
        if name in outputs or name in batch or not isinstance(name, str):
            raise
        raise ConfigError(
            f"objective: neither the model nor the data gives '{name}'; the model gives {', '.join(outputs)}"
        ) from error


class TrainStep:
    """Forward, backward and update.

    Args:
        model: a paddle Layer, Batch -> Outputs.
        objective: Outputs and Batch -> terms with ``loss``; its parameters are trained too, where it has some.
        optimizer: built over all of these parameters, clipping included.
        scheduler: the learning rate of the optimizer.
        seed: of the run; dropout at step n draws from (seed, n), so that a resumed run draws the same.
        balance: changes the gradients before each update.
    """

    def __init__(
        self,
        model: Any,
        objective: Objective,
        optimizer: Any,
        scheduler: Any,
        seed: int = 0,
        balance: GradientRule | None = None,
    ) -> None:
        self.model = model
        self.objective = objective
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.seed = seed
        self.balance = balance

    def __call__(self, batches: Sequence[Batch], step: int) -> dict[str, float]:
        """Update once with the mean gradient of ``batches``; returns the mean of each term and what ``balance`` tells.

        Raises PpmmError when the loss is not finite; the parameters are then as before the step.
        """
        paddle.seed(int(np.random.SeedSequence([self.seed, step]).generate_state(1)[0]))
        self.scheduler.last_epoch = step - 1
        self.scheduler.step()
        self.model.train()
        if isinstance(self.objective, paddle.nn.Layer):
            self.objective.train()
        passes = getattr(self.objective, "passes", 1)
        totals: dict[str, float] = {}
        seen: list[Outputs] = []
        for batch in batches:
            outputs = [self.model(batch) for _ in range(passes)]
            terms = terms_of(self.objective, outputs[0], batch, *outputs[1:])
            values = {name: float(value) for name, value in terms.items()}
            if not np.isfinite(values["loss"]):
                self.optimizer.clear_grad()
                raise PpmmError(_divergence(step, values, batch))
            (terms["loss"] / len(batches)).backward()
            for name, value in values.items():
                totals[name] = totals.get(name, 0.0) + value / len(batches)
            if self.balance is not None:
                seen.append(outputs[0])
        if self.balance is not None:
            totals |= self.balance(self.model, seen, batches)
        self.optimizer.step()
        self.optimizer.clear_grad()
        return totals


def _divergence(step: int, terms: dict[str, float], batch: Batch) -> str:
    parts = ", ".join(f"{name} = {value:g}" for name, value in terms.items())
    rows = batch["index"].numpy().tolist() if "index" in batch else []
    shown = ", ".join(str(row) for row in rows[:8]) + (" ..." if len(rows) > 8 else "")
    return (
        f"the loss is not finite at step {step}: {parts} (training rows {shown}); "
        "lower optimizer.learning_rate, set trainer.clip_norm, or look at these rows"
    )
