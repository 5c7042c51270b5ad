"""The average of a model's weights: kept on the device, put in place of the weights to be evaluated and saved."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import paddle
from paddle import Tensor

from ppmm.engine.batch_statistics import recompute_statistics
from ppmm.engine.weights import load_model, model_arrays
from ppmm.types import Average, Batch

__all__ = ["Averaging"]


class Averaging:
    """An average of the parameters and buffers of a model, in the model's own number formats.

    What is not floating-point is not averaged: the last one counts.

    Args:
        rule: which share each step's weights get.
        model: whose weights; what an objective learns is not averaged.
    """

    def __init__(self, rule: Average, model: Any) -> None:
        self.rule = rule
        self.model = model
        self.taken = 0
        self._pairs: dict[str, tuple[Tensor, Tensor]] = {}
        """The average and the model's own tensor of each name."""

    def update(self, step: int, total_steps: int, ended: bool) -> None:
        """Take in the weights after optimizer step ``step`` (from 1); ``ended``: an epoch or the run ends with it."""
        share = self.rule.share(step, total_steps, self.taken, ended)
        if share == 0:
            return
        if not self.taken:
            self._begin()
        else:
            part = paddle.to_tensor(share, dtype="float32")
            for average, own in self._pairs.values():
                if own.is_floating_point():
                    # As one axis, since lerp is ten times slower over four.
                    average.view([-1]).lerp_(own.detach().view([-1]), part.astype(own.dtype))
                else:
                    paddle.assign(own, average)
        self.taken += 1

    @contextmanager
    def applied(self, batches: Iterable[Batch] = (), resting: Collection[Any] = ()) -> Iterator[None]:
        """The model has the average within, where there is one; afterwards its own weights again, bit by bit.

        Args:
            batches: of training, which tell the average its batch statistics; read where the rule wants it.
            resting: layers that keep theirs, such as the batch norms of a frozen encoder.
        """
        if not self.taken:
            yield
            return
        kept = {name: own.detach().clone() for name, (_, own) in self._pairs.items()}
        for average, own in self._pairs.values():
            own.set_value(average)
        try:
            recompute_statistics(self.model, batches, self.rule.norm_batches, resting)
            yield
            for average, own in self._pairs.values():  # statistics may be new: computed anew, or equal in all processes
                average.set_value(own)
        finally:
            for name, (_, own) in self._pairs.items():  # only now: one tensor may have several names
                own.set_value(kept[name])

    def arrays(self) -> dict[str, np.ndarray]:
        """The average by structured name; none before there is one."""
        return {name: average.numpy() for name, (average, _) in self._pairs.items()}

    def load(self, arrays: Mapping[str, np.ndarray], taken: int, source: str) -> None:
        """The inverse of ``arrays``. Raises CheckpointError when they are of another model; its own weights stay."""
        kept = model_arrays(self.model)
        load_model(self.model, arrays, source)
        self._begin()
        self.taken = taken
        load_model(self.model, kept, source)

    def _begin(self) -> None:
        self._pairs = {name: (own.detach().clone(), own) for name, own in self.model.state_dict().items()}
