import numpy as np
import paddle
import pytest

from ppmm.models.layers.attention import AttentionPooling, MultiHeadAttention
from ppmm.models.layers.drop_path import DropPath, drop_rates


def softmax(scores):
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def linear(layer, x):
    bias = 0.0 if layer.bias is None else layer.bias.numpy().astype(float)
    return x @ layer.weight.numpy().astype(float) + bias


def attend(layer, query, keys):
    """Attention of one row [N,D] to its true keys [M,C], head by head."""
    q, k, v = linear(layer.query, query), linear(layer.key, keys), linear(layer.value, keys)
    size = q.shape[1] // layer.heads
    heads = []
    for start in range(0, q.shape[1], size):
        own = slice(start, start + size)
        heads.append(softmax(q[:, own] @ k[:, own].T / np.sqrt(size)) @ v[:, own])
    return linear(layer.out, np.concatenate(heads, axis=1))


def random_biases(layer):
    rng = np.random.default_rng(0)
    for key, tensor in layer.state_dict().items():
        if key.endswith("bias"):
            tensor.set_value(rng.normal(size=tensor.shape).astype("float32"))
    layer.eval()
    return layer


@pytest.fixture
def self_attention():
    paddle.seed(0)
    return random_biases(MultiHeadAttention(6, 3, dropout=0.4))


def tensor(*shape, seed=1):
    return paddle.to_tensor(np.random.default_rng(seed).normal(size=shape).astype("float32"))


def test_self_attention_equals_numpy(self_attention):
    x = tensor(2, 5, 6)
    found = self_attention(x).numpy()
    for row in range(2):
        own = x.numpy()[row].astype(float)
        np.testing.assert_allclose(found[row], attend(self_attention, own, own), atol=1e-6)


def test_masked_keys_do_not_exist(self_attention):
    x = tensor(3, 4, 6)
    mask = np.array([[1, 1, 1, 1], [1, 0, 1, 0], [0, 0, 0, 1]], bool)
    found = self_attention(x, None, paddle.to_tensor(mask)).numpy()
    for row in range(3):
        own = x.numpy()[row].astype(float)
        np.testing.assert_allclose(found[row], attend(self_attention, own, own[mask[row]]), atol=1e-6)


def test_cross_attention_of_another_size_ignores_poison():
    layer = random_biases(MultiHeadAttention(4, 2, context_dim=3))
    query, keys = tensor(2, 5, 4), tensor(2, 3, 3, seed=2).numpy()
    mask = np.array([[True, False, True], [False, True, True]])
    wanted = [attend(layer, query.numpy()[row].astype(float), keys[row][mask[row]]) for row in range(2)]
    for poison in (np.nan, np.inf, 1e30):
        keys[~mask] = poison
        found = layer(query, paddle.to_tensor(keys), paddle.to_tensor(mask)).numpy()
        np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_no_key_at_all_gives_zeros_and_finite_gradients(self_attention):
    x = tensor(2, 3, 6)
    x.stop_gradient = False
    found = self_attention(x, None, paddle.to_tensor([[True, True, False], [False, False, False]]))
    assert not found[1].numpy().any() and found[0].numpy().all()
    (found**2).sum().backward()
    assert np.isfinite(x.grad.numpy()).all() and not x.grad[1].numpy().any()
    assert all(np.isfinite(parameter.grad.numpy()).all() for parameter in self_attention.parameters())


def test_dropout_acts_on_the_weights_in_training_only(self_attention):
    x = tensor(1, 4, 6)
    assert np.array_equal(self_attention(x).numpy(), self_attention(x).numpy())
    self_attention.train()
    assert not np.array_equal(self_attention(x).numpy(), self_attention(x).numpy())


@pytest.mark.parametrize(("dim", "heads"), [(6, 4), (6, 0)])
def test_dim_must_be_a_multiple_of_heads(dim, heads):
    with pytest.raises(ValueError, match=f"dim {dim} and heads {heads}"):
        MultiHeadAttention(dim, heads)


def test_attention_pooling_is_attention_of_its_seed():
    pool = random_biases(AttentionPooling(6, 2))
    tokens = tensor(3, 4, 6)
    mask = np.array([[1, 1, 1, 1], [0, 1, 1, 0], [0, 0, 0, 0]], bool)
    found = pool(tokens, paddle.to_tensor(mask)).numpy()
    for row in range(2):
        wanted = attend(pool.attention, pool.seed.numpy()[0].astype(float), tokens.numpy()[row][mask[row]])
        np.testing.assert_allclose(found[row], wanted[0], atol=1e-6)
    assert found.shape == (3, 6) and not found[2].any()


def test_drop_path_leaves_out_whole_rows_and_keeps_the_mean():
    paddle.seed(3)
    layer = DropPath(0.25)
    x = paddle.ones([4000, 2, 3])
    found = layer(x).numpy().reshape(4000, 6)
    assert (found == found[:, :1]).all(), "a row is dropped as a whole"
    np.testing.assert_allclose(np.unique(found), [0.0, 4 / 3], rtol=1e-6)
    assert (found[:, 0] == 0).mean() == pytest.approx(0.25, abs=0.03)
    layer.eval()
    assert np.array_equal(layer(x).numpy(), x.numpy())


@pytest.mark.parametrize("rate", [-0.1, 1.0])
def test_drop_path_refuses_a_rate_outside(rate):
    with pytest.raises(ValueError, match="stochastic depth"):
        DropPath(rate)


def test_drop_rates_rise_linearly():
    assert drop_rates(0.3, 4) == pytest.approx([0.0, 0.1, 0.2, 0.3])
    assert drop_rates(0.3, 1) == [0.0]
