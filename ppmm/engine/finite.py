"""Whether gradients are finite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import paddle

__all__ = ["lost_gradients"]


def lost_gradients(named_parameters: Sequence[tuple[str, Any]]) -> list[str]:
    """Names of the parameters whose gradient has a value that is NaN or infinite.

    The loss does not tell: on a CPU Paddle's relu makes zero of NaN, so that a row whose embedding is NaN passes
    unseen, while the gradients of the layers before it are NaN and would end every weight that they reach.
    """
    known = [(name, parameter.grad) for name, parameter in named_parameters if parameter.grad is not None]
    if not known:
        return []
    # One pass over memory; a sum is not finite where a part of it is not, and hardly ever otherwise.
    total = paddle.add_n([gradient.sum(dtype="float32") for _, gradient in known])
    if np.isfinite(float(total)):
        return []
    return [name for name, gradient in known if not bool(paddle.isfinite(gradient).all())]
