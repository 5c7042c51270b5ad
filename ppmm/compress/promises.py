"""What a pruned model must keep: the answers that it would give with the same channels set to zero, and gradients."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import paddle
from paddle import Tensor, nn

from ppmm.compress.dependencies import Kept, layer_of
from ppmm.compress.trace import Sample, flatten
from ppmm.errors import CompressError
from ppmm.models.resize import resize, tensors_of

__all__ = [
    "TOLERANCE",
    "answers",
    "check_answers",
    "check_gradients",
    "masked",
    "masked_answers",
    "presences",
    "restored_state",
]

TOLERANCE = 1e-5
"""Of the largest answer, or of 1 where that is smaller."""
MANY = 5
"""Fields from which on not every combination of them is tried: each alone, all but one, and all."""


def presences(sample: Sample) -> list[Sample]:
    """The sample with every combination of present fields, at least one of them; itself where it has no ``has_F``."""
    flags = [key for key in sample if key.startswith("has_")] if isinstance(sample, Mapping) else []
    if not flags:
        return [sample]
    chosen = [bits for bits in itertools.product([True, False], repeat=len(flags)) if any(bits)]
    if len(flags) >= MANY:
        chosen = [bits for bits in chosen if sum(bits) in (1, len(bits) - 1, len(bits))]
    return [
        {**sample, **{key: paddle.full_like(sample[key], bit) for key, bit in zip(flags, bits, strict=True)}}
        for bits in chosen
    ]


def answers(model: nn.Layer, samples: Sequence[Sample]) -> list[list[np.ndarray]]:
    """What a model answers each sample in evaluation."""
    was_training = model.training
    model.eval()
    try:
        with paddle.no_grad():
            return [[answer.numpy() for answer in flatten(model(sample))] for sample in samples]
    finally:
        if was_training:
            model.train()


def masked_answers(model: nn.Layer, samples: Sequence[Sample], kept: Kept, norms: set[str]) -> list[list[np.ndarray]]:
    """`answers` of the model with zeros in place of everything that is not ``kept``; it is left as it was.

    ``norms`` are factors of layer normalisations that take their mean over what is kept.
    """
    with masked(model, kept), _masked_norms(model, {name: kept[name][0] for name in norms if name in kept}):
        return answers(model, samples)


@contextmanager
def masked(model: nn.Layer, kept: Kept) -> Iterator[None]:
    """Zeros stand in place of everything that is not ``kept``; afterwards the model is as it was."""
    arrays = {}
    for name, tensor in tensors_of(model).items():
        if name in kept:
            arrays[name] = tensor.numpy().copy()
            for dimension, indices in kept[name].items():
                gone = np.setdiff1d(np.arange(tensor.shape[dimension]), indices)
                np.moveaxis(arrays[name], dimension, 0)[gone] = 0
    undo = resize(model, arrays)
    try:
        yield
    finally:
        undo()


@contextmanager
def _masked_norms(model: nn.Layer, kept: Mapping[str, np.ndarray]) -> Iterator[None]:
    """Layer normalisations leave out what is not kept."""
    layers = dict(model.named_sublayers(include_self=True))
    changed = [layers[layer_of(name)] for name in kept]
    for layer, indices in zip(changed, kept.values(), strict=True):
        mask = np.zeros(layer.weight.shape, dtype="float32")
        mask[indices] = 1.0
        layer.forward = _masked_norm(layer, paddle.to_tensor(mask))
    try:
        yield
    finally:
        for layer in changed:
            del layer.forward


def _masked_norm(layer: Any, mask: Tensor) -> Any:
    def forward(x: Tensor) -> Tensor:
        mean = (x * mask).sum(axis=-1, keepdim=True) / mask.sum()
        centred = (x - mean) * mask
        variance = (centred * centred).sum(axis=-1, keepdim=True) / mask.sum()
        return centred * paddle.rsqrt(variance + layer._epsilon) * layer.weight + layer.bias

    return forward


def check_answers(found: list[list[np.ndarray]], wanted: list[list[np.ndarray]]) -> None:
    """Raises CompressError where they differ by more than `TOLERANCE`, or have other shapes."""
    for one, two in zip(found, wanted, strict=True):
        for here, there in zip(one, two, strict=True):
            if here.shape != there.shape:
                raise CompressError(f"the model answers {list(here.shape)} numbers in place of {list(there.shape)}")
            if here.size and here.dtype.kind == "f":
                error = float(np.abs(here.astype(np.float64) - there).max())
                if not error <= TOLERANCE * max(1.0, float(np.abs(there).max())):
                    raise CompressError(f"its answers differ by {error:.2g} from those with the same channels at zero")


def check_gradients(model: nn.Layer, sample: Sample) -> None:
    """Raises CompressError where a backward pass in training gives a gradient that is not finite, or none at all."""
    with restored_state(model):
        model.train()
        parts = [answer for answer in flatten(model(sample)) if paddle.is_floating_point(answer)]
        loss = paddle.add_n([(part * part).mean() for part in parts])
        loss.backward()
        reached = {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}
        wrong = [name for name, gradient in reached.items() if not bool(paddle.isfinite(gradient).all())]
        if not reached or wrong:
            raise CompressError(f"the backward pass gives {'bad numbers in ' + wrong[0] if wrong else 'no gradient'}")


@contextmanager
def restored_state(model: nn.Layer) -> Iterator[None]:
    """Afterwards mode, statistics (of batch normalisation) and random numbers are as before; no gradient is left."""
    was_training, generators = model.training, paddle.get_rng_state()
    still = [tensor for tensor in tensors_of(model).values() if tensor.stop_gradient and tensor._is_initialized()]
    arrays = [tensor.numpy().copy() for tensor in still]
    try:
        yield
    finally:
        for tensor, array in zip(still, arrays, strict=True):
            tensor.set_value(array)
        for parameter in model.parameters():
            parameter.clear_gradient(False)
        paddle.set_rng_state(generators)
        model.train() if was_training else model.eval()
