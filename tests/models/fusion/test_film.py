"""FiLM: its equation in NumPy, the fall back where the condition is absent, and refusals."""

import numpy as np
import paddle
import pytest

from ppmm.models.fusion.film import FiLMFusion
from ppmm.types import Encoded
from tests.models.fusion.numpy_parts import DIMS, assert_equation, case, layer_norm, linear, make, projected, relu


def modulated(fusion, row, field, sources):
    """f_k: mean over tokens of relu((1 + gamma) v + beta)."""
    pooled, tokens = row[field]
    steps = tokens if len(tokens) else pooled[None]
    value = linear(layer_norm(steps, fusion.norms[field]), fusion.values[field])
    found = [projected(fusion.sources, source, row[source][0]) for source in sources if source in row]
    if found:
        z = np.mean(found, axis=0)
        value = (1 + linear(z, fusion.scales[field])) * value + linear(z, fusion.shifts[field])
    return relu(value).mean(0)


def test_symmetric_equation():
    fusion = make(FiLMFusion, dim=5)

    def equation(row):
        return np.mean([modulated(fusion, row, field, [o for o in DIMS if o != field]) for field in row], axis=0)

    assert_equation(fusion, equation)


@pytest.mark.parametrize("condition", list(DIMS))
def test_conditioned_equation(condition):
    fusion = make(FiLMFusion, dim=5, condition=condition)

    def equation(row):
        others = [field for field in row if field != condition]
        if not others:
            return relu(projected(fusion.sources, condition, row[condition][0]))
        return np.mean([modulated(fusion, row, field, [condition]) for field in others], axis=0)

    assert_equation(fusion, equation)


def test_condition_only_multiplies_and_shifts_by_hand():
    fusion = make(FiLMFusion, {"image": 2, "text": 1}, dim=1, condition="text")
    encoded = case()[0]
    for layer, weight, bias in (
        (fusion.values["image"], [[1.0], [0.0]], 0.5), (fusion.sources.linears["text"], [[0.0]], 2.0),
        (fusion.scales["image"], [[0.25]], None), (fusion.shifts["image"], [[-0.5]], None),
    ):  # fmt: skip
        layer.weight.set_value(paddle.to_tensor(weight))
        if bias is not None:
            layer.bias.set_value(paddle.to_tensor([bias]))
    for norm in (fusion.norms["image"], fusion.sources.norms["text"]):
        norm.weight.set_value(paddle.ones_like(norm.weight))
        norm.bias.set_value(paddle.zeros_like(norm.bias))
    image = encoded["image"]._replace(pooled=paddle.to_tensor([[3.0, 1.0]]), tokens=None)
    text = encoded["text"]._replace(pooled=paddle.to_tensor([[7.0]]))
    yes, no = paddle.to_tensor([True]), paddle.to_tensor([False])
    inputs = {"image": image, "text": text}
    # norm([3, 1]) = [1, -1], v = 1.5, z = 2: (1 + 0.5) * 1.5 - 1 = 1.25; without the text v = 1.5 as it is
    assert float(fusion(inputs, {"image": yes, "text": yes})) == pytest.approx(1.25, abs=1e-4)
    assert float(fusion(inputs, {"image": yes, "text": no})) == pytest.approx(1.5, abs=1e-4)
    assert float(fusion(inputs, {"image": no, "text": yes})) == pytest.approx(2.0, abs=1e-4)


def test_condition_of_the_only_field_and_of_none():
    assert make(FiLMFusion, {"image": 3}, dim=4, condition="image").alone is None
    with pytest.raises(ValueError, match="did you mean 'audio'"):
        FiLMFusion(DIMS, condition="audi")


def test_more_layers_add_residual_blocks_before_the_mean():
    fusion = make(FiLMFusion, {"image": 3, "text": 2}, dim=4, condition="text", layers=2)
    pooled, steps = np.asarray([1.0, 2.0]), np.asarray([[1.0, 2.0, -1.0], [0.5, 0.0, 3.0]])
    z = projected(fusion.sources, "text", pooled)
    value = linear(layer_norm(steps, fusion.norms["image"]), fusion.values["image"])
    x = relu((1 + linear(z, fusion.scales["image"])) * value + linear(z, fusion.shifts["image"]))
    block = fusion.blocks[0]["image"]
    value = linear(layer_norm(x, block.norm), block.value)
    x = x + relu((1 + linear(z, block.scale)) * value + linear(z, block.shift))
    tokens, text = paddle.to_tensor(steps[None].astype("float32")), paddle.to_tensor(pooled[None].astype("float32"))
    yes = paddle.to_tensor([True])
    encoded = {"image": Encoded(tokens.mean(axis=1), tokens, None), "text": Encoded(text, None, None)}
    assert np.allclose(fusion(encoded, {"image": yes, "text": yes}).numpy()[0], x.mean(0), atol=1e-5)
    with pytest.raises(ValueError, match="layers must be at least 1"):
        FiLMFusion({"image": 3, "text": 2}, layers=0)
