"""A Transformer and one vector of its tokens: the three poolings, made of their parts."""

import numpy as np
import paddle
import pytest

from ppmm.models.layers.pooled_transformer import PooledTransformer

LENGTHS = [4, 2, 0]


def setting(pooling):
    paddle.seed(0)
    layer = PooledTransformer(8, layers=2, heads=2, dropout=0.3, pooling=pooling)
    layer.eval()
    x = paddle.to_tensor(np.random.default_rng(0).normal(size=(3, 4, 8)).astype("float32"))
    return layer, x, paddle.to_tensor(np.arange(4)[None] < np.array(LENGTHS)[:, None])


def test_mean():
    layer, x, mask = setting("mean")
    found = layer(x, mask)
    for row, length in enumerate(LENGTHS[:2]):
        alone = layer.encoder(x[row : row + 1, :length]).numpy()[0]
        np.testing.assert_allclose(found.tokens.numpy()[row, :length], alone, atol=1e-5)
        np.testing.assert_allclose(found.pooled.numpy()[row], alone.mean(0), atol=1e-5)
    assert not found.pooled.numpy()[2].any() and found.token_mask is mask


def test_class_token_stands_before_the_others_and_is_not_among_them():
    layer, x, mask = setting("class")
    found = layer(x, mask)
    assert found.tokens.shape == [3, 4, 8]
    for row, length in enumerate(LENGTHS):
        whole = paddle.concat([layer.class_token, x[row : row + 1, :length]], axis=1)
        alone = layer.encoder(whole).numpy()[0]
        np.testing.assert_allclose(found.pooled.numpy()[row], alone[0], atol=1e-5)
        np.testing.assert_allclose(found.tokens.numpy()[row, :length], alone[1:], atol=1e-5)
        assert not found.tokens.numpy()[row, length:].any()


def test_attention():
    layer, x, mask = setting("attention")
    found = layer(x, mask)
    wanted = layer.attention(layer.encoder(x, mask), mask).numpy()
    np.testing.assert_allclose(found.pooled.numpy(), wanted, atol=1e-6)


@pytest.mark.parametrize("pooling", ["mean", "class", "attention"])
def test_order_does_not_matter_without_positions(pooling):
    layer, x, _ = setting(pooling)
    np.testing.assert_allclose(layer(x.flip(1)).pooled.numpy(), layer(x).pooled.numpy(), atol=1e-5)
