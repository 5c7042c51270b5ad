"""Importance by hand."""

import numpy as np
import paddle
import pytest
from paddle import nn

from ppmm.compress.criteria import CRITERIA, Evidence, importance
from ppmm.compress.dependencies import Group, Unit
from ppmm.compress.gradients import gradients_of
from ppmm.errors import CompressError

WEIGHT = np.array([[3.0, -4.0], [1.0, 1.0], [0.0, 2.0]])
GRADIENT = np.array([[1.0, 1.0], [2.0, 1.0], [0.0, -5.0]])
UNITS = [
    Unit(number, {("a.weight", 0): np.array([number]), ("n.weight", 0): np.array([number])}) for number in range(3)
]
GROUP = Group(UNITS, (("a.weight", 0),))


def score(criterion, **options):
    evidence = Evidence(
        {"a.weight": WEIGHT, "n.weight": np.array([-0.5, 0.1, 0.9])},
        {"a.weight": GRADIENT, "n.weight": np.zeros(3)},
        {"a.weight": GRADIENT**2, "n.weight": np.zeros(3)},
        **options,
    )
    return importance([GROUP], criterion, evidence)[0]


@pytest.mark.parametrize(
    ("criterion", "wanted"),
    [
        ("l1", [7, 2, 2]),
        ("l2", [5, 2**0.5, 2]),
        ("fpgm", [29**0.5 + 45**0.5, 29**0.5 + 2**0.5, 45**0.5 + 2**0.5]),
        ("taylor", [1, 3, 10]),
        ("hessian", [12.5, 2.5, 50]),
    ],
)
def test_values(criterion, wanted):
    np.testing.assert_allclose(score(criterion), wanted)


def test_norm_scales_and_chance():
    np.testing.assert_allclose(score("bn_scale", scales=frozenset({"n.weight"})), [0.5, 0.1, 0.9])
    assert score("bn_scale") is None, "no batch normalisation in the group"
    assert np.array_equal(score("random", seed=1), score("random", seed=1))
    assert not np.array_equal(score("random", seed=1), score("random", seed=2))


def test_units_of_several_layers_count_all_of_them():
    units = [Unit(n, {("a.weight", 0): np.array([n]), ("b.weight", 1): np.array([2 * n, 2 * n + 1])}) for n in range(3)]
    group = Group(units, (("a.weight", 0), ("b.weight", 1)))
    weights = {"a.weight": WEIGHT, "b.weight": np.arange(6.0).reshape(1, 6)}
    np.testing.assert_allclose(importance([group], "l1", Evidence(weights))[0], [7 + 1, 2 + 5, 2 + 9])


def test_errors():
    with pytest.raises(CompressError, match="there is no 'l11'; did you mean 'l1'"):
        importance([], "l11", Evidence({}))
    for criterion in ("taylor", "hessian"):
        with pytest.raises(CompressError, match="needs gradients"):
            importance([GROUP], criterion, Evidence({"a.weight": WEIGHT}))
    assert set(CRITERIA) == {"l1", "l2", "fpgm", "bn_scale", "taylor", "hessian", "random"}


def test_gradients_are_means_over_batches():
    paddle.seed(0)
    model = nn.Sequential(nn.Linear(2, 1, bias_attr=False), nn.Dropout(0.0))
    inputs = [np.array([[1.0, 2.0]], dtype="float32"), np.array([[3.0, -1.0]], dtype="float32")]
    found = gradients_of(model, lambda outputs, batch: {"loss": outputs.sum()}, [paddle.to_tensor(x) for x in inputs])
    np.testing.assert_allclose(found.means["0.weight"][:, 0], [2.0, 0.5])
    np.testing.assert_allclose(found.squares["0.weight"][:, 0], [5.0, 2.5])
    assert model[0].weight.grad is None
    with pytest.raises(CompressError, match="no batch"):
        gradients_of(model, lambda outputs, batch: {"loss": outputs.sum()}, [])
    with pytest.raises(CompressError, match="batch 0 is nan"):
        gradients_of(
            model, lambda outputs, batch: {"loss": outputs.sum() * float("nan")}, [paddle.to_tensor(inputs[0])]
        )
