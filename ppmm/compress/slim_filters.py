"""Which filters of a convolution tower PaddleSlim's pruners choose; what is done with them is up to others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from paddle import Tensor, nn

from ppmm.compress.promises import restored_state
from ppmm.compress.slim_shims import load_paddleslim
from ppmm.compress.trace import Sample, flatten
from ppmm.errors import CompressError

__all__ = ["Criterion", "tower_inputs", "unwanted_filters"]

Criterion = Literal["l1", "fpgm"]
PRUNERS = {"l1": "L1NormFilterPruner", "fpgm": "FPGMFilterPruner"}


def tower_inputs(model: nn.Layer, sample: Sample, names: list[str]) -> dict[str, list[Tensor]]:
    """What each of the layers ``names`` is called with when the model gets ``sample``: PaddleSlim traces with real
    tensors only.

    Raises CompressError where one is not called, or with something that is no Tensor.
    """
    layers = dict(model.named_sublayers())
    found: dict[str, list[Any]] = {}
    handles = []
    for name in names:

        def note(_: Any, inputs: Any, name: str = name) -> None:
            found.setdefault(name, [value for value in inputs if value is not None])

        handles.append(layers[name].register_forward_pre_hook(note))
    try:
        with restored_state(model):
            model.eval()
            model(sample)
    finally:
        for handle in handles:
            handle.remove()
    for name in names:
        if not found.get(name) or not all(isinstance(value, Tensor) for value in found[name]):
            raise CompressError(f"{name} is not called with Tensors, so that PaddleSlim cannot trace it; use prune")
    return {name: [value.detach() for value in values] for name, values in found.items()}


def unwanted_filters(
    tower: nn.Layer, inputs: list[Tensor], ratio: float, criterion: Criterion, leaves: bool
) -> dict[str, np.ndarray]:
    """Filters that PaddleSlim would cut, by the weight of each convolution that they are of (its name in ``tower``).

    Args:
        tower: with 2-D convolutions; it is left as it is.
        inputs: what it is called with.
        ratio: share of the filters of each group of convolutions.
        criterion: the pruner, L1NormFilterPruner or FPGMFilterPruner.
        leaves: whether the last convolutions, which make the tower's answer, lose filters too.

    Raises CompressError where PaddleSlim cannot read the tower.
    """
    slim = load_paddleslim()
    names = {parameter.name: name for name, parameter in tower.named_parameters()}
    was_training = tower.training
    tower.eval()
    try:
        pruner = getattr(slim, PRUNERS[criterion])(_Plain(tower), inputs, skip_leaves=not leaves)
        masters = [one.master_name for one in pruner.collections if one.master_axis == 0]
        plan = pruner.prune_vars({master: ratio for master in masters}, 0, apply=None)
    except Exception as error:  # PaddleSlim raises nearly any type, bare AssertionErrors among them
        raise CompressError(
            f"PaddleSlim cannot read this tower ({type(error).__name__}: {error}); use prune, which reads any"
        ) from error
    finally:
        if was_training:
            tower.train()
    return {
        names[key]: np.flatnonzero(np.asarray(mask.mask) == 0)
        for key, masks in plan.masks.items()
        for mask in masks
        if mask.dims == 0 and key in names and _is_filter(tower, names[key])
    }


def _is_filter(tower: nn.Layer, name: str) -> bool:
    shapes: Mapping[str, Any] = dict(tower.named_parameters())
    return len(shapes[name].shape) == 4


class _Plain(nn.Layer):
    """A tower whose answer is its Tensors only."""

    def __init__(self, tower: nn.Layer) -> None:
        super().__init__()
        self.tower = tower

    def forward(self, *inputs: Tensor) -> list[Tensor]:
        return flatten(self.tower(*inputs))
