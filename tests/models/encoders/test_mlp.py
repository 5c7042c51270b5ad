"""The perceptron over numbers, by hand."""

import numpy as np
import paddle

from ppmm.models.encoders.mlp import MLPEncoder


def test_by_hand():
    encoder = MLPEncoder(2, dim=2, hidden=3)
    first, second = encoder.layers[0], encoder.layers[3]
    first.weight.set_value(np.array([[1, 0, -1], [0, 2, 1]], "float32"))
    first.bias.set_value(np.array([0, -1, 0], "float32"))
    second.weight.set_value(np.array([[1, -1], [1, 1], [3, 0]], "float32"))
    second.bias.set_value(np.array([0.5, -2], "float32"))
    encoder.eval()
    # [1, 2]: relu([1, 3, 1]) -> [7.5, 0]; [-1, 0]: relu([-1, -1, 1]) -> [3.5, relu(-2)]
    found = encoder(paddle.to_tensor([[1.0, 2.0], [-1.0, 0.0]]))
    assert found.pooled.tolist() == [[7.5, 0.0], [3.5, 0.0]] and found.tokens is None


def test_hidden_size_defaults_to_dim():
    encoder = MLPEncoder(5, dim=7)
    assert list(encoder.layers[0].weight.shape) == [5, 7] and encoder.out_dim == 7


def test_missing_numbers_by_hand():
    encoder = MLPEncoder(2, dim=1, hidden=1, missing=True)
    encoder.missing.fill.set_value(np.array([10, 20], "float32"))
    encoder.layers[0].weight.set_value(np.array([[1], [1], [100], [1000]], "float32"))
    encoder.layers[3].weight.set_value(np.array([[1]], "float32"))
    encoder.eval()
    nan = float("nan")
    found = encoder(paddle.to_tensor([[1.0, 2.0], [nan, 2.0], [1.0, nan], [nan, nan]]))
    assert found.pooled.flatten().tolist() == [3, 10 + 2 + 100, 1 + 20 + 1000, 30 + 1100]
