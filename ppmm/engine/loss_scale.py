"""Loss scaling for float16 gradients (Micikevicius et al. 2018, "Mixed Precision Training", section 3.2)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import paddle
from paddle import Tensor

from ppmm.errors import PpmmError

__all__ = ["LossScale"]

LEAST = 2.0**-10
"""A scale below it means that the gradients themselves are not finite."""


class LossScale:
    """Multiplies the loss so that small gradients do not vanish in float16, and the gradients by its inverse.

    Gradients that are not finite have overflowed: that step is left out and the scale halved. After ``patience`` good
    steps in a row it is doubled. As `paddle.amp.GradScaler`, which does nothing at all on a CPU and could not be
    tested there; an optimizer that clips sees unscaled gradients.

    Args:
        value: the scale to begin with.
        patience: good steps before it is doubled.
    """

    def __init__(self, value: float = 2.0**15, patience: int = 1000) -> None:
        self.value = value
        self.patience = patience
        self.good = 0
        """Good steps since the scale changed or a step was left out."""

    def scaled(self, loss: Tensor) -> Tensor:
        return loss * self.value

    def unscale(self, parameters: Iterable[Any]) -> bool:
        """Divide the gradients by the scale and adapt it; False where they have overflowed: do not step then.

        Raises PpmmError when no scale makes them finite.
        """
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        overflowed = paddle.to_tensor([False])
        if gradients:
            scale = paddle.to_tensor([self.value], dtype="float32")
            paddle._legacy_C_ops.check_finite_and_unscale(gradients, scale, gradients, overflowed)
        if not bool(overflowed):
            self.good += 1
            if self.good == self.patience:
                self.value, self.good = self.value * 2.0, 0
            return True
        self.value, self.good = self.value / 2.0, 0
        if self.value < LEAST:
            raise PpmmError(
                "gradients are not finite at any loss scale though the loss is: lower optimizer.learning_rate, "
                "set trainer.clip_norm, or train with bf16 or fp32"
            )
        return False

    def state_dict(self) -> dict[str, Any]:
        return {"value": self.value, "good": self.good}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        self.value, self.good = float(saved["value"]), int(saved["good"])
