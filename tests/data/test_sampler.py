"""Which rows make which batch."""

import numpy as np
import pytest

from ppmm.data.sampler import bucketed, cut, numbered, plain_order, share_of


def rows_of(batches):
    return [row for batch in batches for row in batch[:, 1].tolist()]


def batches_of(rows, size, *, seed=0, epoch=0, shuffle=False, drop_last=False):
    return cut(numbered(plain_order(rows, seed=seed, epoch=epoch, shuffle=shuffle), epoch), size, drop_last)


def test_in_order():
    assert [batch.tolist() for batch in batches_of(5, 2, epoch=3)] == [[[3, 0], [3, 1]], [[3, 2], [3, 3]], [[3, 4]]]


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize(("rows", "size", "counts"), [(7, 3, [3, 3, 1]), (6, 3, [3, 3]), (2, 5, [2]), (1, 1, [1])])
def test_every_row_once(rows, size, counts, shuffle):
    for epoch in range(3):
        batches = batches_of(rows, size, seed=1, epoch=epoch, shuffle=shuffle)
        assert [len(batch) for batch in batches] == counts
        assert sorted(rows_of(batches)) == list(range(rows))
        assert {key[0] for batch in batches for key in batch.tolist()} == {epoch}


@pytest.mark.parametrize(("rows", "size", "counts"), [(7, 3, [3, 3]), (6, 3, [3, 3]), (2, 5, [2])])
def test_drop_last(rows, size, counts):
    assert [len(batch) for batch in batches_of(rows, size, shuffle=True, drop_last=True)] == counts


def test_order_is_a_function_of_seed_and_epoch():
    def order(seed, epoch):
        return plain_order(50, seed=seed, epoch=epoch, shuffle=True).tolist()

    assert order(1, 2) == order(1, 2)
    assert len({tuple(order(seed, epoch)) for seed in range(4) for epoch in range(4)}) == 16
    assert order(1, 2) != sorted(order(1, 2))


def test_order_does_not_depend_on_numpys_state():
    np.random.seed(0)
    one = plain_order(20, seed=5, shuffle=True).tolist()
    np.random.seed(1)
    assert plain_order(20, seed=5, shuffle=True).tolist() == one


def test_every_place_is_equally_likely():
    """Row 0 of 5 over 2000 epochs: 400 times at each place; 6 standard deviations of the binomial are 107."""
    places = [plain_order(5, epoch=epoch, shuffle=True).tolist().index(0) for epoch in range(2000)]
    assert np.abs(np.bincount(places, minlength=5) - 400).max() < 107


def test_a_row_that_comes_again_has_another_pass():
    found = numbered(np.array([4, 2, 4, 4, 7, 2]), 5).tolist()
    step = 1 << 32
    assert found == [[5, 4], [5, 2], [5 + step, 4], [5 + 2 * step, 4], [5, 7], [5 + step, 2]]
    assert numbered(np.array([], dtype=np.int64), 0).shape == (0, 2)


def test_buckets():
    lengths = np.array([9, 1, 5, 2, 8, 3, 7, 4, 6, 0], dtype=float)
    keys = numbered(np.arange(10), 0)
    found = cut(bucketed(keys, lengths, 2, 3, seed=1), 2)
    windows = [found[:3], found[3:]]
    assert sorted(lengths[batch[:, 1]].tolist() for batch in windows[0]) == [[1, 2], [3, 5], [8, 9]]
    assert sorted(lengths[batch[:, 1]].tolist() for batch in windows[1]) == [[0, 4], [6, 7]]
    assert sorted(rows_of(found)) == list(range(10))
    orders = {tuple(rows_of(cut(bucketed(keys, lengths, 2, 3, seed=1, epoch=epoch), 2))) for epoch in range(20)}
    assert len(orders) > 6, "batches are shuffled"


def test_an_incomplete_batch_stays_last():
    for epoch in range(10):
        found = cut(bucketed(numbered(np.arange(11), epoch), np.arange(11.0), 4, 50, epoch=epoch), 4)
        assert [len(batch) for batch in found] == [4, 4, 3]


def test_shares():
    batches = cut(numbered(np.arange(20), 0), 6)
    shares = [share_of(batches, rank, 3) for rank in range(3)]
    for number, batch in enumerate(batches):
        together = np.concatenate([share[number] for share in shares])
        assert np.array_equal(together, batch), "the processes' parts in the order of their ranks are the batch"
    assert [[len(part) for part in share] for share in shares] == [[2, 2, 2, 1], [2, 2, 2, 1], [2, 2, 2, 0]]
    assert share_of(batches, 0, 1) is batches
