"""Heads by hand."""

import numpy as np
import paddle

from ppmm.models.heads.linear import LinearHead, MLPHead


def test_linear_head():
    head = LinearHead(2, 3, dropout=0.9)
    head.layers[1].weight.set_value(np.array([[1, 2, 3], [4, 5, 6]], "float32"))
    head.layers[1].bias.set_value(np.array([0.5, 0, -1], "float32"))
    head.eval()
    assert head(paddle.to_tensor([[1.0, -1.0], [0.0, 2.0]])).tolist() == [[-2.5, -3, -4], [8.5, 10, 11]]


def test_mlp_head():
    paddle.seed(0)
    head = MLPHead(3, 2, hidden=4, dropout=0.9)
    head.eval()
    x = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    first, second = head.layers[0], head.layers[3]
    hidden = np.maximum(x @ first.weight.numpy() + first.bias.numpy(), 0)
    wanted = hidden @ second.weight.numpy() + second.bias.numpy()
    np.testing.assert_allclose(head(paddle.to_tensor(x)).numpy(), wanted, atol=1e-6)
    assert (wanted < 0).any()  # logits are not cut at zero
