"""Learning-rate factors by hand."""

import itertools
import math

import paddle
import pytest
from paddle.optimizer import lr

from ppmm.engine.step import scheduled
from ppmm.optim.schedules import (
    Constant,
    CosineRestarts,
    Linear,
    MultiStep,
    OneCycle,
    Polynomial,
    WarmupCosine,
)


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


def of(schedule, total):
    return [schedule(step, total) for step in range(total)]


def paddles(scheduler, total):
    """The rates of one of Paddle's schedulers."""
    rates = []
    for _ in range(total):
        rates.append(scheduler())
        scheduler.step()
    return rates


ALL = [Constant, CosineRestarts, Linear, MultiStep, OneCycle, Polynomial, WarmupCosine]


def test_linear_by_hand():
    assert of(Linear(warmup=0.2, final=0.1), 10) == pytest.approx(
        [0.5, 1.0, 1.0, 1 - 0.9 / 7, 1 - 1.8 / 7, 1 - 2.7 / 7, 1 - 3.6 / 7, 1 - 4.5 / 7, 1 - 5.4 / 7, 0.1]
    )


def test_polynomial_by_hand():
    assert of(Polynomial(power=2.0, warmup_steps=1, final=0.5), 6) == pytest.approx(
        [1.0, 1.0, 0.5 + 0.5 * 0.75**2, 0.5 + 0.5 * 0.5**2, 0.5 + 0.5 * 0.25**2, 0.5]
    )


@pytest.mark.parametrize("power", [0.9, 2.0])
def test_polynomial_is_paddles(power):
    """Paddle's arrives at the end one step after the last one."""
    theirs = paddles(lr.PolynomialDecay(1.0, decay_steps=49, end_lr=0.03, power=power), 50)
    assert of(Polynomial(power, warmup=0.0, final=0.03), 50) == pytest.approx(theirs)


def test_cosine_is_paddles():
    theirs = paddles(lr.CosineAnnealingDecay(1.0, T_max=39, eta_min=0.2), 40)
    assert of(WarmupCosine(0.0, final=0.2), 40) == pytest.approx(theirs)


def test_one_cycle_is_paddles():
    theirs = paddles(lr.OneCycleLR(1.0, 100, divide_factor=25.0, end_learning_rate=0.001, phase_pct=0.3), 100)
    assert of(OneCycle(warmup=0.3, start=0.04, final=0.001), 100) == pytest.approx(theirs)


def test_one_cycle_by_hand():
    """Up in the steps 0 ... 2, down in the steps 2 ... 6."""
    cosines = [0.5 * (1 + math.cos(math.pi * n / 4)) for n in range(5)]
    assert of(OneCycle(warmup_steps=3, start=0.2), 7) == pytest.approx([0.2, 0.6, *cosines])


def test_multi_step_by_hand():
    schedule = MultiStep([0.3, 0.8], factor=0.5, warmup_steps=2)
    assert of(schedule, 10) == [0.5, 1.0, 1.0, *[0.5] * 5, 0.25, 0.25]


def test_multi_step_is_paddles():
    theirs = paddles(lr.MultiStepDecay(1.0, milestones=[20, 30], gamma=0.1), 40)
    assert of(MultiStep(), 40) == pytest.approx(theirs)


def test_restarts_by_hand():
    """Cycles of 2, 4 and 8 steps after one step of warm-up."""
    cycles = [[0.1 + 0.45 * (1 + math.cos(math.pi * n / size)) for n in range(size)] for size in (2, 4, 8)]
    assert of(CosineRestarts(warmup_steps=1, final=0.1), 15) == pytest.approx([1.0, *itertools.chain(*cycles)])


@pytest.mark.parametrize("growth", [1, 2])
def test_restarts_are_paddles(growth):
    lengths = [5 * growth**n for n in range(3)]
    theirs = paddles(lr.CosineAnnealingWarmRestarts(1.0, T_0=5, T_mult=growth, eta_min=0.05), sum(lengths))
    assert of(CosineRestarts(3, growth, final=0.05), sum(lengths)) == pytest.approx(theirs)


def test_restarts_of_a_length_that_is_no_whole_number_fill_the_training():
    factors = of(CosineRestarts(cycles=4, growth=1.3), 101)
    assert sum(factor == 1.0 for factor in factors) == 4 and factors[-1] < 0.01


def test_constant_with_warm_up():
    assert of(Constant(warmup_steps=3), 5) == pytest.approx([1 / 3, 2 / 3, 1, 1, 1])


@pytest.mark.parametrize("kind", ALL)
def test_a_number_of_warm_up_steps_is_the_share_that_they_are(kind):
    assert of(kind(warmup_steps=8), 40) == of(kind(warmup=0.2), 40)


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("steps", [10, 500])
def test_a_warm_up_longer_than_the_training(kind, steps):
    schedule = kind(warmup_steps=steps)
    for step in (0, 9):
        with pytest.raises(ValueError, match=rf"warmup_steps is {steps}, but the training has only 10 steps; lower"):
            schedule(step, 10)
    assert schedule(steps, steps + 1) <= 1


@pytest.mark.parametrize("kind", ALL)
def test_wrong_warm_ups(kind):
    with pytest.raises(ValueError, match=r"warmup is 0\.1 and warmup_steps is 3: give one of them"):
        kind(warmup=0.1, warmup_steps=3)
    with pytest.raises(ValueError, match="warmup_steps must not be negative"):
        kind(warmup_steps=-1)
    with pytest.raises(ValueError, match="share of all steps"):
        kind(warmup=float("nan"))


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        (Polynomial, {"power": 0.0}),
        (Polynomial, {"final": 1.5}),
        (Linear, {"final": -0.1}),
        (MultiStep, {"milestones": []}),
        (MultiStep, {"milestones": [0.8, 0.4]}),
        (MultiStep, {"milestones": [30, 60]}),
        (MultiStep, {"factor": 1.0}),
        (MultiStep, {"factor": -0.1}),
        (CosineRestarts, {"cycles": 0}),
        (CosineRestarts, {"growth": 0.5}),
        (CosineRestarts, {"final": 2.0}),
        (OneCycle, {"start": 0.0}),
        (OneCycle, {"final": -1.0}),
    ],
)
def test_wrong_arguments(kind, arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        kind(**arguments)


def test_a_scale_multiplies_the_rate_until_it_is_changed():
    scheduler = scheduled(0.5, lambda step: 1 / (step + 1))
    scheduler.scale = 0.1
    scheduler.step()
    assert scheduler() == pytest.approx(0.5 / 2 * 0.1)
    scheduler.scale = 1.0
    scheduler.step()
    assert scheduler() == 0.5 / 3
