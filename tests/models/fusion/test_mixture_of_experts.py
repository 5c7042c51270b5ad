"""Mixture of experts: its equation in NumPy; the gate shares a weight of 1 among present fields."""

import numpy as np
import pytest

from ppmm.models.fusion.mixture_of_experts import MixtureOfExpertsFusion
from tests.models.fusion.numpy_parts import DIMS, assert_equation, case, layer_norm, linear, make, relu, softmax


def test_equation():
    fusion = make(MixtureOfExpertsFusion, dim=5)

    def equation(row):
        parts = {
            field: layer_norm(row[field][0], fusion.norms[field]) if field in row else np.zeros(size)
            for field, size in DIMS.items()
        }
        scores = linear(np.concatenate(list(parts.values())), fusion.gate)
        gates = softmax(np.array([score for field, score in zip(DIMS, scores, strict=True) if field in row]))
        answers = [linear(relu(linear(parts[f], fusion.experts[f][0])), fusion.experts[f][2]) for f in row]
        return sum(gate * answer for gate, answer in zip(gates, answers, strict=True))

    assert_equation(fusion, equation)


def test_one_present_field_has_the_whole_weight():
    fusion = make(MixtureOfExpertsFusion, dim=5)
    encoded, present, rows = case()
    found = fusion(encoded, present).numpy()
    for number, row in enumerate(rows):
        if len(row) == 1:
            ((field, (pooled, _)),) = row.items()
            first, _, last = fusion.experts[field]
            alone = linear(relu(linear(layer_norm(pooled, fusion.norms[field]), first)), last)
            assert found[number] == pytest.approx(alone, abs=1e-5)
