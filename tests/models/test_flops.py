"""Multiply-adds against hand-computed numbers and against paddle.flops."""

from __future__ import annotations

import paddle
from paddle import nn

from ppmm.models.encoders.vit import VisionTransformer
from ppmm.models.flops import count_flops
from ppmm.models.layers.attention import MultiHeadAttention
from ppmm.models.layers.rbf import RBF


class OnBatch(nn.Layer):
    """A layer on batch["x"]."""

    def __init__(self, layer: nn.Layer) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, batch: dict[str, paddle.Tensor]) -> object:
        return self.layer(batch["x"])


def flops(layer: nn.Layer, *shape: int) -> int:
    return count_flops(OnBatch(layer), {"x": paddle.zeros(list(shape))})


def test_linear() -> None:
    assert flops(nn.Linear(5, 7), 3, 5) == 3 * 5 * 7


def test_convolution_with_stride_and_groups() -> None:
    assert flops(nn.Conv2D(4, 8, 3, stride=2, padding=1, groups=2), 1, 4, 10, 10) == 8 * 5 * 5 * (4 // 2) * 3 * 3
    assert flops(nn.Conv1D(4, 8, 5), 2, 4, 20) == 2 * 8 * 16 * 4 * 5


def test_lstm() -> None:
    gates = 4 * (6 * 5 + 5 * 5)
    assert flops(nn.LSTM(6, 5, direction="bidirect"), 2, 3, 6) == 2 * 3 * 2 * gates


def test_radial_basis() -> None:
    assert flops(RBF(6, 9), 4, 6) == 4 * 9 * 6


def test_attention_to_itself_and_to_others() -> None:
    attention = MultiHeadAttention(6, 2, context_dim=4)
    assert flops(MultiHeadAttention(6, 2), 3, 5, 6) == 3 * (4 * 5 * 6 * 6 + 2 * 5 * 5 * 6)
    model = nn.LayerDict({"attention": attention})
    model.forward = lambda batch: attention(batch["x"], batch["key"], None)
    batch = {"x": paddle.zeros([3, 5, 6]), "key": paddle.zeros([3, 7, 4])}
    assert count_flops(model, batch) == 3 * (2 * 5 * 6 * 6 + 2 * 7 * 4 * 6 + 2 * 5 * 7 * 6)


def test_a_block_of_vit_small() -> None:
    net = VisionTransformer(3, size=[32, 32], patch=16, dim=384, depth=1, heads=6)
    tokens = 5
    per_block = tokens * (4 * 384 * 384 + 8 * 384 * 384) + 2 * tokens * tokens * 384
    assert flops(net, 1, 3, 32, 32) == 4 * 3 * 16 * 16 * 384 + per_block


def test_agrees_with_paddle_on_convolutions_without_bias() -> None:
    net = nn.Sequential(nn.Conv2D(3, 8, 3, bias_attr=False), nn.Conv2D(8, 4, 3, stride=2, bias_attr=False))
    assert flops(net, 1, 3, 16, 16) == paddle.flops(net, [1, 3, 16, 16])


def test_the_model_is_left_as_it_was() -> None:
    model = OnBatch(nn.Linear(2, 2))
    model.train()
    count_flops(model, {"x": paddle.zeros([1, 2])})
    assert model.training
    assert not model.layer._forward_post_hooks
