"""Learning-rate factors by hand."""

import itertools
import math

import paddle
import pytest

from ppmm.engine.step import scheduled
from ppmm.optim.schedules import Constant, WarmupCosine


def test_warmup_then_cosine():
    schedule = WarmupCosine(warmup=0.4, final=0.1)
    # 4 rising steps, then cosine from 1 to 0.1 over the steps 4 ... 9
    rising = [0.25, 0.5, 0.75, 1.0]
    falling = [0.1 + 0.45 * (1 + math.cos(math.pi * n / 5)) for n in range(6)]
    assert [schedule(step, 10) for step in range(10)] == pytest.approx(rising + falling)
    assert schedule(4, 10) == 1.0 and schedule(9, 10) == pytest.approx(0.1)


def test_middle_of_the_cosine():
    assert WarmupCosine(warmup=0.0)(2, 5) == pytest.approx(0.5)


def test_without_warmup_it_starts_at_the_top():
    assert WarmupCosine(warmup=0.0)(0, 100) == 1.0


def test_it_ends_at_final_and_stays_there():
    schedule = WarmupCosine(final=0.02)
    assert [schedule(step, 100) for step in (99, 100, 5000)] == pytest.approx([0.02] * 3)


def test_it_never_rises_after_the_warmup():
    factors = [WarmupCosine(warmup=0.1)(step, 200) for step in range(200)]
    assert all(a < b for a, b in itertools.pairwise(factors[:20]))
    assert all(a >= b for a, b in itertools.pairwise(factors[20:]))


@pytest.mark.parametrize("warmup", [1.0, -0.1, 5])
def test_warmup_outside_its_range(warmup):
    with pytest.raises(ValueError, match=r"share of all steps"):
        WarmupCosine(warmup=warmup)


def test_constant():
    assert {Constant()(step, 9) for step in range(20)} == {1.0}


def test_paddle_scheduler_multiplies_the_rate():
    scheduler = scheduled(0.5, lambda step: 1 / (step + 1))
    rates = []
    for _ in range(3):
        rates.append(scheduler())
        scheduler.step()
    assert rates == pytest.approx([0.5, 0.25, 0.5 / 3])
    assert isinstance(scheduler, paddle.optimizer.lr.LRScheduler)
