"""Training through a traced graph of the model."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import paddle

from ppmm.engine.precision import MixedPrecision, Precision
from ppmm.errors import ConfigError
from ppmm.types import Batch, FieldSpec, Outputs

__all__ = ["check_traceable", "trace_training"]


def check_traceable(precision: Precision) -> None:
    """Raises ConfigError where a graph would not compute in ``precision``."""
    if not isinstance(precision, MixedPrecision):
        return
    if precision.device == "cpu":
        raise ConfigError(
            "trainer.to_static: bfloat16 on a CPU does not reach a static graph; train with precision: fp32, or without"
        )
    if precision.low_weights:
        raise ConfigError(
            "trainer.to_static: a graph has weights of its own, and O2 exchanges them; train with bf16 or fp16, "
            "or without"
        )


def trace_training(model: Any, specs: Mapping[str, FieldSpec]) -> None:
    """Let ``model``, while it trains, compute in one static graph; evaluation stays as it is.

    Names, parameters and what is saved stay the model's own. The graph is traced at the first batch, with any number
    of rows and any lengths where ``specs`` has None. It gets what ``specs`` name and no more of a batch.

    Raises ConfigError, at the first batch, when the model cannot be traced.
    """
    from paddle.static import InputSpec

    dynamic = model.forward
    inputs = {name: InputSpec(list(spec.shape), spec.dtype, name=name) for name, spec in specs.items()}
    static = paddle.jit.to_static(dynamic, input_spec=[inputs], full_graph=True)
    model.forward = _Router(model, dynamic, static, tuple(specs))


class _Router:
    """The static graph in training, the model's own forward pass in evaluation."""

    def __init__(
        self,
        model: Any,
        dynamic: Callable[[Batch], Outputs],
        static: Callable[[Batch], Outputs],
        names: tuple[str, ...],
    ) -> None:
        self.model = model
        self.dynamic = dynamic
        self.static = static
        self.names = names
        self.traced = False

    def __call__(self, batch: Batch) -> Outputs:
        if not self.model.training:
            return self.dynamic(batch)
        if self.traced:
            outputs = self.static({name: batch[name] for name in self.names})
        else:
            with paddle.enable_grad():  # a graph that is traced without gradients never has any
                outputs = self._trace(batch)
            self.traced = True
        if paddle.is_grad_enabled():
            return outputs
        return {name: output.detach() for name, output in outputs.items()}  # it keeps what a backward pass needs

    def _trace(self, batch: Batch) -> Outputs:
        lacking = [name for name in self.names if name not in batch]
        if lacking:
            raise ConfigError(f"trainer.to_static: the batch has no '{lacking[0]}'")
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Found 'dict' in given outputs")
                return self.static({name: batch[name] for name in self.names})
        except (ValueError, TypeError, RuntimeError, AttributeError) as error:
            last = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
            raise ConfigError(f"trainer.to_static: the model cannot be traced ({last}); train without it") from error
