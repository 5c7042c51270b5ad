"""Objectives that compare the rows of a batch with each other, over chunks and processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import paddle

from ppmm.engine.distributed import Processes
from ppmm.engine.joined import Joined, join
from ppmm.engine.precision import Precision
from ppmm.engine.weights import running_statistics
from ppmm.types import Batch, Objective, Outputs

__all__ = ["WholeBatch"]

Terms = dict[str, paddle.Tensor]


class WholeBatch:
    """The gradient of one large batch at the memory of its chunks (Gao et al. 2021, GradCache, section 3.2).

    Each chunk's outputs are computed without a graph, and gathered from all processes; the objective's gradient by
    these outputs is found; then each chunk is computed again, with the same random numbers, and that gradient is drawn
    through it. A single chunk keeps its graph instead. As every process computes the objective over all rows, its own
    parameters have the whole gradient in each: it counts in the first one only. Running statistics see each chunk
    once; batch normalisation itself is over the rows of a chunk.

    Args:
        model: Batch -> Outputs.
        objective: over all rows.
        precision: of forward and backward.
        processes: those that share the rows.
        draw_from: seeds the random numbers of a chunk, or with None those of the objective, equally in all processes.
        terms_of: objective, outputs, batch -> terms.
    """

    def __init__(
        self,
        model: Any,
        objective: Objective,
        precision: Precision,
        processes: Processes,
        draw_from: Callable[[int, bool], None],
        terms_of: Callable[..., Terms],
    ) -> None:
        self.model, self.objective, self.precision, self.processes = model, objective, precision, processes
        self.draw_from, self.terms_of = draw_from, terms_of
        self.passes = getattr(objective, "passes", 1)

    def backward(self, batches: Sequence[Batch], first: int, every: int) -> tuple[dict[str, float], Joined, Joined]:
        """Add the gradient of the objective over all rows of ``batches``, weighted by their share of ``every`` row.

        Args:
            batches: the chunks of this process.
            first: number of the first of them in its step.
            every: rows of the step.

        Returns: the terms with the same weight, the joined outputs and the joined batch.
        """
        keep = len(batches) == 1
        chunks = self._forward_all(batches, first, keep)
        stacks = [[chunk[number] for chunk in chunks] for number in range(self.passes)]
        outputs, batch = join(stacks, batches, self.processes, leaves=True)
        share = sum(map(sum, batch.rows)) / every
        if not share:
            return {}, outputs[0], batch
        self.draw_from(first, True)
        terms = self.terms_of(self.objective, outputs[0], batch, *outputs[1:])
        self.precision.backward(terms["loss"] * share)
        for number, chunk in enumerate(batches):
            if chunk:
                again = chunks[number] if keep else self._forward(chunk, first + number)
                self._pull(again, [each.gradients(number) for each in outputs])
        return {name: float(value) * share for name, value in terms.items()}, outputs[0], batch

    def forget_copies(self) -> None:
        """Drop the gradient of the objective's own parameters in all processes but the first."""
        if self.processes.rank and isinstance(self.objective, paddle.nn.Layer):
            for parameter in self.objective.parameters():
                parameter.clear_gradient(False)

    def _forward_all(self, batches: Sequence[Batch], first: int, keep: bool) -> list[list[Outputs]]:
        """The outputs of each chunk and pass, with their graph only where ``keep`` says so."""
        if keep:
            return [self._forward(batches[0], first)]
        statistics = [(tensor, tensor.clone()) for tensor in running_statistics(self.model)]
        with paddle.no_grad():
            found = [self._forward(batch, first + number) for number, batch in enumerate(batches)]
            for tensor, value in statistics:
                tensor.set_value(value)
        return found

    def _forward(self, batch: Batch, number: int) -> list[Outputs]:
        if not batch:
            return [{} for _ in range(self.passes)]
        self.draw_from(number, False)
        with self.precision.forward():
            low = [self.model(batch) for _ in range(self.passes)]
        return [self.precision.full(output) for output in low]

    def _pull(self, passes: Sequence[Outputs], gradients: Sequence[dict[str, paddle.Tensor]]) -> None:
        """Draw the objective's gradient through the model."""
        pairs = [
            (outputs[name], gradient)
            for outputs, wanted in zip(passes, gradients, strict=True)
            for name, gradient in wanted.items()
            if not outputs[name].stop_gradient
        ]
        if pairs:
            paddle.autograd.backward([output for output, _ in pairs], [gradient for _, gradient in pairs])
