"""Sizes that layers remember beside the shapes of their parameters, brought up to date after pruning."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from paddle import nn

from ppmm.models.fusion.low_rank import LowRankFusion
from ppmm.models.layers.attention import MultiHeadAttention

__all__ = ["new_attributes"]

Shapes = Mapping[str, tuple[int, ...]]
"""Old shapes of a layer's own parameters by name."""


def new_attributes(layer: Any, old: Shapes) -> dict[str, Any]:
    """What must be set in a layer whose parameters have had the shapes ``old`` before; {} where nothing must."""
    for kind, update in UPDATES:
        if isinstance(layer, kind):
            return update(layer, old)
    return {}


def _convolution(layer: Any, old: Shapes) -> dict[str, Any]:
    """Of a grouped convolution whole groups went; one that is transposed has its inputs first."""
    shape, groups = layer.weight.shape, layer._groups
    if isinstance(layer, nn.Conv2DTranspose | nn.Conv1DTranspose | nn.Conv3DTranspose):
        return {"_in_channels": shape[0], "_out_channels": shape[1]}
    if groups > 1:
        groups = groups * shape[0] // old["weight"][0]
    return {"_in_channels": shape[1] * groups, "_out_channels": shape[0], "_groups": groups}


def _recurrent(layer: Any, old: Shapes) -> dict[str, Any]:
    return {"input_size": layer.weight_ih_l0.shape[1], "hidden_size": layer.weight_hh_l0.shape[1]}


def _cell(layer: Any, old: Shapes) -> dict[str, Any]:
    return {"input_size": layer.weight_ih.shape[1], "hidden_size": layer.weight_hh.shape[1]}


UPDATES: tuple[tuple[Any, Callable[[Any, Shapes], dict[str, Any]]], ...] = (
    (nn.layer.conv._ConvNd, _convolution),
    (nn.layer.norm._BatchNormBase, lambda layer, old: {"_num_features": layer._mean.shape[0]}),
    (nn.LayerNorm, lambda layer, old: {"_normalized_shape": list(layer.weight.shape)}),
    (nn.Embedding, lambda layer, old: {"_embedding_dim": layer.weight.shape[1], "_size": list(layer.weight.shape)}),
    (nn.layer.rnn.RNNBase, _recurrent),
    (nn.layer.rnn.RNNCellBase, _cell),
    (nn.MultiHeadAttention, lambda layer, old: {"num_heads": layer.q_proj.weight.shape[1] // layer.head_dim}),
    (MultiHeadAttention, lambda layer, old: {"heads": layer.query.weight.shape[1] // layer.head_dim}),
    (LowRankFusion, lambda layer, old: {"out_dim": layer.bias.shape[0]}),
)
"""The first class that fits decides."""
