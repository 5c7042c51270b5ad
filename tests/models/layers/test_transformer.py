import numpy as np
import paddle
import pytest
from scipy.special import erf

from ppmm.models.layers.transformer import CrossAttentionBlock, FeedForward, TransformerBlock, TransformerEncoder
from tests.models.layers.test_attention import attend, linear, random_biases, tensor


def normalise(layer, x):
    spread = np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    return (x - x.mean(-1, keepdims=True)) / spread * layer.weight.numpy() + layer.bias.numpy()


def feed_forward(layer, x):
    hidden = linear(layer.expand, x)
    return linear(layer.reduce, hidden * (1 + erf(hidden / np.sqrt(2))) / 2)


def block_in_numpy(block, x, mask):
    """One row [N,D]; ``mask`` [N] of its keys."""
    normal = normalise(block.attention_norm, x)
    x = x + attend(block.attention, normal, normal[mask])
    return x + feed_forward(block.feed_forward, normalise(block.feed_forward_norm, x))


MASK = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 1, 1]], bool)


def test_block_equals_numpy():
    block = random_biases(TransformerBlock(6, 2, ffn=10, dropout=0.3, drop_path=0.2))
    x = tensor(3, 4, 6)
    found = block(x, paddle.to_tensor(MASK)).numpy()
    for row in range(3):
        wanted = block_in_numpy(block, x.numpy()[row].astype(float), MASK[row])
        np.testing.assert_allclose(found[row], wanted, atol=1e-5)


def test_encoder_is_its_blocks_and_a_norm():
    encoder = random_biases(TransformerEncoder(6, depth=2, heads=3))
    x = tensor(3, 4, 6)
    found = encoder(x, paddle.to_tensor(MASK)).numpy()
    for row in range(3):
        wanted = x.numpy()[row].astype(float)
        for block in encoder.blocks:
            wanted = block_in_numpy(block, wanted, MASK[row])
        wanted = normalise(encoder.norm, wanted) * MASK[row][:, None]
        np.testing.assert_allclose(found[row], wanted, atol=1e-5)


def test_encoder_ignores_poison_and_survives_an_empty_row():
    encoder = random_biases(TransformerEncoder(6, depth=2, heads=3))
    mask = np.array([[1, 1, 1, 0], [0, 0, 0, 0]], bool)
    x = tensor(2, 4, 6).numpy()
    wanted = encoder(paddle.to_tensor(x), paddle.to_tensor(mask)).numpy()
    short = encoder(paddle.to_tensor(x[:1, :3]), None).numpy()
    np.testing.assert_allclose(wanted[:1, :3], short, atol=1e-5)
    assert not wanted[1].any()
    x[~mask] = np.nan
    np.testing.assert_allclose(encoder(paddle.to_tensor(x), paddle.to_tensor(mask)).numpy(), wanted, atol=1e-6)


def test_cross_block_equals_numpy_and_adds_nothing_without_context():
    block = random_biases(CrossAttentionBlock(6, 2, ffn=4, context_dim=3))
    x, context = tensor(2, 5, 6), tensor(2, 4, 3, seed=2).numpy()
    mask = np.array([[1, 0, 1, 1], [0, 0, 0, 0]], bool)
    context[~mask] = np.nan
    found = block(x, paddle.to_tensor(context), paddle.to_tensor(mask)).numpy()
    first, second = x.numpy().astype(float)
    keys = normalise(block.context_norm, context[0][mask[0]].astype(float))
    first = first + attend(block.attention, normalise(block.attention_norm, first), keys)
    for row, own in enumerate((first, second)):
        wanted = own + feed_forward(block.feed_forward, normalise(block.feed_forward_norm, own))
        np.testing.assert_allclose(found[row], wanted, atol=1e-5)


def test_parameter_count_of_a_bert_base_layer():
    """Devlin et al. 2019: 7,087,872 parameters per layer of 768, 12 heads, 3072; ours lacks the bias of the keys."""
    block = TransformerBlock(768, 12)
    assert sum(parameter.size for parameter in block.parameters()) == 7_087_872 - 768


def test_hidden_size_and_rates():
    assert FeedForward(4).expand.weight.shape == [4, 16] and FeedForward(4, 7).reduce.weight.shape == [7, 4]
    encoder = TransformerEncoder(4, depth=3, heads=1, drop_path=0.2)
    assert [block.drop_path.rate for block in encoder.blocks] == pytest.approx([0.0, 0.1, 0.2])
