"""Another number format for deployment: bfloat16, float16 or INT8 without training."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import paddle

from ppmm.compress.context import Compressed, Context
from ppmm.compress.post_training import ALGORITHMS
from ppmm.errors import CompressError, ConfigError
from ppmm.models.layers.fake_quantised import fake_quantised_layers
from ppmm.models.transforms.precision import Precision
from ppmm.registry import COMPRESSORS, did_you_mean

__all__ = ["Convert"]

LARGEST = 65504.0
"""Of float16."""
WORDS = {
    "bf16": "weights are rounded to bfloat16 here; deploy/export.py writes a graph that computes in it",
    "fp16": "weights are rounded to float16 here; a CPU has no float16, so the bundle is float32 with these weights, "
    "which a GPU may run in half precision",
    "int8": "weights stay as they are here and the figures are those of float32; deploy/export.py calibrates, writes "
    "the INT8 graph and holds its figures against these",
}


@COMPRESSORS.register("convert")
class Convert:
    """Makes a precision what the checkpoint is exported as.

    Args:
        precision: ``bf16``, ``fp16`` or ``int8``.
        algorithm: of the ranges of INT8, found on real rows: abs_max, avg, hist, KL or mse; ``export.algorithm`` of the
            config when null.
        calibrate: rows for them; ``export.calibration`` when null.
        keep: layers that stay in float32 in INT8, by the name of their weight.
        keep_worst: how many more stay so: those that, quantised alone, change the answers most.
        bias_correction: correct mean and variance of INT8 weights (Banner et al. 2019, section 4.2).

    Raises ConfigError for values that make no sense, CompressError for weights that float16 cannot hold.
    """

    def __init__(
        self,
        precision: Literal["bf16", "fp16", "int8"],
        algorithm: str | None = None,
        calibrate: int | None = None,
        keep: list[str] | None = None,
        keep_worst: int = 0,
        bias_correction: bool = False,
    ) -> None:
        if precision not in WORDS:
            raise ConfigError(
                f"precision must be one of {', '.join(WORDS)}, got '{precision}'{did_you_mean(precision, WORDS)}"
            )
        if algorithm is not None and algorithm not in ALGORITHMS:
            raise ConfigError(f"algorithm must be one of {', '.join(ALGORITHMS)}, got '{algorithm}'")
        if calibrate is not None and calibrate < 1:
            raise ConfigError(f"calibrate must be at least 1 row, got {calibrate}")
        if keep_worst < 0:
            raise ConfigError(f"keep_worst must be at least 0, got {keep_worst}")
        if precision != "int8" and (algorithm or calibrate or keep or keep_worst or bias_correction):
            raise ConfigError(
                f"algorithm, calibrate, keep, keep_worst and bias_correction are of int8, not of {precision}"
            )
        self.precision = precision
        self.arguments: dict[str, Any] = {"precision": precision}
        if precision == "int8":
            self.arguments |= {
                "algorithm": algorithm, "calibrate": calibrate, "keep": list(keep or []), "keep_worst": keep_worst,
                "bias_correction": bias_correction,
            }  # fmt: skip

    def apply(self, model: Any, context: Context) -> Compressed:
        """Round weights where the format has fewer digits; note the format."""
        if fake_quantised_layers(model):
            raise CompressError("the model is trained in 8 bits already (qat); deploy/export.py writes it so by itself")
        try:
            Precision(**self.arguments)(model)
        except ConfigError as error:
            raise CompressError(f"keep: {error}") from error
        change = 0.0 if self.precision == "int8" else _round(model, self.precision)
        context.say(f"convert: {WORDS[self.precision]}")
        record = {"name": "precision", "args": self.arguments, "shapes": {}}
        return Compressed(
            [record], {"precision": self.precision, "largest_relative_change": change, "note": WORDS[self.precision]}
        )


def _round(model: Any, precision: str) -> float:
    """Round all weights; returns the largest change of one as a share of it. Raises CompressError."""
    worst = 0.0
    for name, tensor in model.state_dict().items():
        if tensor.dtype != paddle.float32:
            continue
        array = tensor.numpy()
        if precision == "fp16" and np.abs(array).max(initial=0.0) > LARGEST:
            raise CompressError(
                f"{name} has a number above {LARGEST:g}, the largest of float16; convert to bf16 instead"
            )
        if precision == "fp16":
            rounded = array.astype(np.float16).astype(np.float32)  # Paddle's cast cuts digits off on CPUs
        else:
            rounded = tensor.astype("bfloat16").astype("float32").numpy()
        if name in dict(model.named_parameters()):
            tensor.set_value(rounded)
            large = np.abs(array) > 1e-4
            worst = max(worst, float((np.abs(rounded - array)[large] / np.abs(array)[large]).max(initial=0.0)))
    return worst
