"""Gradient clipping: by the global norm, by value, or adaptively; one object for every optimizer."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import paddle
from paddle import Tensor, nn

__all__ = ["AdaptiveClip", "make_clip", "unit_axes"]

UNCLIPPED = ("head.", "objective.")
"""Before the names that adaptive clipping leaves alone: the last layer, and what an objective learns."""
Axes = tuple[int, ...]


def make_clip(
    model: nn.Layer,
    named_parameters: Sequence[tuple[str, Tensor]],
    norm: float | None = None,
    value: float | None = None,
    adaptive: float | None = None,
) -> Any:
    """What Paddle's optimizers take as ``grad_clip``; None when nothing is to be clipped.

    Args:
        model: tells which axes of a parameter belong to one unit.
        named_parameters: what is trained, by structured name.
        norm: largest norm of all gradients together (Pascanu et al. 2013).
        value: largest absolute value of an entry of a gradient.
        adaptive: see `AdaptiveClip`.

    Raises ValueError when more than one is given.
    """
    if sum(limit is not None for limit in (norm, value, adaptive)) > 1:
        raise ValueError("give one of clip_norm, clip_value and clip_adaptive")
    if norm is not None:
        return nn.ClipGradByGlobalNorm(norm)
    if value is not None:
        return nn.ClipGradByValue(value)
    if adaptive is not None:
        left = {parameter.name for name, parameter in named_parameters if name.startswith(UNCLIPPED)}
        return AdaptiveClip(adaptive, unit_axes(model), left)
    return None


class AdaptiveClip(nn.clip.ClipGradBase):  # type: ignore[misc]
    """Adaptive gradient clipping (Brock et al. 2021, "High-Performance Large-Scale Image Recognition Without
    Normalization", equation 3).

    The gradient G_i of unit i of a layer becomes limit max(|W_i|, eps) / |G_i| G_i where |G_i| / max(|W_i|, eps) is
    above ``limit``. A unit is what makes one output of a matrix or kernel, a row of an embedding, or a bias or scale as
    a whole. Norms are taken in float32.

    Args:
        limit: lambda of the paper, which takes 0.01 for batches of 4096 and more for smaller ones.
        axes: the axes of one unit, by Paddle's name of the parameter, where they are not all but the first.
        unclipped: Paddle's names of parameters that are left alone; the paper leaves out the last linear layer.
        eps: the smallest norm of weights that counts, so that weights that begin at zero can move.
    """

    def __init__(
        self, limit: float, axes: Mapping[str, Axes], unclipped: Collection[str] = (), eps: float = 1e-3
    ) -> None:
        super().__init__()
        self.limit, self.eps = limit, eps
        self.axes, self.unclipped = dict(axes), frozenset(unclipped)

    def __str__(self) -> str:
        return f"adaptive gradient clipping, limit = {self.limit:g}"

    @paddle.no_grad()
    def _dygraph_clip(self, params_grads: Sequence[tuple[Tensor, Tensor]]) -> list[tuple[Tensor, Tensor]]:
        """Called by the optimizer before each update, with gradients that are unscaled and averaged already."""
        return [
            (parameter, gradient if parameter.name in self.unclipped else self._clipped(parameter, gradient))
            for parameter, gradient in params_grads
            if gradient is not None
        ]

    def _clipped(self, parameter: Tensor, gradient: Tensor) -> Tensor:
        axes = self.axes.get(parameter.name, tuple(range(1, len(parameter.shape))) or None)
        most = paddle.clip(_norm(parameter, axes), min=self.eps) * self.limit
        norm = _norm(gradient, axes)
        factor = paddle.where(norm > most, most / paddle.clip(norm, min=1e-6), paddle.ones_like(norm))
        return (gradient.astype("float32") * factor).astype(gradient.dtype)


def _norm(tensor: Tensor, axes: Axes | None) -> Tensor:
    """Euclidean norm over ``axes`` (all of them when None), kept as axes of size 1."""
    square = tensor.astype("float32").square()
    total = square.sum() if axes is None else square.sum(axis=list(axes), keepdim=True)
    return total.sqrt()


def unit_axes(model: nn.Layer) -> dict[str, Axes]:
    """The axes over which the norm of one unit is taken, by Paddle's name, of weights that are not [out, ...].

    Linear [in, out] and transposed convolutions [in, out, ...] have their outputs on the second axis; rows of
    embeddings, kernels [out, in, ...] and the gates of recurrent layers [4 out, in] are on the first.
    """
    axes: dict[str, Axes] = {}
    for layer in model.sublayers(include_self=True):
        weight: Any = getattr(layer, "weight", None)
        if isinstance(layer, nn.Linear):
            axes[weight.name] = (0,)
        elif isinstance(layer, nn.Conv1DTranspose | nn.Conv2DTranspose | nn.Conv3DTranspose):
            axes[weight.name] = (0, *range(2, len(weight.shape)))
    return axes
