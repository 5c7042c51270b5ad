"""A trained model as a static graph."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import paddle
from paddle.base import unique_name

from ppmm.errors import ExportError
from ppmm.models.layers.masking import portable_operators
from ppmm.types import Batch, FieldSpec, Outputs

__all__ = ["save_graph"]


def save_graph(
    model: Any, specs: Mapping[str, FieldSpec], prefix: Path, old_ir: bool = False, portable: bool = False
) -> list[str]:
    """Write ``model`` as ``<prefix>.*``, batch and lengths dynamic where ``specs`` has None.

    With ``old_ir`` it is a ``.pdmodel`` of the old IR, which quantisation reads; with ``portable`` its operators are
    those that converters to ONNX know. The graph answers the model's ``outputs``; their names are returned in the
    graph's order, since Paddle sorts them and forgets the names.
    Raises ExportError when the model cannot be traced.
    """
    from paddle.static import InputSpec

    model.eval()
    inputs = {name: InputSpec(list(spec.shape), spec.dtype, name=name) for name, spec in specs.items()}
    try:
        operators = portable_operators() if portable else contextlib.nullcontext()
        with warnings.catch_warnings(), operators, _old_ir() if old_ir else contextlib.nullcontext():
            warnings.filterwarnings("ignore", "Found 'dict' in given outputs")
            static = paddle.jit.to_static(_Answering(model), input_spec=[inputs], full_graph=True)
            paddle.jit.save(static, str(prefix))
    except (OSError, ValueError, TypeError, RuntimeError, AttributeError) as error:
        raise ExportError(f"the model cannot be exported as a static graph: {error}") from error
    return sorted(model.outputs)


@contextlib.contextmanager
def _old_ir() -> Iterator[None]:
    """The old IR, still in dynamic mode: Paddle's own guard enters static mode, where no layer may be made."""
    names = unique_name.generator, unique_name.dygraph_parameter_name_checker
    try:
        with paddle.pir_utils.OldIrGuard():
            paddle.disable_static()
            try:
                yield
            finally:
                paddle.enable_static()
    finally:
        unique_name.switch(*names)  # else the counters begin anew: two parameters of the next model get one name


class _Answering(paddle.nn.Layer):
    """A model's outputs that serving needs, and no others."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch) -> Outputs:
        outputs = self.model(batch)
        return {name: outputs[name] for name in self.model.outputs}
