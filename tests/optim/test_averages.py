"""Shares of an average against hand-computed ones."""

import pytest

from ppmm.optim.averages import EMA, SWA


def test_the_decay_of_ema_rises_with_the_weights_taken_in():
    shares = [EMA(0.9).share(step, 100, step - 1, False) for step in (1, 2, 10, 81, 82, 200)]
    wanted = [1 - 1 / 10, 1 - 2 / 11, 1 - 10 / 19, 1 - 81 / 90, 1 - 0.9, 1 - 0.9]
    assert shares == pytest.approx(wanted)
    assert EMA(0.9, warmup=False).share(2, 100, 1, False) == pytest.approx(0.1)


def test_swa_takes_the_ends_of_epochs_in_the_last_part_equally():
    rule = SWA(0.5)
    assert [rule.share(step, 12, 0, step % 3 == 0) for step in (3, 6)] == [0.0, 0.0]
    assert rule.share(7, 12, 0, False) == 0.0
    assert [rule.share(9, 12, 0, True), rule.share(12, 12, 1, True)] == [1.0, 0.5]


def test_swa_every_few_steps():
    rule = SWA(0.5, every=2)
    assert [step for step in range(1, 13) if rule.share(step, 12, 3, False)] == [8, 10, 12]
    assert rule.share(8, 12, 3, False) == 0.25


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EMA(1.0), "decay must be above 0 and below 1"),
        (lambda: SWA(1.0), "start is a share of all steps"),
        (lambda: SWA(every=0), "every must be at least 1 step"),
        (lambda: SWA(norm_batches=-1), "norm_batches must not be negative"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()
