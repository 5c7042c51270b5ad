"""One optimizer step over one or several batches."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import paddle
from paddle import Tensor

from ppmm.engine.batch_statistics import counted
from ppmm.engine.distributed import SINGLE, Processes
from ppmm.engine.finite import lost_gradients
from ppmm.engine.frozen_recurrence import recurrent_layers, through_frozen_recurrence
from ppmm.engine.joined import join, rows_of
from ppmm.engine.precision import Precision
from ppmm.engine.rate import ScheduledRate
from ppmm.engine.sharpness import climbed
from ppmm.engine.weights import trained_parameters
from ppmm.engine.whole_batch import WholeBatch
from ppmm.errors import ConfigError, DataError, PpmmError
from ppmm.types import Batch, GradientRule, Objective, Outputs

__all__ = ["DivergenceError", "TrainStep", "scheduled", "terms_of"]


def scheduled(rate: float, factor: Callable[[int], float]) -> ScheduledRate:
    """A paddle scheduler whose rate at step n is ``rate * factor(n)``, and which a hook can scale."""
    return ScheduledRate(rate, factor)


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


class DivergenceError(PpmmError):
    """The loss or a gradient was not finite; parameters are as before the step.

    Attributes:
        step: the optimizer step, from 0.
        terms: what the objective said.
        rows: rows of the training split that were in the step.
        gradients: names of the parameters whose gradients were not finite.
    """

    def __init__(
        self, step: int, terms: Mapping[str, float], rows: Sequence[int], gradients: Sequence[str] = ()
    ) -> None:
        self.step, self.terms, self.rows, self.gradients = step, dict(terms), list(rows), list(gradients)
        what = "the loss is not finite"
        if np.isfinite(self.terms.get("loss", np.nan)):
            what = f"gradients are not finite ({len(self.gradients)}, first {self.gradients[0]}), though the loss is,"
        parts = ", ".join(f"{name} = {value:g}" for name, value in terms.items())
        shown = ", ".join(str(row) for row in self.rows[:8]) + (" ..." if len(self.rows) > 8 else "")
        super().__init__(
            f"{what} at step {step}: {parts} (training rows {shown}); "
            "lower optimizer.learning_rate, set trainer.clip_norm, or look at these rows"
        )


class TrainStep:
    """Forward, backward and update.

    Args:
        model: a paddle Layer, Batch -> Outputs.
        objective: Outputs and Batch -> terms with ``loss``; its parameters are trained too, where it has some.
        optimizer: built over all of these parameters, clipping included.
        scheduler: the learning rate of the optimizer.
        seed: of the run; dropout at step n draws from (seed, n), so that a resumed run draws the same.
        balance: changes the gradients before each update.
        precision: of forward and backward; float32 when None.
        processes: those that share each step's batches.
        cache: the batches of a step are one for an objective that compares rows (gradient caching).
        sam: radius of sharpness-aware minimisation; None takes the gradient where the weights are.

    Attributes:
        resting: layers that stay in evaluation mode, such as the batch norms of a frozen encoder.
    """

    def __init__(
        self,
        model: Any,
        objective: Objective,
        optimizer: Any,
        scheduler: Any,
        seed: int = 0,
        balance: GradientRule | None = None,
        *,
        precision: Precision | None = None,
        processes: Processes = SINGLE,
        cache: bool = False,
        sam: float | None = None,
    ) -> None:
        self.model = model
        self.objective = objective
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.seed = seed
        self.balance = balance
        self.precision = Precision() if precision is None else precision
        self.precision.prepare(model)
        self.processes = processes
        self.cache = cache
        self.sam = sam
        self.resting: list[Any] = []
        self.recurrent = recurrent_layers(model)
        self._named: list[tuple[str, Any]] | None = None

    def __call__(self, batches: Sequence[Batch], step: int) -> dict[str, float]:
        """Update once with the mean gradient over the rows of ``batches``.

        Returns the mean of each term over the rows, and what ``balance`` tells. Raises DivergenceError.
        """
        self.set_rate(step)
        self._train_mode()
        totals = self.gradients(batches, step)
        self._check_finite(totals, batches, step)
        if self.sam is not None:
            layers = [part for part in (self.model, self.objective) if isinstance(part, paddle.nn.Layer)]
            with climbed(self.parameters(), [tensor for layer in layers for tensor in counted(layer)], self.sam):
                above = self.gradients(batches, step)
            self._check_finite(above, batches, step)
        totals |= self.precision.update(self.optimizer)
        self.optimizer.clear_grad()
        return totals

    def set_rate(self, step: int) -> None:
        """Give the optimizer the learning rate of a step."""
        self.scheduler.last_epoch = step - 1
        self.scheduler.step()

    def gradients(self, batches: Sequence[Batch], step: int) -> dict[str, float]:
        """Fill ``.grad`` of each parameter with the gradient of the mean loss over all rows of all processes."""
        self._draw_from(step)
        every = self.processes.sum_rows(sum(rows_of(batch) for batch in batches))
        if every == 0:
            error = DataError(f"no row of step {step} can be read, in any process")
            error.shared = True
            raise error
        with through_frozen_recurrence(self.recurrent):
            if getattr(self.objective, "whole_batch", False) and (self.cache or self.processes.world > 1):
                totals, seen, batches = self._backward_whole(batches, step, every)
            else:
                totals, seen = self._backward(batches, every)
                totals = self.processes.sum_terms(totals)
        if self.processes.world > 1:
            self.processes.sum_gradients(self.parameters())
        if self.balance is not None:
            totals |= self._balanced(seen, batches, step)
        return totals

    def _train_mode(self) -> None:
        for part in (self.model, self.objective):
            if isinstance(part, paddle.nn.Layer) and not part.training:  # it walks through every layer
                part.train()
        for layer in self.resting:
            if layer.training:
                layer.eval()

    def _check_finite(self, totals: Mapping[str, float], batches: Sequence[Batch], step: int) -> None:
        lost = [] if getattr(self.precision, "scale", None) else lost_gradients(self.named_parameters())
        if lost or not np.isfinite(totals["loss"]):
            self.optimizer.clear_grad()
            rows = self.processes.exchange([row for batch in batches for row in _rows(batch)])
            raise DivergenceError(step, totals, [row for each in rows for row in each], lost)

    def named_parameters(self) -> list[tuple[str, Any]]:
        """What is trained, of the model and of the objective, by structured name; the optimizer was built over it."""
        if self._named is None:  # once: it walks through every layer
            self._named = trained_parameters(self.model, self.objective)
        return self._named

    def parameters(self) -> list[Any]:
        """The same without names."""
        return [parameter for _, parameter in self.named_parameters()]

    def _draw_from(self, step: int, chunk: int = 0, alike: bool = False) -> None:
        """Make what is random from here on a function of the seed, the step, the process and the chunk.

        With ``alike`` it is the same in every process, and another than that of any chunk. Python's and NumPy's
        generators too, for plugins that draw from them.
        """
        more = [1 << 16, chunk] if alike else [self.processes.rank, chunk]
        entropy = [self.seed, step, *(more if any(more) else [])]
        number = int(np.random.SeedSequence(entropy).generate_state(1)[0])
        paddle.seed(number)
        np.random.seed(number)
        random.seed(number)

    def _backward(self, batches: Sequence[Batch], every: int) -> tuple[dict[str, float], list[Outputs]]:
        """Add up each batch's gradient, weighted by its share of the rows; the terms likewise, and the outputs."""
        passes = getattr(self.objective, "passes", 1)
        totals: dict[str, float] = {}
        seen: list[Outputs] = []
        for batch in batches:
            if not batch:  # fewer rows than processes
                seen.append({})
                continue
            share = rows_of(batch) / every
            with self.precision.forward():
                low = [self.model(batch) for _ in range(passes)]
            outputs = [self.precision.full(output) for output in low]
            terms = terms_of(self.objective, outputs[0], batch, *outputs[1:])
            self.precision.backward(terms["loss"] * share)
            for name, value in terms.items():
                totals[name] = totals.get(name, 0.0) + float(value) * share
            if self.balance is not None:
                seen.append(outputs[0])
        return totals, seen

    def _backward_whole(
        self, batches: Sequence[Batch], step: int, every: int
    ) -> tuple[dict[str, float], list[Any], list[Any]]:
        """The same where the objective is over all rows of all processes, and with ``cache`` of all batches."""
        whole = WholeBatch(
            self.model, self.objective, self.precision, self.processes,
            lambda chunk, alike: self._draw_from(step, chunk, alike), terms_of,
        )  # fmt: skip
        totals: dict[str, float] = {}
        seen, joined = [], []
        size = len(batches) if self.cache else 1
        for first in range(0, len(batches), size):
            terms, outputs, batch = whole.backward(batches[first : first + size], first, every)
            for name, value in terms.items():
                totals[name] = totals.get(name, 0.0) + value
            seen.append(outputs)
            joined.append(batch)
        whole.forget_copies()
        return totals, seen, joined

    def _balanced(self, seen: Sequence[Any], batches: Sequence[Any], step: int) -> dict[str, float]:
        """What ``balance`` tells; over several processes it sees the rows of all, and draws alike in each."""
        assert self.balance is not None
        if self.processes.world > 1:
            if not any(hasattr(batch, "forms") for batch in batches):
                pairs = [
                    join([[outputs]], [batch], self.processes) for outputs, batch in zip(seen, batches, strict=True)
                ]
                seen, batches = [outputs[0] for outputs, _ in pairs], [batch for _, batch in pairs]
            self._draw_from(step, alike=True)
        return self.balance(self.model, seen, batches)


def _rows(batch: Batch) -> list[int]:
    rows: list[int] = batch["index"].numpy().tolist() if "index" in batch else []
    return rows
