"""What PaddleSlim 2.6.0 needs to work on Paddle 3: a renamed guard, tracing under the old IR, masks as numbers."""

from __future__ import annotations

import functools
import logging
from typing import Any

__all__ = ["load_paddleslim"]


def load_paddleslim() -> Any:
    """The module ``paddleslim``, mended; it may be called again and again. Its log keeps to warnings.

    Raises ImportError that says how to install it.
    """
    from paddle.base.dygraph import base

    if not hasattr(base, "_to_static_mode_guard_"):
        base._to_static_mode_guard_ = base.to_static_mode_guard
    try:
        import paddleslim
        from paddleslim.core import dygraph
        from paddleslim.dygraph.prune.unstructured_pruner import UnstructuredPruner
    except ImportError as error:
        raise ImportError(f"PaddleSlim is not installed: pip install ppmm[train] ({error})") from error
    if not hasattr(dygraph._dy2prog, "__wrapped__"):
        dygraph._dy2prog = _under_old_ir(dygraph._dy2prog)
    UnstructuredPruner.mask_parameters = _mask_parameters
    for name in list(logging.root.manager.loggerDict):
        if name.startswith("paddleslim"):
            logging.getLogger(name).setLevel(logging.WARNING)
    return paddleslim


def _under_old_ir(function: Any) -> Any:
    """PaddleSlim reads programs of the old IR only."""
    import paddle

    @functools.wraps(function)
    def traced(*args: Any, **kwargs: Any) -> Any:
        with paddle.pir_utils.OldIrGuard():
            return function(*args, **kwargs)

    return traced


def _mask_parameters(self: Any, parameter: Any, mask: Any) -> None:
    """Paddle 3 does not multiply numbers by truth values."""
    import paddle

    masked = parameter * mask.astype(parameter.dtype)
    masked.stop_gradient = True
    paddle.assign(masked, output=parameter)
