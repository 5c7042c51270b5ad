"""The table of blocks, what it predicts, and the front, against numbers worked out by hand."""

import pytest

from ppmm.compress.search import Block, Goal, Outcome, Plan, pareto_front, read_goals
from ppmm.errors import CompressError, ConfigError

TABLE = {
    "image": {0.5: Block(saved_ms=2.0, saved_bytes=300.0, drop=0.01), 0.75: Block(3.0, 400.0, 0.05)},
    "text": {0.5: Block(1.0, 500.0, 0.002)},
}


def plan(**factors):
    return Plan(["image", "text"], TABLE, latency=10.0, size=1000.0, factors={"fp32": (1.0, 1.0), **factors})


def test_savings_and_costs_of_towers_add_up():
    found = {one.ratios: (one.latency, one.size, round(one.drop, 6)) for one in plan().candidates()}
    assert found == {
        (0.0, 0.0): (10.0, 1000.0, 0.0),
        (0.0, 0.5): (9.0, 500.0, 0.002),
        (0.5, 0.0): (8.0, 700.0, 0.01),
        (0.5, 0.5): (7.0, 200.0, 0.012),
        (0.75, 0.0): (7.0, 600.0, 0.05),
        (0.75, 0.5): (6.0, 100.0, 0.052),
    }


def test_the_next_loses_least_among_those_that_fit():
    assert plan().next(8.0, float("inf"), []).ratios == (0.5, 0.0)
    assert plan().next(8.0, 500.0, []).ratios == (0.5, 0.5)
    assert plan().next(8.0, 500.0, [(0.5, 0.5)]).ratios == (0.75, 0.5)
    assert plan().next(5.0, float("inf"), []) is None
    assert plan().smallest([(0.75, 0.5)]).ratios in ((0.5, 0.5), (0.75, 0.0))


def test_a_precision_may_be_what_makes_it_fit():
    assert plan(int8=(0.5, 0.25)).next(5.0, 250.0, []).ratios == (0.0, 0.0)
    assert plan(int8=(float("inf"), float("inf"))).next(5.0, 250.0, []) is None


def test_measurements_correct_the_prediction_half_way():
    learned = plan()
    learned.learn(Outcome((0.5, 0.0), "fp32", latency=9.6, size=700.0, drop=0.0))  # predicted 8: a fifth more
    assert learned.corrections["fp32"] == pytest.approx(1.2)
    assert learned.next(9.0, float("inf"), []).ratios == (0.5, 0.5)  # 7 ms, which are 8.4
    learned.learn(Outcome((0.5, 0.5), "fp32", latency=7.0, size=200.0, drop=0.0))
    assert learned.corrections["fp32"] == pytest.approx(1.1)


def test_the_front_has_what_nothing_beats():
    fast, small, good = (
        Outcome((0.7,), "fp32", 1.0, 9.0, 0.3),
        Outcome((0.6,), "int8", 2.0, 3.0, 0.2),
        Outcome((0.1,), "fp32", 5.0, 9.0, 0.0),
    )
    beaten = Outcome((0.2,), "fp32", 5.0, 9.0, 0.1)
    assert pareto_front([beaten, good, small, fast, small]) == [fast, small, good]
    with pytest.raises(CompressError, match="nothing was measured"):
        pareto_front([])


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("latency=5ms", (5.0, float("inf"))),
        ("speedup=4x", (2.5, float("inf"))),
        ("size=8x", (float("inf"), 125.0)),
        ("size=2MB", (float("inf"), 2e6)),
    ],
)
def test_goals_say_how_much_is_left(text, limits):
    [goal] = read_goals([text])
    assert isinstance(goal, Goal) and goal.limits(10.0, 1000.0) == limits


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["speed=4x"], "nothing to aim at is called 'speed'; did you mean 'speedup'"),
        (["speedup=4ms"], "write speedup=5x"),
        (["speedup"], "write speedup=5x"),
        (["speedup=1x"], "must be above 1"),
        (["latency=0ms"], "must be above 0"),
        (["size=1e999MB"], "must be above 0"),
        (["size=--MB"], "write size=5x or size=5MB|must be above 0"),
        ([], "name one"),
    ],
)
def test_what_is_no_goal(texts, words):
    with pytest.raises(ConfigError, match=words):
        read_goals(texts)
