"""Query pooling against NumPy, and what it is for: order."""

import numpy as np
import paddle
import pytest

from ppmm.models.layers.query_pooling import QueryPooling

LENGTHS = np.array([5, 2, 1, 0])
MASK = np.arange(5)[None] < LENGTHS[:, None]


def pooling(queries=3):
    paddle.seed(0)
    return QueryPooling(4, 6, queries)


def inputs(padding=0.0):
    x = np.random.default_rng(0).normal(size=(4, 5, 4)).astype("float32")
    x[~MASK] = padding
    return x


def expected(layer, x, mask):
    """Lin et al. 2017, equations 6 and 7, one row and query after the other."""
    values = {name: p.numpy().astype(float) for name, p in layer.named_parameters()}
    rows = []
    for steps, kept in zip(x, mask, strict=True):
        steps = steps[kept]
        scores = np.tanh(steps @ values["key.weight"] + values["key.bias"]) @ values["score.weight"]
        weights = np.exp(scores) / np.exp(scores).sum(0)
        parts = [weights[:, query] @ steps for query in range(scores.shape[1])]
        rows.append(np.concatenate(parts) @ values["project.weight"] + values["project.bias"])
    return np.stack(rows)


def test_against_numpy():
    layer, x = pooling(), inputs()
    found = layer(paddle.to_tensor(x), paddle.to_tensor(MASK)).numpy()
    np.testing.assert_allclose(found[:3], expected(layer, x[:3], MASK[:3]), atol=1e-5)
    np.testing.assert_allclose(found[3], layer.project.bias.numpy(), atol=1e-6, err_msg="a row without steps")
    whole = np.ones_like(MASK)
    found = layer(paddle.to_tensor(x)).numpy()
    np.testing.assert_allclose(found, expected(layer, x, whole), atol=1e-5)


@pytest.mark.parametrize("padding", [float("nan"), 1e30])
def test_padding_is_not_seen(padding):
    layer, mask = pooling(), paddle.to_tensor(MASK)
    clean = layer(paddle.to_tensor(inputs()), mask).numpy()
    np.testing.assert_array_equal(layer(paddle.to_tensor(inputs(padding)), mask).numpy(), clean)


def test_a_query_can_stand_for_a_place():
    """With a step's place as its first number and one query per place, the order of the items is read off."""
    layer = QueryPooling(3, 4, queries=2)
    layer.key.weight.set_value(np.eye(3, dtype="float32"))
    layer.key.bias.set_value(np.zeros(3, "float32"))
    layer.score.weight.set_value(np.array([[40.0, -40.0], [0, 0], [0, 0]], "float32"))
    layer.project.weight.set_value(
        np.array([[0] * 4, [1, 0, 0, 0], [0, 1, 0, 0], [0] * 4, [0, 0, 1, 0], [0, 0, 0, 1]], "float32")
    )
    layer.project.bias.set_value(np.zeros(4, "float32"))
    seven, two = [0.5, 0.1], [0.2, 0.9]
    for first, second in ((seven, two), (two, seven)):
        found = layer(paddle.to_tensor([[[3.0, *first], [-3.0, *second]]])).numpy()[0]
        np.testing.assert_allclose(found, [*first, *second], atol=1e-6)


def test_no_queries_are_refused():
    with pytest.raises(ValueError, match="at least 1"):
        QueryPooling(4, 4, queries=0)
