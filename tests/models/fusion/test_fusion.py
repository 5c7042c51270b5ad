"""Concatenation and gates: their equations in NumPy, for every subset of present fields."""

import itertools

import numpy as np
import paddle
import pytest

from ppmm.models.fusion.concat import ConcatFusion
from ppmm.models.fusion.gated import GatedFusion
from ppmm.types import Encoded

DIMS = {"image": 3, "audio": 4, "text": 2}
SUBSETS = [bits for bits in itertools.product([False, True], repeat=3) if any(bits)]


def layer_norm(x, norm):
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + 1e-5) * norm.weight.numpy() + norm.bias.numpy()


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def linear(x, layer):
    return x @ layer.weight.numpy() + layer.bias.numpy()


def make(kind):
    paddle.seed(0)
    fusion = kind(DIMS, dim=5, dropout=0.5)
    rng = np.random.default_rng(0)
    for parameter in fusion.parameters():
        if len(parameter.shape) == 1:
            parameter.set_value(rng.normal(size=parameter.shape).astype("float32"))
    fusion.eval()
    return fusion


def inputs(poison=0.0):
    """One row per non-empty subset; absent embeddings are ``poison``."""
    rng = np.random.default_rng(1)
    embeds = {field: rng.normal(size=(len(SUBSETS), size)).astype("float32") for field, size in DIMS.items()}
    present = {field: np.array([bits[number] for bits in SUBSETS]) for number, field in enumerate(DIMS)}
    for field, flags in present.items():
        embeds[field][~flags] = poison
    return embeds, present


def run(fusion, embeds, present):
    return fusion(
        {field: Encoded(paddle.to_tensor(embed)) for field, embed in embeds.items()},
        {field: paddle.to_tensor(flags) for field, flags in present.items()},
    ).numpy()


def masked_parts(fusion, embeds, present):
    return {
        field: layer_norm(embeds[field].astype(float), fusion.norms[field]) * present[field][:, None] for field in DIMS
    }


@pytest.mark.parametrize("poison", [0.0, float("nan"), 1e30, -float("inf")])
def test_concat_equation(poison):
    fusion = make(ConcatFusion)
    embeds, present = inputs()
    parts = [*masked_parts(fusion, embeds, present).values(), *(flags[:, None] for flags in present.values())]
    wanted = np.maximum(linear(np.concatenate(parts, -1), fusion.project), 0)
    np.testing.assert_allclose(run(fusion, *inputs(poison)), wanted, atol=1e-5)


@pytest.mark.parametrize("poison", [0.0, float("nan"), 1e30, -float("inf")])
def test_gated_equation(poison):
    fusion = make(GatedFusion)
    embeds, present = inputs()
    parts = masked_parts(fusion, embeds, present)
    joint = np.concatenate(list(parts.values()), -1)
    wanted = sum(
        present[field][:, None]
        * sigmoid(linear(joint, fusion.gates[field]))
        * np.tanh(linear(part, fusion.values[field]))
        for field, part in parts.items()
    )
    np.testing.assert_allclose(run(fusion, *inputs(poison)), wanted, atol=1e-5)


@pytest.mark.parametrize("kind", [ConcatFusion, GatedFusion])
def test_an_absent_field_is_not_a_present_zero(kind):
    fusion = make(kind)
    embeds, present = inputs()
    embeds["audio"][:] = 0
    present["audio"][:] = True
    with_zero = run(fusion, embeds, present)
    present["audio"][:] = False
    rest = np.array([bits[0] or bits[2] for bits in SUBSETS])
    assert (np.abs(with_zero - run(fusion, embeds, present)).max(1)[rest] > 1e-4).all()


@pytest.mark.parametrize("kind", [ConcatFusion, GatedFusion])
def test_towers_of_absent_fields_get_no_gradient(kind):
    fusion = make(kind)
    embeds, present = inputs()
    tensors = {field: paddle.to_tensor(embed, stop_gradient=False) for field, embed in embeds.items()}
    encoded = {field: Encoded(tensor) for field, tensor in tensors.items()}
    (fusion(encoded, {field: paddle.to_tensor(flags) for field, flags in present.items()}) ** 2).sum().backward()
    for field, flags in present.items():
        gradient = np.abs(tensors[field].grad.numpy()).max(1)
        assert not gradient[~flags].any() and (gradient[flags] > 0).all()
    for parameter in fusion.parameters():
        assert np.isfinite(parameter.grad.numpy()).all()
