"""The form of a factored model, for one that was built as it was before."""

from __future__ import annotations

from typing import Any

from ppmm.errors import ConfigError
from ppmm.models.layers.low_rank import FACTORED, factored
from ppmm.models.layers.replace import replace_layer
from ppmm.registry import TRANSFORMS, did_you_mean

__all__ = ["LowRank"]


@TRANSFORMS.register("low_rank")
class LowRank:
    """Puts layers of two factors in the place of plain ones; their weights are loaded afterwards.

    Args:
        ranks: {layer: rank}.
    """

    def __init__(self, ranks: dict[str, int]) -> None:
        for name, rank in ranks.items():
            if rank < 1:
                raise ValueError(f"ranks.{name} must be at least 1, got {rank}")
        self.ranks = ranks

    def __call__(self, model: Any) -> None:
        """Raises ConfigError where the model has no such layers; it is then left as it was."""
        layers = dict(model.named_sublayers())
        for name in self.ranks:
            if name not in layers:
                raise ConfigError(f"low_rank: this model has no layer '{name}'{did_you_mean(name, layers)}")
            if type(layers[name]) not in FACTORED and not hasattr(layers[name], "merged"):
                raise ConfigError(f"low_rank: '{name}' is a {type(layers[name]).__name__}, which has no factored form")
        for name, rank in self.ranks.items():
            replace_layer(model, layers[name], factored(layers[name], rank))
