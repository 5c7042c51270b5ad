"""Convolutions over words against NumPy, and the Transformer made of its parts."""

import numpy as np
import paddle
import pytest

from ppmm.models.encoders.text_cnn import TextCNN
from ppmm.models.encoders.text_transformer import TextTransformer

IDS = [[3, 4, 5, 6, 1, 2], [7], [2, 2], [9, 8, 7]]


def padded(to):
    ids = np.zeros((len(IDS), to), "int64")
    for row, words in enumerate(IDS):
        ids[row, : len(words)] = words
    return paddle.to_tensor(ids), paddle.to_tensor(ids > 0)


@pytest.mark.parametrize("widths", [[1], [2, 3], [3, 4, 5]])
def test_windows_by_hand(widths):
    paddle.seed(0)
    encoder = TextCNN(10, embed_dim=4, channels=3, widths=widths, dropout=0.5)
    encoder.eval()
    table = encoder.embedding.weight.numpy()
    found = encoder(*padded(8))
    assert encoder.out_dim == 3 * len(widths)
    for row, ids in enumerate(IDS):
        maps = []
        for width, window in zip(widths, encoder.windows, strict=True):
            weight, bias = window[1].weight.numpy(), window[1].bias.numpy()
            before, after = (width - 1) // 2, width // 2
            words = np.concatenate([np.zeros((before, 4)), table[ids], np.zeros((after, 4))])
            steps = [np.einsum("kd,cdk->c", words[at : at + width], weight) + bias for at in range(len(ids))]
            maps.append(np.maximum(steps, 0))
        wanted = np.concatenate(maps, axis=1)
        np.testing.assert_allclose(found.tokens.numpy()[row, : len(ids)], wanted, atol=1e-5)
        np.testing.assert_allclose(found.pooled.numpy()[row], wanted.max(0), atol=1e-5)


def test_wrong_widths():
    for widths in ([], [0, 3]):
        with pytest.raises(ValueError, match="widths"):
            TextCNN(10, widths=widths)


@pytest.mark.parametrize("pooling", ["class", "mean", "attention"])
def test_transformer_is_words_positions_blocks(pooling):
    paddle.seed(0)
    encoder = TextTransformer(10, dim=8, layers=1, heads=2, pooling=pooling)
    encoder.eval()
    ids, mask = padded(7)
    words = encoder.positions(paddle.to_tensor(encoder.embedding.weight.numpy()[ids.numpy()]))
    wanted = encoder.transformer(words, mask)
    found = encoder(ids, mask)
    np.testing.assert_allclose(found.pooled.numpy(), wanted.pooled.numpy(), atol=1e-6)
    np.testing.assert_allclose(found.tokens.numpy(), wanted.tokens.numpy(), atol=1e-6)


def test_word_order_matters_to_both():
    for kind in (TextCNN, TextTransformer):
        paddle.seed(0)
        encoder = kind(10)
        encoder.eval()
        there, back = (encoder(paddle.to_tensor([ids])).pooled.numpy() for ids in ([1, 2, 3], [3, 2, 1]))
        assert np.abs(there - back).max() > 1e-5


def test_words_and_positions_are_alike_large():
    paddle.seed(0)
    words = TextTransformer(1000, dim=64).embedding.weight.numpy()
    assert not words[0].any() and 0.9 < words[1:].std() < 1.1
