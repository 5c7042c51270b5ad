"""Mean squared error: regression."""

from __future__ import annotations

from paddle import Tensor

from ppmm.errors import ConfigError
from ppmm.registry import OBJECTIVES
from ppmm.types import Batch, Outputs

__all__ = ["MeanSquaredError", "regression_errors"]


@OBJECTIVES.register("mse")
class MeanSquaredError:
    """L = mean_i (z_i - y_i)**2.

    Args:
        target: batch key of the numbers, [B] float32.
        logits: output key, [B,1] or [B].

    Returns: ``loss``, a scalar.
    """

    target_kinds = ("number",)

    def __init__(self, target: str, logits: str = "logits") -> None:
        self.target, self.logits = target, logits

    def __call__(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        errors = regression_errors(outputs[self.logits], batch[self.target])
        return {"loss": (errors * errors).mean()}


def regression_errors(answers: Tensor, numbers: Tensor) -> Tensor:
    """``answers`` [B,1] or [B] minus ``numbers`` [B], float32 [B]. Raises ConfigError for other shapes."""
    if list(answers.shape) not in ([len(numbers), 1], [len(numbers)]):
        raise ConfigError(f"a regression needs one output per row; there are {answers.shape} for {len(numbers)} rows")
    return answers.astype("float32").reshape([-1]) - numbers
