"""Balance between fields (Peng et al. 2022, "Balanced Multimodal Learning via On-the-fly Gradient Modulation")."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import paddle
from paddle.nn import functional as F

from ppmm.errors import ConfigError
from ppmm.registry import GRADIENT_RULES
from ppmm.types import Batch, Outputs

__all__ = ["OGMGE"]


@GRADIENT_RULES.register("ogm_ge")
class OGMGE:
    """Slows down the encoder of the field that is ahead, so that the others are trained too.

    s_u is the mean probability of the right class where the model has field u alone (equation 8), r_u = s_u / mean of
    s_v over the other fields v (equation 9, for any number of fields), and the gradient of encoder u is multiplied by
    k_u = 1 - tanh(alpha r_u) where r_u > 1, else by 1 (equations 10 and 11). Each weight of an encoder (matrices and
    kernels, not biases and scales) also gets Gaussian noise with the standard deviation of its gradient before that,
    which restores the noise of the slowed-down steps (equation 12; the deviation over the entries stands for that over
    batches, as in the authors' program).

    Args:
        target: the label that is learned, [B] int64; rows that have the field count.
        alpha: strength; the paper takes 0.1 to 1.
        noise: factor on the noise; 0 leaves it out (OGM).

    Returns: ``balance_F`` = k_F for each field F.
    """

    reads_unimodal_logits = True
    target_kinds = ("label",)

    def __init__(self, target: str, alpha: float = 0.3, noise: float = 1.0) -> None:
        if not (0 < alpha < math.inf and 0 <= noise < math.inf):
            raise ValueError(
                f"alpha must be above 0 and noise not below it, both finite; got alpha {alpha} and noise {noise}"
            )
        self.target = target
        self.alpha = alpha
        self.noise = noise

    def __call__(self, model: Any, outputs: Sequence[Outputs], batches: Sequence[Batch]) -> dict[str, float]:
        scores = {field: self._score(field, outputs, batches) for field in model.fields}
        factors = self._factors({field: score for field, score in scores.items() if score is not None})
        for field, encoder in model.encoders.items():
            self._change(encoder.parameters(), factors.get(field, 1.0))
        return {f"balance_{field}": factors.get(field, 1.0) for field in scores}

    def _score(self, field: str, outputs: Sequence[Outputs], batches: Sequence[Batch]) -> float | None:
        """s_u over the rows that have the field; None where there is no such row."""
        total, rows = 0.0, 0.0
        for output, batch in zip(outputs, batches, strict=True):
            if f"{field}_logits" not in output:
                raise ConfigError(
                    f"ogm_ge needs the output '{field}_logits': set unimodal_logits: true of the model late_fusion"
                )
            probabilities = F.softmax(output[f"{field}_logits"].detach().astype("float32"), axis=-1)
            right = paddle.take_along_axis(probabilities, batch[self.target].unsqueeze(-1), axis=-1).squeeze(-1)
            present = batch[f"has_{field}"].astype("float32")
            total += float((right * present).sum())
            rows += float(present.sum())
        return total / rows if rows else None

    def _factors(self, scores: Mapping[str, float]) -> dict[str, float]:
        """k_u of each field that has a score."""
        factors = {}
        for field, score in scores.items():
            others = [other for name, other in scores.items() if name != field]
            mean = sum(others) / len(others) if others else score
            ahead = score > mean
            factors[field] = 1.0 - math.tanh(self.alpha * score / max(mean, 1e-12)) if ahead else 1.0
        return factors

    def _change(self, parameters: Iterable[Any], factor: float) -> None:
        for parameter in parameters:
            gradient = parameter.grad
            if gradient is None:
                continue
            changed = gradient * factor
            if self.noise and gradient.ndim > 1:
                changed = (
                    changed + paddle.randn(gradient.shape, gradient.dtype) * gradient.std(unbiased=False) * self.noise
                )
            gradient.set_value(changed)
