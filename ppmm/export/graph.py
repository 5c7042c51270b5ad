"""A trained model as a static graph."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import paddle

from ppmm.errors import ExportError
from ppmm.types import FieldSpec

__all__ = ["OUTPUT_KEYS", "save_graph"]

OUTPUT_KEYS = ("logits",)
"""The outputs of a classification graph."""


def save_graph(model: Any, specs: Mapping[str, FieldSpec], prefix: Path) -> list[str]:
    """Write ``model`` as ``<prefix>.*``, batch and lengths dynamic where ``specs`` has None.

    Returns the names of the graph's outputs in its order: Paddle sorts them and forgets the names.
    Raises ExportError when the model cannot be traced.
    """
    from paddle.static import InputSpec

    model.eval()
    inputs = {name: InputSpec(list(spec.shape), spec.dtype, name=name) for name, spec in specs.items()}
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Found 'dict' in given outputs")
            static = paddle.jit.to_static(model, input_spec=[inputs], full_graph=True)
            paddle.jit.save(static, str(prefix))
    except (OSError, ValueError, TypeError, RuntimeError, AttributeError) as error:
        raise ExportError(f"the model cannot be exported as a static graph: {error}") from error
    finally:
        if hasattr(model.forward, "rollback"):
            model.forward.rollback()
    return sorted(OUTPUT_KEYS)
