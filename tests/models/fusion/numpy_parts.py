"""A tiny batch with one row per subset of fields, and the layers in NumPy, one row at a time and without any mask."""

import itertools
import math

import numpy as np
import paddle

from ppmm.types import Encoded

DIMS = {"image": 3, "audio": 4, "text": 2}
SUBSETS = [bits for bits in itertools.product([False, True], repeat=3) if any(bits)]
TOKENS = {"image": 2, "audio": 3}
"""Text has none; the audio of some rows is padded."""


def make(kind, dims=None, **arguments):
    """A fusion with dropout that must not act in evaluation mode, and with biases that are not zero."""
    paddle.seed(0)
    fusion = kind(dims or DIMS, **{"dropout": 0.5, **arguments})
    rng = np.random.default_rng(0)
    for parameter in fusion.parameters():
        if len(parameter.shape) == 1:
            parameter.set_value(rng.normal(size=parameter.shape).astype("float32"))
    fusion.eval()
    return fusion


def case():
    """What a fusion takes, and the same as rows {field: (pooled [D], tokens [N,D])} of what is present and counts."""
    rng = np.random.default_rng(1)
    encoded, present, rows = {}, {}, [{} for _ in SUBSETS]
    for number, (field, size) in enumerate(DIMS.items()):
        flags = np.array([bits[number] for bits in SUBSETS])
        count = TOKENS.get(field, 0)
        pooled = rng.normal(size=(len(SUBSETS), size)).astype("float32")
        tokens = rng.normal(size=(len(SUBSETS), count, size)).astype("float32")
        lengths = rng.integers(1, count + 1, size=len(SUBSETS)) if field == "audio" else [count] * len(SUBSETS)
        mask = np.arange(count) < np.array(lengths)[:, None]
        parts = [pooled, tokens, mask] if field == "audio" else [pooled, tokens] if count else [pooled]
        encoded[field] = Encoded(*(paddle.to_tensor(part) for part in parts))
        present[field] = paddle.to_tensor(flags)
        for row in np.flatnonzero(flags):
            rows[row][field] = pooled[row].astype(float), tokens[row, : lengths[row]].astype(float)
    return encoded, present, rows


def assert_equation(fusion, equation, atol=1e-5):
    """``equation(row)`` is what the fusion answers to each row."""
    encoded, present, rows = case()
    wanted = np.stack([equation(row) for row in rows])
    np.testing.assert_allclose(fusion(encoded, present).numpy(), wanted, atol=atol)


def array(parameter):
    return parameter.numpy().astype(float)


def linear(x, layer):
    bias = 0 if layer.bias is None else array(layer.bias)
    return x @ array(layer.weight) + bias


def layer_norm(x, norm):
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + 1e-5) * array(norm.weight) + array(norm.bias)


def relu(x):
    return np.maximum(x, 0)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    shifted = np.exp(x - x.max(-1, keepdims=True))
    return shifted / shifted.sum(-1, keepdims=True)


def gelu(x):
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def projected(projections, field, x):
    """`PooledProjections` of one field."""
    return linear(layer_norm(x, projections.norms[field]), projections.linears[field])


def positions(count, dim):
    angles = np.arange(count)[:, None] * 10000.0 ** (-np.arange(0, dim, 2) / dim)
    return np.concatenate([np.sin(angles), np.cos(angles)], -1)


def sequence(projections, field, pooled, tokens):
    """`TokenProjections` of one field: [1+N,dim]."""
    steps = linear(layer_norm(np.vstack([pooled, *tokens]), projections.norms[field]), projections.linears[field])
    return steps + positions(*steps.shape) + array(projections.vectors[field])[0, 0]


def attend(layer, query, context):
    """`MultiHeadAttention`; zeros where there is nothing to attend to."""
    if not len(context):
        return np.zeros_like(query)
    q, k, v = linear(query, layer.query), linear(context, layer.key), linear(context, layer.value)
    heads = []
    for head in range(layer.heads):
        part = slice(head * layer.head_dim, (head + 1) * layer.head_dim)
        heads.append(softmax(q[:, part] @ k[:, part].T / math.sqrt(layer.head_dim)) @ v[:, part])
    return linear(np.concatenate(heads, -1), layer.out)


def feed_forward(x, block):
    hidden = gelu(linear(layer_norm(x, block.feed_forward_norm), block.feed_forward.expand))
    return x + linear(hidden, block.feed_forward.reduce)


def self_block(x, block):
    """`TransformerBlock`."""
    normed = layer_norm(x, block.attention_norm)
    return feed_forward(x + attend(block.attention, normed, normed), block)


def cross_block(x, context, block):
    """`CrossAttentionBlock`."""
    found = attend(block.attention, layer_norm(x, block.attention_norm), layer_norm(context, block.context_norm))
    return feed_forward(x + found, block)
