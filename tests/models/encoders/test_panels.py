"""Panels of a picture: where they are cut, and that each is read by itself."""

from __future__ import annotations

import numpy as np
import paddle
import pytest

from ppmm.errors import DataError
from ppmm.models.encoders.panels import Panels


def test_panels_are_cut_where_nlvr_has_its_boxes():
    x = paddle.arange(40, dtype="float32").reshape([1, 1, 1, 40])
    parts = Panels(1, panels=3, gap=0.5).cut(x).numpy()[:, 0, 0]
    assert parts.tolist() == [list(range(10)), list(range(15, 25)), list(range(30, 40))]


def test_a_token_is_that_of_its_panel_and_the_order_does_not_matter():
    paddle.seed(0)
    encoder = Panels(3, panels=2, channels=[4], dim=6)
    encoder.eval()
    x = np.random.default_rng(0).normal(size=(2, 3, 8, 16)).astype("float32")
    both = encoder(paddle.to_tensor(x))
    swapped = encoder(paddle.to_tensor(np.concatenate([x[..., 8:], x[..., :8]], axis=-1)))
    assert both.tokens.shape == [2, 2, 6] and encoder.out_dim == 6
    assert np.allclose(both.tokens.numpy(), swapped.tokens.numpy()[:, ::-1], atol=1e-6)
    assert np.allclose(both.pooled.numpy(), swapped.pooled.numpy(), atol=1e-6)
    assert np.allclose(both.pooled.numpy(), both.tokens.numpy().mean(1), atol=1e-6)
    grid = encoder.stages(paddle.to_tensor(x[:, :, :, :8])).numpy()
    seen = np.concatenate([grid.mean((2, 3)), grid.max((2, 3))], axis=-1)
    linear = encoder.project[0]
    expected = np.maximum(seen @ linear.weight.numpy() + linear.bias.numpy(), 0)
    assert np.allclose(both.tokens.numpy()[:, 0], expected, atol=1e-5)


def test_refusals():
    for bad in ({"panels": 0}, {"gap": -0.1}, {"channels": []}):
        with pytest.raises(ValueError, match="panels"):
            Panels(3, **bad)
    with pytest.raises(DataError, match="2 columns cannot be cut into 3 panels"):
        Panels(3)(paddle.zeros([1, 3, 4, 2]))
