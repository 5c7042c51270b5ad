"""Numbers rounded to 8 bits and back within training, so that a network learns to live with the rounding.

The rounding itself has no useful gradient: the gradient passes it as if it were not there ("straight-through
estimator", Bengio et al. 2013). Everything is made of plain operations, since Paddle's own quantisers (those of
PaddleSlim's QAT) cannot be traced in the IR of Paddle 3, and its LSQ finds its step anew in every process.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import paddle
from paddle import Tensor, nn

__all__ = ["ACTIVATIONS", "LEVELS", "ActivationKind", "ActivationQuantiser", "make_quantiser", "quantised_weight"]

LEVELS = 127.0
"""Signed integers of 8 bits run from -127 to 127: symmetric, as oneDNN and TensorRT want them."""
LEAST = 1e-6
"""Of a range, so that an input of zeros (a modality that no row has) divides nothing by zero."""
ActivationKind = Literal["moving_average", "lsq", "pact"]
ACTIVATIONS: tuple[ActivationKind, ...] = ("moving_average", "lsq", "pact")


def quantised_weight(weight: Tensor, axis: int | None) -> Tensor:
    """``weight`` rounded to 255 levels between minus and plus its largest absolute value.

    Args:
        weight: of any shape.
        axis: of the output channels, each of which has a range of its own; None for one range.
    """
    others = [number for number in range(weight.ndim) if number != axis]
    largest = paddle.max(paddle.abs(weight.detach()), axis=others, keepdim=True)
    return _rounded(weight, paddle.clip(largest, min=LEAST))


def _rounded(x: Tensor, bound: Tensor) -> Tensor:
    """x within [-bound, bound], rounded to the levels; its gradient is that of the result."""
    levels = paddle.round(paddle.clip(x.detach() / bound, -1.0, 1.0) * LEVELS)
    return x + (levels * (bound / LEVELS) - x).detach()


class ActivationQuantiser(nn.Layer):
    """Rounds what a layer reads; the range is a moving average of the batches' largest absolute values.

    As PaddleSlim's ``moving_average_abs_max`` has it: range = (rate * sum + max|x|) / (rate * count + 1). In evaluation
    the range stands still. Before the first batch in training, nothing is rounded.

    Args:
        rate: how much of the past stays at each batch.

    Attributes:
        bound: buffer [1], the range.
        count: buffer [1], how many batches it is the mean of; 0 before the first.
        observing: the range follows the batches and nothing is rounded, in evaluation too.
        rounding: whether anything is rounded.
    """

    def __init__(self, rate: float = 0.9) -> None:
        super().__init__()
        self.rate = rate
        self.observing, self.rounding = False, True
        self.register_buffer("bound", paddle.ones([1]))
        self.register_buffer("count", paddle.zeros([1]))

    def forward(self, x: Tensor) -> Tensor:
        """x [...] float; returns the same shape and type."""
        if self.observing:
            self.observe(x)
        if self.observing or not self.rounding:
            return x
        full = x if x.dtype == paddle.float32 else x.astype("float32")
        y = self.quantised(full)
        return y if x.dtype == y.dtype else y.astype(x.dtype)

    def observe(self, x: Tensor) -> None:
        """Take the range of a batch into the mean."""
        with paddle.no_grad():
            largest = paddle.clip(paddle.max(paddle.abs(x.detach().astype("float32"))), min=LEAST).reshape([1])
            count = self.rate * self.count + 1.0
            bound = (self.rate * self.count * self.bound + largest) / count
            paddle.assign(bound, output=self.bound)
            paddle.assign(count, output=self.count)

    def quantised(self, x: Tensor) -> Tensor:
        """x [...] float32, rounded."""
        if self.training:
            self.observe(x)
        return _rounded(x, self.bound)

    def settle(self) -> None:
        """Begin with what was observed."""

    def range(self) -> float:
        """The largest absolute value that is not cut off."""
        return max(float(self.bound), LEAST)


class LearnedRange(ActivationQuantiser):
    """The range is trained: a parameter [1], its logarithm.

    Its logarithm, so that it stays above 0 and a learning rate means a share of it, whatever its size (Jain et al.
    2020, "Trained Quantization Thresholds", section 3.3); with Adam a step of 0.001 would be a twentieth of a range of
    0.02 itself. Observation gives the first value.
    """

    def __init__(self, rate: float = 0.9) -> None:
        super().__init__(rate)
        self.log_bound = self.create_parameter([1], default_initializer=nn.initializer.Constant(0.0))

    def settle(self) -> None:
        """Begin with what was observed."""
        self.log_bound.set_value(paddle.log(paddle.clip(self.bound, min=LEAST)))

    def range(self) -> float:
        """The largest absolute value that is not cut off."""
        return max(math.exp(float(self.log_bound)), LEAST)


class LSQ(LearnedRange):
    """Learned step size quantisation (Esser et al. 2020): range = 127 steps.

    The step's gradient is round(x/s) - x/s inside of the range and -127 or 127 outside (equation 3), times
    1 / sqrt(127 n) for n numbers per row (section 2.2). x has a gradient inside only (equation 5).
    """

    def quantised(self, x: Tensor) -> Tensor:
        """x [...] float32, rounded."""
        share = 1.0 / math.sqrt(LEVELS * math.prod(max(int(size), 1) for size in x.shape[1:]))
        step = paddle.exp(self.log_bound) / LEVELS
        step = step * share + (step * (1.0 - share)).detach()
        levels = paddle.clip(x / step, -LEVELS, LEVELS)
        return (levels + (paddle.round(levels) - levels).detach()) * step


class PACT(LearnedRange):
    """Parameterised clipping (Choi et al. 2018, equations 1 to 3), at both ends, as PaddleSlim has it.

    The range's gradient comes from what was cut off, and from nothing else.
    """

    def quantised(self, x: Tensor) -> Tensor:
        """x [...] float32, rounded."""
        bound = paddle.exp(self.log_bound)
        return _rounded(paddle.minimum(paddle.maximum(x, -bound), bound), bound.detach())


KINDS: dict[ActivationKind, Callable[[float], ActivationQuantiser]] = {
    "moving_average": ActivationQuantiser, "lsq": LSQ, "pact": PACT,
}  # fmt: skip


def make_quantiser(kind: ActivationKind, rate: float) -> ActivationQuantiser:
    """A quantiser of one of the `ACTIVATIONS`."""
    return KINDS[kind](rate)
