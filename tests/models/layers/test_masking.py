"""Masking helpers: what stands in a masked place must not matter, not even NaN."""

import numpy as np
import paddle
import pytest

from ppmm.models.layers.masking import keep, keep_rows, lengths_of, masked_mean

POISON = [float("nan"), float("inf"), -float("inf"), 3e38]
MASK = np.array([[True, True, False], [True, False, False], [False, False, False], [True, True, True]])


def poisoned(values: np.ndarray, mask: np.ndarray, poison: float) -> paddle.Tensor:
    values = values.copy()
    values[~mask] = poison
    return paddle.to_tensor(values)


@pytest.mark.parametrize("poison", POISON)
@pytest.mark.parametrize("tail", [(), (5,), (5, 2)])
def test_keep_zeroes_masked_steps(poison, tail):
    values = np.random.default_rng(0).normal(size=(*MASK.shape, *tail)).astype("float32")
    kept = keep(poisoned(values, MASK, poison), paddle.to_tensor(MASK)).numpy()
    wide = MASK.reshape(*MASK.shape, *[1] * len(tail))
    assert np.array_equal(kept, np.where(wide, values, 0))


def test_keep_without_mask_is_the_same_object():
    x = paddle.ones([2, 3, 4])
    assert keep(x, None) is x


def test_keep_of_int64():
    ids = paddle.to_tensor([[5, 6, 2**40], [7, -1, -1], [9, 9, 9], [1, 2, 3]])
    assert keep(ids, paddle.to_tensor(MASK)).tolist() == [[5, 6, 0], [7, 0, 0], [0, 0, 0], [1, 2, 3]]


@pytest.mark.parametrize("poison", POISON)
@pytest.mark.parametrize("shape", [(3,), (3, 4), (3, 2, 4, 4)])
def test_keep_rows(poison, shape):
    values = np.random.default_rng(0).normal(size=shape).astype("float32")
    present = np.array([True, False, True])
    kept = keep_rows(poisoned(values, present, poison), paddle.to_tensor(present)).numpy()
    assert np.array_equal(kept[[0, 2]], values[[0, 2]]) and not kept[1].any()


@pytest.mark.parametrize("dtype", ["int64", "float64"])
def test_keep_rows_keeps_the_dtype(dtype):
    kept = keep_rows(paddle.to_tensor([[1, 2], [3, 4]]).astype(dtype), paddle.to_tensor([False, True]))
    assert kept.tolist() == [[0, 0], [3, 4]] and kept.numpy().dtype == dtype


def test_lengths_are_at_least_one():
    lengths = lengths_of(paddle.to_tensor(MASK))
    assert lengths.tolist() == [2, 1, 1, 3] and lengths.dtype == paddle.int64


@pytest.mark.parametrize("poison", POISON)
def test_masked_mean(poison):
    values = np.random.default_rng(1).normal(size=(4, 3, 2)).astype("float32")
    found = masked_mean(poisoned(values, MASK, poison), paddle.to_tensor(MASK)).numpy()
    wanted = [values[0, :2].mean(0), values[1, 0], np.zeros(2), values[3].mean(0)]
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_mean_without_mask():
    assert masked_mean(paddle.to_tensor([[[1.0, 10.0], [3.0, 20.0]]]), None).tolist() == [[2.0, 15.0]]


@pytest.mark.parametrize("function", [keep, masked_mean])
def test_no_gradient_through_masked_steps(function):
    x = poisoned(np.ones((4, 3, 2), "float32"), MASK, float("nan"))
    x.stop_gradient = False
    function(x, paddle.to_tensor(MASK)).sum().backward()
    gradient = x.grad.numpy()
    share = MASK if function is keep else MASK / np.maximum(MASK.sum(1, keepdims=True), 1)
    np.testing.assert_allclose(gradient, np.repeat(share[:, :, None], 2, 2), atol=1e-6)
