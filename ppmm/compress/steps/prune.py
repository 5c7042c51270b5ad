"""Structured pruning as a step."""

from __future__ import annotations

from typing import Any, Literal

from ppmm.compress.context import Compressed, Context
from ppmm.compress.gradients import Gradients, gradients_of
from ppmm.compress.prune import Prune
from ppmm.registry import COMPRESSORS

__all__ = ["PruneStep"]

ROWS = 256
"""Of the gradients for the criteria that need them."""


@COMPRESSORS.register("prune")
class PruneStep:
    """`ppmm.compress.prune.Prune`, see there for the arguments."""

    def __init__(
        self,
        ratio: float | None = None,
        criterion: str = "l1",
        ranking: Literal["uniform", "global"] = "uniform",
        ratios: dict[str, float] | None = None,
        skip: list[str] | None = None,
        most: float = 0.9,
        least: int = 1,
        multiple: int = 1,
        normalised: bool = False,
    ) -> None:
        self.arguments = {
            "ratio": ratio, "criterion": criterion, "ranking": ranking, "ratios": ratios, "skip": skip, "most": most,
            "least": least, "multiple": multiple, "normalised": normalised,
        }  # fmt: skip
        self._pruner(0)

    def _pruner(self, seed: int) -> Prune:
        arguments: dict[str, Any] = self.arguments
        return Prune(**arguments, seed=seed)

    def apply(self, model: Any, context: Context) -> Compressed:
        """Prune ``model``."""
        gradients = Gradients({}, {})
        if self.arguments["criterion"] in ("taylor", "hessian"):
            gradients = gradients_of(model, context.objective, context.batches("train", ROWS))
        pruned = self._pruner(context.seed).apply(model, context.sample, *gradients)
        return Compressed([pruned.transform], pruned.report)
