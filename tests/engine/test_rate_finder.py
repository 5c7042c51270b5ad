"""The range test on problems whose largest stable rate is known."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import islice, repeat
from typing import Any

import numpy as np
import pytest

from ppmm.engine.rate_finder import RateCurve, groups_of, range_test, steepest
from ppmm.engine.step import DivergenceError
from ppmm.errors import ConfigError, DataError, PpmmError

DIVERGED = DivergenceError(7, {"loss": math.nan}, [1, 2])


class LinearModel:
    """Least squares by gradient descent: stable below 2 / (largest eigenvalue of the Hessian), at no rate above."""

    def __init__(self, rates: Sequence[float], batch: int | None) -> None:
        self.rng = np.random.default_rng(0)
        self.x = self.rng.normal(size=(256, 5))
        self.y = self.x @ self.rng.normal(size=5) + 0.01 * self.rng.normal(size=256)
        self.weights = np.zeros(5)
        self.rates, self.batch = rates, batch

    @property
    def stable(self) -> float:
        return 2.0 / float(np.linalg.eigvalsh(2.0 * self.x.T @ self.x / 256).max())

    def __call__(self, group: Any, number: int) -> dict[str, float]:
        rows = slice(None) if self.batch is None else self.rng.integers(0, 256, self.batch)
        residual = self.x[rows] @ self.weights - self.y[rows]
        self.weights = self.weights - self.rates[number] * 2.0 * self.x[rows].T @ residual / len(residual)
        return {"loss": float((residual**2).mean())}


@pytest.mark.parametrize("steps", [50, 100, 400])
@pytest.mark.parametrize("batch", [None, 16])
def test_a_linear_model_gets_a_stable_rate_that_learns(steps: int, batch: int | None) -> None:
    rates = np.geomspace(1e-6, 10.0, steps).tolist()
    model = LinearModel(rates, batch)
    curve = range_test(model, repeat([]), rates)
    found = steepest(curve)
    assert found is not None and 1e-3 * model.stable < found < 0.5 * model.stable
    assert curve.diverged is not None and model.stable < curve.diverged and curve.rates == rates[: len(curve.rates)]
    again = LinearModel([found] * 2000, batch)
    losses = [again([], step)["loss"] for step in range(2000)]
    assert np.mean(losses[-20:]) < 0.01 * losses[0], "the rate found does not train the model"


def test_the_smoothed_loss_has_no_bias() -> None:
    curve = range_test(lambda group, number: {"loss": [4.0, 2.0, 3.0][number]}, repeat([]), [0.1, 0.2, 0.3], memory=0.5)
    assert curve.smoothed == pytest.approx([4.0, (0.25 * 4 + 0.5 * 2) / 0.75, (0.125 * 4 + 0.25 * 2 + 0.5 * 3) / 0.875])


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_it_stops_where_the_loss_grows(sign: float) -> None:
    """Of a loss below zero the size counts."""
    losses = [sign * 1.0] * 20 + [50.0] * 20
    curve = range_test(lambda group, number: {"loss": losses[number]}, repeat([]), list(np.geomspace(1e-4, 1, 40)))
    assert len(curve.losses) == 21 and curve.diverged == curve.rates[-1]


def raising(error: Exception, after: int) -> Callable[[Any, int], dict[str, float]]:
    def step(group: Any, number: int) -> dict[str, float]:
        if number >= after:
            raise error
        return {"loss": 1.0}

    return step


def test_a_loss_that_is_not_finite_ends_it() -> None:
    curve = range_test(raising(DIVERGED, 7), repeat([]), [0.1 * n for n in range(1, 20)])
    assert len(curve.losses) == 7 and curve.diverged == pytest.approx(0.8)


@pytest.mark.parametrize("error", [DataError("row 3"), PpmmError("no memory"), DIVERGED])
def test_other_errors_and_a_first_step_that_fails_are_errors(error: PpmmError) -> None:
    with pytest.raises(type(error), match=re.escape(str(error))):
        range_test(raising(error, 0 if error is DIVERGED else 7), repeat([]), [0.1] * 20)


def test_noise_is_no_descent() -> None:
    found = 0
    for seed in range(100):
        losses = (2.3 + 0.1 * np.random.default_rng(seed).normal(size=100)).tolist()
        found += steepest(RateCurve(np.geomspace(1e-6, 1, 100).tolist(), losses, losses, None)) is not None
    assert found <= 3
    rising = np.linspace(1.0, 2.0, 50).tolist()
    assert steepest(RateCurve(rising, rising, rising, None)) is None
    assert steepest(RateCurve([1.0] * 5, [1.0] * 5, [1.0] * 5, None)) is None


def test_the_steepest_point_is_where_a_sigmoid_falls() -> None:
    """2 - 1 / (1 + exp(-4 (log10(rate) + 3))) falls fastest at 1e-3; an explosion at the end changes nothing."""
    rates = np.geomspace(1e-6, 1.0, 121)
    losses = 2.0 - 1.0 / (1.0 + np.exp(-4.0 * (np.log10(rates) + 3.0)))
    losses[110:] = 1e12
    found = steepest(RateCurve(rates.tolist(), losses.tolist(), losses.tolist(), 1.0))
    assert found is not None and math.isclose(found, 1e-3, rel_tol=0.15)


class Loader:
    """Three batches in an epoch."""

    def epoch(self, epoch: int, start: int) -> Iterator[Any]:
        return iter([(epoch, number) for number in range(3)])


def test_epochs_repeat() -> None:
    found = list(islice(groups_of(Loader(), 2), 4))
    assert found == [[(0, 0), (0, 1)], [(0, 2)], [(1, 0), (1, 1)], [(1, 2)]]


def test_an_epoch_without_a_batch_is_told() -> None:
    loader = Loader()
    loader.epoch = lambda epoch, start: iter([])  # type: ignore[method-assign]
    with pytest.raises(ConfigError, match=r"lower loader\.batch_size"):
        next(iter(groups_of(loader, 1)))
