"""Averaged decisions: mean probabilities of the present fields, as logits that softmax gives back."""

import numpy as np
import paddle
import pytest

from ppmm.models.fusion.decision import DecisionFusion
from ppmm.models.heads.identity import IdentityHead
from tests.models.fusion.numpy_parts import assert_equation, case, layer_norm, linear, make, softmax


def probabilities(fusion, row):
    return [softmax(linear(layer_norm(x, fusion.norms[f]), fusion.classifiers[f])) for f, (x, _) in row.items()]


def test_equation():
    fusion = make(DecisionFusion, classes=4)
    assert_equation(fusion, lambda row: np.log(np.mean(probabilities(fusion, row), axis=0)))


def test_softmax_of_the_logits_are_the_mean_probabilities():
    fusion, head = make(DecisionFusion, classes=4), IdentityHead(4, 4)
    encoded, present, rows = case()
    found = softmax(head(fusion(encoded, present)).numpy().astype(float))
    wanted = [np.mean(probabilities(fusion, row), axis=0) for row in rows]
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_it_is_finite_where_every_field_is_sure():
    fusion = make(DecisionFusion, classes=3)
    for number, layer in enumerate(fusion.classifiers.values()):
        layer.weight.set_value(paddle.zeros_like(layer.weight))
        layer.bias.set_value(paddle.eye(3)[number] * 1000.0)
    found = fusion(*case()[:2])
    found.sum().backward()
    assert np.isfinite(found.numpy()).all()
    assert softmax(found.numpy()[-1].astype(float)) == pytest.approx([1 / 3] * 3, abs=1e-6)
    assert all(np.isfinite(parameter.grad.numpy()).all() for parameter in fusion.parameters())


def test_identity_head_refuses_another_size():
    with pytest.raises(ValueError, match="256 numbers for 10 classes"):
        IdentityHead(256, 10)
