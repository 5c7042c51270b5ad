"""Training between the other steps, so that the weights that are left take over the work of those that went."""

from __future__ import annotations

from typing import Any

from ppmm.compress.context import Compressed, Context, Training
from ppmm.errors import ConfigError
from ppmm.registry import COMPRESSORS

__all__ = ["Finetune"]


@COMPRESSORS.register("finetune")
class Finetune:
    """The ordinary trainer for some epochs; the best weights by the monitored figure are kept.

    Args:
        epochs: passes over the training split.
        max_steps: optimizer steps after which it ends earlier.
        learning_rate: base rate; that of the config when null.
        set: other values of keys of the config, as with ``-o``: ``{loader.batch_size: 32}``.

    Raises ConfigError for less than one epoch.
    """

    def __init__(
        self,
        epochs: int = 1,
        max_steps: int | None = None,
        learning_rate: float | None = None,
        set: dict[str, Any] | None = None,
    ) -> None:
        if epochs < 1:
            raise ConfigError(f"epochs must be at least 1, got {epochs}")
        self.training = Training(epochs, max_steps, learning_rate, set)

    def apply(self, model: Any, context: Context) -> Compressed:
        """Train ``model``."""
        return Compressed([], context.train(model, self.training))
