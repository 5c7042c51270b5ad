"""Text encoders: by hand, and blind to padding."""

import numpy as np
import paddle
import pytest

from ppmm.models.encoders.embedding_bag import EmbeddingBag
from ppmm.models.encoders.text_rnn import BiGRU, BiLSTM

IDS = [[3, 4, 5, 6], [7], [2, 2], [9, 8, 7]]


def padded(to, padding=0):
    ids = np.full((len(IDS), to), padding)
    for row, words in enumerate(IDS):
        ids[row, : len(words)] = words
    mask = np.arange(to)[None] < np.array([[len(words)] for words in IDS])
    return paddle.to_tensor(ids), paddle.to_tensor(mask)


def test_embedding_bag_by_hand():
    bag = EmbeddingBag(5, dim=2)
    bag.embedding.weight.set_value(np.array([[0, 0], [1, 10], [2, 20], [4, 40], [8, 80]], "float32"))
    mask = paddle.to_tensor([[True, True, False], [True, True, True], [False, False, False]])
    found = bag(paddle.to_tensor([[1, 2, 0], [4, 4, 3], [0, 0, 0]]), mask)
    np.testing.assert_allclose(found.pooled.numpy(), [[1.5, 15], [20 / 3, 200 / 3], [0, 0]], rtol=1e-6)
    assert found.tokens.numpy()[0].tolist() == [[1, 10], [2, 20], [0, 0]]


def test_a_true_padding_id_counts_where_the_mask_says_so():
    bag = EmbeddingBag(3, dim=1)
    bag.embedding.weight.set_value(np.array([[0], [6], [9]], "float32"))
    assert bag(paddle.to_tensor([[1, 0, 2]]), paddle.ones([1, 3], dtype="bool")).pooled.tolist() == [[5.0]]
    assert bag(paddle.to_tensor([[1, 0, 2]])).pooled.tolist() == [[5.0]]


@pytest.mark.parametrize("kind", [BiLSTM, BiGRU, EmbeddingBag])
@pytest.mark.parametrize(("to", "padding"), [(4, 0), (11, 0), (6, 5)])
def test_padding_invariance(kind, to, padding):
    paddle.seed(0)
    encoder = kind(10, dim=6)
    encoder.eval()
    found = encoder(*padded(to, padding))
    for row, words in enumerate(IDS):
        alone = encoder(paddle.to_tensor([words]))
        np.testing.assert_allclose(found.pooled.numpy()[row], alone.pooled.numpy()[0], atol=1e-6)
        np.testing.assert_allclose(found.tokens.numpy()[row, : len(words)], alone.tokens.numpy()[0], atol=1e-6)
        assert not found.tokens.numpy()[row, len(words) :].any()


@pytest.mark.parametrize("kind", [BiLSTM, BiGRU])
def test_recurrent_encoder_is_embedding_recurrence_mean(kind):
    paddle.seed(0)
    encoder = kind(10, dim=6, embed_dim=4, layers=2, dropout=0.4)
    encoder.eval()
    ids, mask = padded(5)
    assert list(encoder.embedding.weight.shape) == [10, 4]
    words = encoder.embedding.weight.numpy()[ids.numpy()]
    steps = encoder.recurrent(paddle.to_tensor(words), mask).numpy()
    found = encoder(ids, mask)
    np.testing.assert_allclose(found.tokens.numpy(), steps, atol=1e-6)
    for row, own in enumerate(IDS):
        np.testing.assert_allclose(found.pooled.numpy()[row], steps[row, : len(own)].mean(0), atol=1e-6)


def test_word_order_matters_to_the_recurrent_ones_only():
    paddle.seed(0)
    for kind, matters in ((BiLSTM, True), (BiGRU, True), (EmbeddingBag, False)):
        encoder = kind(10, dim=6)
        encoder.eval()
        there, back = (encoder(paddle.to_tensor([ids])).pooled.numpy() for ids in ([1, 2, 3], [3, 2, 1]))
        assert bool(np.abs(there - back).max() > 1e-5) is matters


@pytest.mark.parametrize("kind", [BiLSTM, BiGRU, EmbeddingBag])
def test_padding_never_trains_the_embedding(kind):
    paddle.seed(0)
    encoder = kind(10, dim=6)
    encoder(*padded(7)).pooled.sum().backward()
    gradient = encoder.embedding.weight.grad.numpy()
    seen = sorted({word for words in IDS for word in words})
    assert np.flatnonzero(np.abs(gradient).sum(1)).tolist() == seen


def test_embeddings_begin_with_the_stated_spread():
    paddle.seed(0)
    assert BiLSTM(2000, 8, embed_std=0.5).embedding.weight[1:].numpy().std() == pytest.approx(0.5, rel=0.02)
