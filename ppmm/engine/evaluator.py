"""A model over a data set: loss, metrics, tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import paddle

from ppmm.engine.distributed import SINGLE, Processes
from ppmm.engine.joined import join
from ppmm.engine.step import terms_of
from ppmm.types import Batch, Metric, Objective, Outputs

__all__ = ["Evaluation", "evaluate"]


class Evaluation(NamedTuple):
    """``figures``: one number per name; ``details``: tables by name; ``rows``: how many were seen."""

    figures: dict[str, float]
    details: dict[str, Any]
    rows: int


def evaluate(
    model: Any,
    batches: Iterable[Batch],
    metrics: Sequence[Metric],
    objective: Objective | None = None,
    on_batch: Callable[[Batch, Outputs], None] | None = None,
    processes: Processes = SINGLE,
) -> Evaluation:
    """Run ``model`` in evaluation mode over ``batches``.

    Args:
        objective: its terms are averaged over the rows and reported beside the metrics; None leaves them out.
        on_batch: called after each batch (progress, galleries); may raise to stop.
        processes: each has its part of every batch, and all get the figures of the whole.
    """
    for metric in metrics:
        metric.reset()
    model.eval()
    if isinstance(objective, paddle.nn.Layer):
        objective.eval()
    totals: dict[str, float] = {}
    rows = 0
    with paddle.no_grad():
        for own in processes.agreed(batches):
            batch: Any = own
            outputs: Any = model(own) if own else {}
            if processes.world > 1:
                (outputs,), batch = join([[outputs]], [own], processes)
                if not any(map(sum, batch.rows)):
                    continue
            size = len(batch["index"])
            for name, value in ({} if objective is None else terms_of(objective, outputs, batch)).items():
                totals[name] = totals.get(name, 0.0) + float(value) * size
            rows += size
            for metric in metrics:
                metric.update(outputs, batch)
            if on_batch is not None:
                on_batch(batch, outputs)
    figures = {name: total / rows for name, total in totals.items()} if rows else {}
    details: dict[str, Any] = {}
    for metric in metrics:
        figures.update(metric.compute())
        details.update(metric.details())
    return Evaluation(figures, details, rows)
