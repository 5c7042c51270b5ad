"""Embeddings and tokens for fusions: absent rows and padding are zero, and the mask says so."""

import numpy as np
import paddle
import pytest

from ppmm.models.layers.encoded import pooled_of, token_mask_of, tokens_of
from ppmm.models.layers.field_projections import mean_of_present
from ppmm.types import Encoded

PRESENT = paddle.to_tensor([True, False, True])
NAN = float("nan")


def test_pooled():
    pooled = paddle.to_tensor([[1.0, 2.0], [NAN, 3.0], [4.0, 5.0]])
    assert pooled_of(Encoded(pooled), PRESENT).tolist() == [[1, 2], [0, 0], [4, 5]]


def test_tokens_and_their_mask():
    tokens = paddle.to_tensor([[[1.0], [NAN]], [[NAN], [NAN]], [[3.0], [4.0]]])
    encoded = Encoded(paddle.zeros([3, 1]), tokens, paddle.to_tensor([[True, False], [True, True], [True, True]]))
    found, mask = tokens_of(encoded, PRESENT)
    assert mask.tolist() == [[True, False], [False, False], [True, True]]
    assert found.tolist() == [[[1], [0]], [[0], [0]], [[3], [4]]]


def test_every_token_counts_without_a_mask():
    encoded = Encoded(paddle.zeros([3, 1]), paddle.ones([3, 2, 1]))
    assert token_mask_of(encoded).tolist() == [[True, True]] * 3
    assert tokens_of(encoded, PRESENT)[1].tolist() == [[True, True], [False, False], [True, True]]


def test_the_embedding_is_the_only_token_where_there_are_none():
    found, mask = tokens_of(Encoded(paddle.to_tensor([[1.0, 2.0], [NAN, NAN], [3.0, 4.0]])), PRESENT)
    assert found.tolist() == [[[1, 2]], [[0, 0]], [[3, 4]]] and mask.tolist() == [[True], [False], [True]]


@pytest.mark.parametrize("tail", [(2,), (3, 2)])
def test_mean_of_present_fields(tail):
    values = {name: np.random.default_rng(seed).normal(size=(3, *tail)) for seed, name in enumerate("ab")}
    values["b"][1] = np.nan
    present = {"a": PRESENT, "b": paddle.to_tensor([True, False, False])}
    found = mean_of_present({name: paddle.to_tensor(array) for name, array in values.items()}, present).numpy()
    np.testing.assert_allclose(found, [(values["a"] + values["b"])[0] / 2, np.zeros(tail), values["a"][2]], atol=1e-12)
