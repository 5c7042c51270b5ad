"""SigLIP against plain loops."""

import math

import pytest

from ppmm.objectives.siglip import SigLIP
from tests.objectives.embeds import (
    FIELDS,
    assert_absent_rows_do_not_matter,
    assert_gradients,
    belongs,
    example,
    together,
    units,
)


def by_hand(outputs, batch, first, second, keys, temperature, bias):
    left, right, rows = units(outputs, first), units(outputs, second), together(batch, first, second)
    total = 0.0
    for i in rows:
        for j in rows:
            sign = 1 if belongs(batch, i, j, keys) else -1
            total += math.log(1 + math.exp(-sign * (float(left[i] @ right[j]) / temperature + bias)))
    return total / len(rows)


@pytest.mark.parametrize("keys", [[], ["scene"], ["scene", "caption"]])
def test_equals_plain_loops(keys):
    outputs, batch = example()
    terms = SigLIP(list(FIELDS), positives=keys, temperature=0.25, bias=-1.5)(outputs, batch)
    found = []
    for pair in (("image", "text"), ("image", "audio"), ("text", "audio")):
        found.append(by_hand(outputs, batch, *pair, keys, 0.25, -1.5))
        assert float(terms["_".join([*pair, "loss"])]) == pytest.approx(found[-1], rel=1e-5)
    assert float(terms["loss"]) == pytest.approx(sum(found) / 3, rel=1e-5)
    assert float(terms["temperature"]) == pytest.approx(0.25) and float(terms["bias"]) == -1.5


def test_starts_as_in_the_paper_and_learns_both():
    objective = SigLIP(["image", "text"])
    outputs, batch = example()
    terms = objective(outputs, batch)
    terms["loss"].backward()
    assert float(terms["temperature"]) == pytest.approx(0.1) and float(terms["bias"]) == -10
    assert all(float(parameter.grad) != 0 for parameter in objective.parameters())


def test_gradients():
    assert_gradients(SigLIP(list(FIELDS), positives=["scene"], bias=0.0), *example(), ["image_embed", "text_embed"])


def test_absent_rows_do_not_matter():
    assert_absent_rows_do_not_matter(SigLIP(list(FIELDS), positives=["scene"]))
