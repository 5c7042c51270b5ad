"""Learned embeddings in place of absent fields, by hand."""

import numpy as np
import paddle

from ppmm.models.layers.imputation import Imputation
from ppmm.types import Encoded

NAN = float("nan")


def filled(poison=NAN):
    layer = Imputation({"image": 2, "text": 1})
    layer.vectors["image"].set_value(paddle.to_tensor([[5.0, 6.0]]))
    layer.vectors["text"].set_value(paddle.to_tensor([[7.0]]))
    pooled = paddle.to_tensor([[1.0, 2.0], [poison, poison]])
    tokens = paddle.to_tensor([[[1.0, 1.0], [2.0, 2.0]], [[poison, poison], [poison, poison]]])
    mask = paddle.to_tensor([[True, True], [False, True]])
    text = Encoded(paddle.to_tensor([[poison], [3.0]]))
    present = {"image": paddle.to_tensor([True, False]), "text": paddle.to_tensor([False, True])}
    return layer, *layer({"image": Encoded(pooled, tokens, mask), "text": text}, present)


def test_by_hand():
    _, encoded, present = filled()
    assert encoded["image"].pooled.tolist() == [[1, 2], [5, 6]]
    assert encoded["image"].tokens.tolist() == [[[1, 1], [2, 2]], [[5, 6], [5, 6]]]
    assert encoded["image"].token_mask.tolist() == [[True, True], [True, False]], "one token stands for the field"
    assert encoded["text"].pooled.tolist() == [[7], [3]] and encoded["text"].tokens is None
    assert all(flags.all() for flags in present.values())


def test_only_absent_rows_teach_the_vectors():
    layer, encoded, _ = filled()
    (encoded["image"].pooled.sum() + 2 * encoded["text"].pooled.sum()).backward()
    assert layer.vectors["image"].grad.tolist() == [[1, 1]] and layer.vectors["text"].grad.tolist() == [[2]]


def test_tokens_without_a_mask_get_one():
    layer = Imputation({"image": 1})
    encoded = {"image": Encoded(paddle.zeros([2, 1]), paddle.ones([2, 3, 1]))}
    found, _ = layer(encoded, {"image": paddle.to_tensor([True, False])})
    assert found["image"].token_mask.tolist() == [[True] * 3, [True, False, False]]
    vector = layer.vectors["image"].numpy()
    assert np.array_equal(found["image"].tokens.numpy()[1], np.repeat(vector, 3, axis=0))
