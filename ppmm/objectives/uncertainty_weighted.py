"""Several objectives at once, with weights that are learned."""

from __future__ import annotations

import paddle
from paddle import Tensor, nn

from ppmm.objectives.weighted_sum import Several
from ppmm.registry import OBJECTIVES
from ppmm.types import Batch, Objective, Outputs

__all__ = ["UncertaintyWeighted"]


@OBJECTIVES.register("uncertainty_weighted")
class UncertaintyWeighted(Several):
    """L = sum_k f_k exp(-v_k) L_k + v_k / 2, with v_k = log sigma_k**2 learned, 0 at the start.

    sigma_k is the noise of task k: with f_k = 1 for cross entropies and 1/2 for squared errors this is equation 10 of
    Kendall et al. 2018 (Multi-task learning using uncertainty to weigh losses). A loss that is large for long gets a
    small weight, exp(-v_k) = 1 / (2 f_k L_k) where v_k is at rest. Losses must not be negative: those of ppmm are not.

    Args:
        terms: the objectives by name.
        factors: f_k of those whose factor is not 1.

    Returns: ``loss``; of each term ``<term>_loss`` (not weighted), ``<term>_weight`` (f_k exp(-v_k)) and whatever else
    it tells, ``<term>_<name>``.
    """

    def __init__(self, terms: dict[str, Objective], factors: dict[str, float] | None = None) -> None:
        super().__init__(terms)
        self.factors = dict.fromkeys(terms, 1.0) | (factors or {})
        for name, factor in self.factors.items():
            if name not in terms:
                raise ValueError(f"factors: there is no term '{name}', only {', '.join(terms)}")
            if not 0 < factor <= 1e6:
                raise ValueError(f"factors: that of '{name}' must be above 0, got {factor}")
        zero = nn.initializer.Constant(0.0)
        self.log_variance = self.create_parameter([len(terms)], default_initializer=zero)

    def forward(self, outputs: Outputs, batch: Batch, again: Outputs | None = None) -> dict[str, Tensor]:
        losses, told = self.results(outputs, batch, again)
        weights = {
            name: self.factors[name] * paddle.exp(-self.log_variance[number]) for number, name in enumerate(losses)
        }
        loss = sum(weights[name] * loss for name, loss in losses.items()) + self.log_variance.sum() / 2
        return {"loss": loss, **told, **{f"{name}_weight": weight.detach() for name, weight in weights.items()}}
