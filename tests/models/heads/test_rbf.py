"""The radial-basis head by hand."""

import math

import numpy as np
import paddle

from ppmm.models.heads.rbf import RBFHead


def test_by_hand():
    head = RBFHead(2, 3, centres=2)
    units, linear = head.layers
    units.centres.set_value(np.array([[0, 0], [0, 2]], "float32"))
    units.log_width.set_value(np.zeros(2, "float32"))
    linear.weight.set_value(np.array([[1, 2, 0], [0, 1, 4]], "float32"))
    linear.bias.set_value(np.array([0.5, 0, 0], "float32"))
    near = math.exp(-2)
    np.testing.assert_allclose(head(paddle.to_tensor([[0.0, 0.0]])).numpy(), [[1.5, 2 + near, 4 * near]], rtol=1e-5)
