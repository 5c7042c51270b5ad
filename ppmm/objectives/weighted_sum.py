"""Several objectives at once, with fixed weights."""

from __future__ import annotations

import math
from collections.abc import Mapping

from paddle import Tensor, nn

from ppmm.registry import OBJECTIVES
from ppmm.types import Batch, Objective, Outputs

__all__ = ["Several", "WeightedSum"]


class Several(nn.Layer):
    """Objectives by name; what they learn is learned, and what they need is asked for.

    Args:
        terms: the objectives.
    """

    def __init__(self, terms: Mapping[str, Objective]) -> None:
        super().__init__()
        if not terms:
            raise ValueError("terms must name at least one objective")
        self.terms = dict(terms)
        self.learning = nn.LayerDict({name: term for name, term in terms.items() if isinstance(term, nn.Layer)})
        self.passes = max(getattr(term, "passes", 1) for term in terms.values())
        self.whole_batch = any(getattr(term, "whole_batch", False) for term in terms.values())
        self.compares_in_model = any(getattr(term, "compares_in_model", False) for term in terms.values())
        self.least_rows = max(getattr(term, "least_rows", 1) for term in terms.values())
        self.takes_soft_targets = all(getattr(term, "takes_soft_targets", False) for term in terms.values())

    def results(self, outputs: Outputs, batch: Batch, again: Outputs | None) -> tuple[dict[str, Tensor], dict]:
        """(the loss of each term by its name, everything that they tell by ``<term>_<name>``)."""
        losses: dict[str, Tensor] = {}
        told: dict[str, Tensor] = {}
        for name, term in self.terms.items():
            more = () if again is None or getattr(term, "passes", 1) == 1 else (again,)
            found = term(outputs, batch, *more)
            losses[name] = found["loss"]
            told.update({f"{name}_{key}": value for key, value in found.items()})
        return losses, told


@OBJECTIVES.register("weighted_sum")
class WeightedSum(Several):
    """L = sum_k w_k L_k.

    Args:
        terms: the objectives by name.
        weights: w_k of those whose weight is not 1.

    Returns: ``loss``; of each term ``<term>_loss`` (not weighted) and whatever else it tells, ``<term>_<name>``.
    """

    def __init__(self, terms: dict[str, Objective], weights: dict[str, float] | None = None) -> None:
        super().__init__(terms)
        self.weights = dict.fromkeys(terms, 1.0) | (weights or {})
        for name, weight in self.weights.items():
            if name not in terms:
                raise ValueError(f"weights: there is no term '{name}', only {', '.join(terms)}")
            if not 0 <= weight < math.inf:
                raise ValueError(f"weights: that of '{name}' must not be negative, got {weight}")

    def forward(self, outputs: Outputs, batch: Batch, again: Outputs | None = None) -> dict[str, Tensor]:
        losses, told = self.results(outputs, batch, again)
        return {"loss": sum(self.weights[name] * loss for name, loss in losses.items()), **told}
