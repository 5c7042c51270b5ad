"""Which rows make which batch."""

import numpy as np
import pytest

from ppmm.data.sampler import epoch_batches


def rows_of(batches):
    return [row for batch in batches for _, row in batch]


def test_in_order():
    assert epoch_batches(5, 2, epoch=3) == [[(3, 0), (3, 1)], [(3, 2), (3, 3)], [(3, 4)]]


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize(("rows", "size", "counts"), [(7, 3, [3, 3, 1]), (6, 3, [3, 3]), (2, 5, [2]), (1, 1, [1])])
def test_every_row_once(rows, size, counts, shuffle):
    for epoch in range(3):
        batches = epoch_batches(rows, size, seed=1, epoch=epoch, shuffle=shuffle)
        assert [len(batch) for batch in batches] == counts
        assert sorted(rows_of(batches)) == list(range(rows))
        assert {key[0] for batch in batches for key in batch} == {epoch}
        assert all(type(row) is int for row in rows_of(batches)), "plain ints: they go through pipes and messages"


@pytest.mark.parametrize(("rows", "size", "counts"), [(7, 3, [3, 3]), (6, 3, [3, 3]), (2, 5, [2])])
def test_drop_last(rows, size, counts):
    batches = epoch_batches(rows, size, shuffle=True, drop_last=True)
    assert [len(batch) for batch in batches] == counts


def test_order_is_a_function_of_seed_and_epoch():
    def order(seed, epoch):
        return rows_of(epoch_batches(50, 7, seed=seed, epoch=epoch, shuffle=True))

    assert order(1, 2) == order(1, 2)
    assert len({tuple(order(seed, epoch)) for seed in range(4) for epoch in range(4)}) == 16
    assert order(1, 2) != sorted(order(1, 2))


def test_order_does_not_depend_on_the_batch_size_or_on_numpys_state():
    np.random.seed(0)
    one = rows_of(epoch_batches(20, 3, seed=5, shuffle=True))
    np.random.seed(1)
    assert rows_of(epoch_batches(20, 8, seed=5, shuffle=True)) == one


def test_every_place_is_equally_likely():
    """Row 0 of 5 over 2000 epochs: 400 times at each place; 6 standard deviations of the binomial are 107."""
    places = [rows_of(epoch_batches(5, 5, epoch=epoch, shuffle=True)).index(0) for epoch in range(2000)]
    assert np.abs(np.bincount(places, minlength=5) - 400).max() < 107
