"""Shares of an optimizer's state: who keeps what, and updates that are those of the whole optimizer."""

import numpy as np
import paddle
import pytest
from paddle import nn

from ppmm.engine.distributed import Processes
from ppmm.engine.sharded_optimizer import ShardedOptimizer, owners_of
from ppmm.engine.weights import load_optimizer, optimizer_arrays
from ppmm.optim.optimizers import AdamW


class One(Processes):
    """One of two processes of which the other's updates are taken from ``other``, a model that has made them."""

    world = 2

    def __init__(self, rank, other):
        self.rank, self.other = rank, other

    def share_from(self, owned):
        for parameter, rank in owned:
            if rank != self.rank:
                parameter.set_value(self.other[parameter.name])


def model_of():
    paddle.seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))


def optimizer_of(model):
    named = list(model.named_parameters())
    return AdamW(0.01, weight_decay=0.1).build(named, 0.01, nn.ClipGradByGlobalNorm(0.1))


def backward(model, seed):
    paddle.seed(seed)
    (model(paddle.randn([4, 6])) ** 2).sum().backward()


def test_the_largest_goes_to_the_one_with_least():
    sizes = {"a": 10, "b": 7, "c": 4, "d": 3, "e": 3}
    assert owners_of(sizes, 2) == {"a": 0, "b": 1, "c": 1, "d": 0, "e": 1}
    assert set(owners_of(sizes, 1).values()) == {0}
    assert owners_of(dict.fromkeys("abcd", 1), 4) == {"a": 0, "b": 1, "c": 2, "d": 3}


@pytest.mark.parametrize("rank", [0, 1])
def test_an_update_is_that_of_the_whole_optimizer_and_only_a_share_has_state(rank):
    whole, sharded = model_of(), model_of()
    first = optimizer_of(whole)
    names = {ours.name: theirs for ours, theirs in zip(sharded.parameters(), whole.parameters(), strict=True)}
    second = ShardedOptimizer(optimizer_of(sharded), list(sharded.named_parameters()), One(rank, names))
    for seed in range(3):
        for model, optimizer in ((whole, first), (sharded, second)):
            backward(model, seed)
            optimizer.step()
            optimizer.clear_grad()
        for ours, theirs in zip(sharded.parameters(), whole.parameters(), strict=True):
            assert np.array_equal(ours.numpy(), theirs.numpy())
    state = optimizer_arrays(sharded, second)
    kept = {key.rpartition("|")[0] for key in state}
    owners = owners_of({name: int(p.size) for name, p in sharded.named_parameters()}, 2)
    assert kept == {name for name, owner in owners.items() if owner == rank}
    every = optimizer_arrays(whole, first)
    assert all(np.array_equal(array, every[key]) for key, array in state.items())
    again = ShardedOptimizer(optimizer_of(sharded), list(sharded.named_parameters()), One(rank, names))
    load_optimizer(sharded, again, every, "checkpoint")
    loaded = optimizer_arrays(sharded, again)
    assert loaded.keys() == state.keys() and all(np.array_equal(loaded[key], state[key]) for key in state)


def test_the_clip_comes_back_and_parameters_without_a_gradient_stay():
    model = model_of()
    model[0].weight.stop_gradient = True
    before = model[0].weight.numpy()
    optimizer = optimizer_of(model)
    clip = optimizer._grad_clip
    sharded = ShardedOptimizer(optimizer, list(model.named_parameters()), Processes())
    backward(model, 0)
    sharded.step()
    assert optimizer._grad_clip is clip and np.array_equal(model[0].weight.numpy(), before)
    assert sharded.get_lr() == 0.01, "what else is asked for is the optimizer's"
