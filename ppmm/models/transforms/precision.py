"""What a checkpoint is to be exported as; its model computes in float32 as before."""

from __future__ import annotations

from typing import Any

from ppmm.errors import ConfigError
from ppmm.registry import TRANSFORMS

__all__ = ["Precision"]


@TRANSFORMS.register("precision")
class Precision:
    """The defaults of ``deploy/export.py`` for this checkpoint. The model is not changed.

    Args:
        precision: ``bf16``, ``fp16`` or ``int8``.
        algorithm: of INT8's ranges; that of the config when null.
        calibrate: rows for them; that of the config when null.
        keep: layers that stay float32 in INT8, by the name of their weight.
        keep_worst: how many more stay so, those that change the answers most.
        bias_correction: correct mean and variance of INT8 weights.
    """

    def __init__(
        self,
        precision: str,
        algorithm: str | None = None,
        calibrate: int | None = None,
        keep: list[str] | None = None,
        keep_worst: int = 0,
        bias_correction: bool = False,
    ) -> None:
        self.precision, self.algorithm, self.calibrate = precision, algorithm, calibrate
        self.keep, self.keep_worst, self.bias_correction = list(keep or []), keep_worst, bias_correction

    def __call__(self, model: Any) -> None:
        """Raises ConfigError for a layer to keep that the model does not have."""
        names = dict(model.named_parameters())
        lost = [name for name in self.keep if name not in names]
        if lost:
            raise ConfigError(f"precision: this model has no weight '{lost[0]}' to keep in float32")
