"""How much goes, and from where."""

import numpy as np
import paddle
import pytest
from paddle import nn

from ppmm.compress.dependencies import Dependencies, Group, Unit
from ppmm.compress.selection import Limits, check_patterns, select
from ppmm.errors import CompressError


def group(layer, units, start=0, width=1):
    places = (f"{layer}.weight", 0)
    return Group([Unit(start + n, {places: np.arange(n * width, (n + 1) * width)}) for n in range(units)], (places,))


FIRST, SECOND = group("towers.image.conv", 10), group("towers.text.linear", 4, 10)
SCORES = [np.arange(10.0)[::-1], np.array([1.0, 9.0, 1.0, 9.0])]


def roots(limits, groups=(FIRST, SECOND), scores=SCORES, units=None):
    return sorted(unit.root for unit in select(groups, scores, limits, units))


def test_uniform_takes_the_least_important_share_of_each_group():
    assert roots(Limits(0.5)) == [5, 6, 7, 8, 9, 10, 12]
    assert roots(Limits(0.26)) == [7, 8, 9, 10], "rounded; of equals the first"


def test_ratios_by_pattern_and_what_is_skipped():
    assert roots(Limits(0.5, {"towers.image.*": 0.2, "towers.*": 0.8})) == [8, 9, 10, 11, 12]
    assert roots(Limits(None, {"*.text.*": 0.5})) == [10, 12]
    assert roots(Limits(0.5, skip=["towers.image.*"])) == [10, 12]


def test_global_ranks_by_the_mean_of_each_group():
    # means 4.5 and 5: the text's 1s are 0.2, the image's 0, 1, 2 are 0, 0.22, 0.44; in all 5 + 2 go
    assert roots(Limits(0.5, ranking="global")) == [5, 6, 7, 8, 9, 10, 12]
    assert roots(Limits(0.2, ranking="global")) == [9, 10, 12], "2 + 1 in all"
    assert len(roots(Limits(0.9, ranking="global", most=0.5))) == 5 + 2


def test_some_stay_in_a_multiple():
    assert roots(Limits(0.9, least=3)) == [3, 4, 5, 6, 7, 8, 9, 10]
    assert len(roots(Limits(0.5, multiple=4), (FIRST,), SCORES[:1])) == 2, "8 stay, not 5"
    assert roots(Limits(0.5, multiple=16)) == []
    heads = group("attention", 6, width=4)
    assert len(roots(Limits(0.5, multiple=8), (heads,), [np.arange(6.0)])) == 2, "4 heads of 4, since 3 are 12"


def test_a_group_without_importance_is_left_alone():
    assert roots(Limits(0.5), scores=[None, SCORES[1]]) == [10, 12]


@pytest.mark.parametrize("ratio", [0, 1, -0.1, 1.5, 0.0, 1.0, True, "half"])
def test_a_ratio_is_between_0_and_1(ratio):
    with pytest.raises(CompressError, match="ratio: must be above 0 and below 1"):
        Limits(ratio)
    with pytest.raises(CompressError, match=r"ratios\.a: must be above 0"):
        Limits(0.5, {"a": ratio})


def test_other_limits():
    with pytest.raises(CompressError, match="to leave layers alone use skip"):
        Limits(None, {"a": 0})
    with pytest.raises(CompressError, match="ratio: give"):
        Limits(None)
    with pytest.raises(CompressError, match="ranking"):
        Limits(0.5, ranking="local")
    with pytest.raises(CompressError, match="at least 1"):
        Limits(0.5, least=0)


def test_patterns_must_name_what_can_go():
    found = Dependencies(nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 2)), paddle.rand([2, 3]))
    check_patterns(found, Limits(0.5, {"0": 0.2}, ["2"]))
    with pytest.raises(CompressError, match="nothing can go from 2: it is an answer of the model"):
        check_patterns(found, Limits(None, {"2": 0.5}))
    with pytest.raises(CompressError, match="heads: no layer of this name can be pruned"):
        check_patterns(found, Limits(0.5, skip=["heads"]))


def test_parts_of_a_pruning_reach_the_whole_share():
    limits = Limits(0.488, {"towers.text.*": 0.75})
    assert limits.at(1 / 3).ratio == pytest.approx(0.2), "0.8 ** 3 is 0.512"
    assert limits.at(0.5).ratios == {"towers.text.*": pytest.approx(0.5)} and limits.at(1.0) is limits


def test_shares_are_of_the_units_before_earlier_prunings():
    units = {FIRST.family: 20, SECOND.family: 4}
    assert roots(Limits(0.55), units=units) == [9, 10, 12], "of 20 units 10 are gone: 1 more; 2 of the 4"
    assert roots(Limits(0.4), units=units) == [10, 12], "more are gone already"
    # 11 + 2 are to go of 24, 10 are gone: 3 more, the least of both groups
    assert roots(Limits(0.55, ranking="global"), units=units) == [9, 10, 12]
