"""Named arrays of models and optimizers, and what is said where they do not fit."""

import numpy as np
import paddle
import pytest
from paddle import nn

from ppmm.engine.step import scheduled
from ppmm.engine.weights import load_model, load_optimizer, model_arrays, optimizer_arrays
from ppmm.errors import CheckpointError
from ppmm.optim.optimizers import SGD, AdamW


class Net(nn.Layer):
    def __init__(self, hidden=4):
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(3, hidden), nn.BatchNorm1D(hidden), nn.Linear(hidden, 2)

    def forward(self, x):
        return self.last(self.norm(self.first(x)))


X = np.random.default_rng(0).normal(size=(6, 3)).astype("float32")


def built(model, recipe):
    return recipe.build(list(model.named_parameters()), scheduled(recipe.learning_rate, lambda step: 1.0), None)


def descend(model, optimizer, steps=2):
    for _ in range(steps):
        (model(paddle.to_tensor(X)) ** 2).mean().backward()
        optimizer.step()
        optimizer.clear_grad()


def copied(arrays):
    return {name: np.array(array) for name, array in arrays.items()}


def test_model_arrays_have_buffers_and_values():
    model = Net()
    arrays = model_arrays(model)
    assert set(arrays) == {
        "first.weight", "first.bias", "norm.weight", "norm.bias", "norm._mean", "norm._variance",
        "last.weight", "last.bias",
    }  # fmt: skip
    assert np.array_equal(arrays["first.weight"], model.first.weight.numpy())


def test_load_model_copies_everything():
    source, target = Net(), Net()
    source(paddle.to_tensor(X))  # moves the batch statistics
    load_model(target, model_arrays(source), "here")
    for name, array in model_arrays(source).items():
        assert np.array_equal(model_arrays(target)[name], array), name
    source.first.weight.set_value(source.first.weight * 0)
    assert target.first.weight.numpy().any(), "the arrays are shared"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.pop("last.bias"), "missing last.bias"),
        (lambda a: a.update({"extra.weight": np.zeros(2)}), "left over extra.weight"),
        (lambda a: a.update({"lost.bias": a.pop("last.bias")}), r"missing last\.bias; did you mean 'lost\.bias'\?"),
        (
            lambda a: a.update({"last.weight": np.zeros((4, 5), "float32")}),
            r"last\.weight is \[4, 5\] float32 there and \[4, 2\] float32 here",
        ),
        (lambda a: a.update({"last.bias": np.zeros((2, 1), "float32")}), r"last\.bias is \[2, 1\] float32 there"),
        (lambda a: a.clear(), r"\(and 3 more\)"),
        (lambda a: a.update({"last.weight": np.zeros((4, 2), "float64")}), r"last\.weight"),
        (lambda a: a.update({"last.weight": np.zeros((4, 2), "int64")}), r"last\.weight"),
    ],
    ids=["missing", "left over", "renamed", "shape", "axes", "empty", "float64", "int64"],
)
def test_load_model_says_what_does_not_fit_and_changes_nothing(change, message):
    model = Net()
    before = copied(model_arrays(model))
    arrays = {name: array + 1 for name, array in before.items()}
    change(arrays)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_model(model, arrays, "output/run/checkpoints/last")
    assert "output/run/checkpoints/last" in str(caught.value)
    for name, array in before.items():
        assert np.array_equal(model_arrays(model)[name], array), name


@pytest.mark.parametrize("recipe", [AdamW(), SGD()])
def test_optimizer_state_moves_between_models_of_one_process(recipe):
    """Paddle's own names differ there: linear_0.w_0, linear_2.w_0."""
    source, target = Net(), Net()
    optimizer = built(source, recipe)
    descend(source, optimizer)
    weights, state = copied(model_arrays(source)), copied(optimizer_arrays(source, optimizer))
    assert {key.rpartition("|")[0] for key in state} == {
        name for name, parameter in source.named_parameters() if not parameter.stop_gradient
    }
    descend(source, optimizer, 3)
    load_model(target, weights, "here")
    resumed = built(target, recipe)
    load_optimizer(target, resumed, state, "here")
    saved_again = optimizer_arrays(target, resumed)
    assert set(saved_again) == set(state) and all(np.array_equal(saved_again[key], state[key]) for key in state)
    descend(target, resumed, 3)
    for name, array in model_arrays(source).items():
        assert np.array_equal(model_arrays(target)[name], array), name
    final, wanted = optimizer_arrays(target, resumed), optimizer_arrays(source, optimizer)
    assert set(final) == set(wanted) and all(np.array_equal(final[key], wanted[key]) for key in wanted)


@pytest.mark.parametrize("recipe", [AdamW(), SGD()])
def test_optimizer_state_moves_to_a_second_optimizer_of_the_same_model(recipe):
    """Paddle counts optimizers in its names: linear_0.w_0_moment1_0, then linear_0.w_0_moment1_1."""
    model = Net()
    first = built(model, recipe)
    descend(model, first)
    weights, state = copied(model_arrays(model)), copied(optimizer_arrays(model, first))
    descend(model, first)
    wanted = copied(model_arrays(model))
    load_model(model, weights, "here")
    second = built(model, recipe)
    load_optimizer(model, second, state, "here")
    descend(model, second)
    for name, array in model_arrays(model).items():
        assert np.array_equal(array, wanted[name]), name


@pytest.mark.parametrize("recipe", [AdamW(), SGD()])
def test_names_of_the_state_do_not_depend_on_what_the_process_built_before(recipe):
    model = Net()
    first = built(model, recipe)
    descend(model, first)
    second = built(model, recipe)
    descend(model, second)
    assert set(optimizer_arrays(model, second)) == set(optimizer_arrays(model, first))


@pytest.mark.parametrize("recipe", [AdamW(), SGD()])
def test_state_goes_back_into_the_optimizer_that_it_came_from(recipe):
    model = Net()
    optimizer = built(model, recipe)
    descend(model, optimizer)
    weights, state = copied(model_arrays(model)), copied(optimizer_arrays(model, optimizer))
    descend(model, optimizer)
    wanted = copied(model_arrays(model))
    load_model(model, weights, "here")
    load_optimizer(model, optimizer, state, "here")
    descend(model, optimizer)
    for name, array in model_arrays(model).items():
        assert np.array_equal(array, wanted[name]), name


def test_state_of_the_first_checkpoints_which_had_paddles_numbers_is_read():
    model = Net()
    optimizer = built(model, AdamW())
    descend(model, optimizer)
    state = copied(optimizer_arrays(model, optimizer))
    target = built(model, AdamW())
    load_optimizer(model, target, {f"{key}_0": array for key, array in state.items()}, "here")
    again = optimizer_arrays(model, target)
    assert set(again) == set(state) and all(np.array_equal(again[key], state[key]) for key in state)


def test_before_the_first_step_there_is_no_state():
    model = Net()
    optimizer = built(model, AdamW())
    assert optimizer_arrays(model, optimizer) == {}
    load_optimizer(model, optimizer, {}, "here")
    descend(model, optimizer)


class WithSpare(Net):
    """Has a layer that its answer does not use."""

    def __init__(self):
        super().__init__()
        self.spare = nn.Linear(2, 2)


@pytest.mark.parametrize("recipe", [AdamW(), SGD()])
def test_a_parameter_that_never_had_a_gradient_does_not_stop_a_resume(recipe):
    source, target = WithSpare(), WithSpare()
    optimizer = built(source, recipe)
    descend(source, optimizer)
    state = copied(optimizer_arrays(source, optimizer))
    load_model(target, model_arrays(source), "here")
    resumed = built(target, recipe)
    load_optimizer(target, resumed, state, "here")
    descend(source, optimizer)
    descend(target, resumed)
    for name, array in model_arrays(source).items():
        assert np.array_equal(model_arrays(target)[name], array), name


def test_frozen_parameters_need_no_state():
    source, target = Net(), Net()
    for model in (source, target):
        model.first.weight.stop_gradient = model.first.bias.stop_gradient = True
    optimizer = built(source, AdamW())
    descend(source, optimizer)
    state = optimizer_arrays(source, optimizer)
    assert not any(key.startswith("first.") for key in state)
    resumed = built(target, AdamW())
    load_optimizer(target, resumed, state, "here")
    descend(target, resumed)


def test_state_of_another_model_is_refused():
    model = Net()
    optimizer = built(model, AdamW())
    descend(model, optimizer)
    state = copied(optimizer_arrays(model, optimizer))
    other = built(Net(), AdamW())
    with pytest.raises(CheckpointError, match=r"'tower\.weight', which this model does not have"):
        load_optimizer(model, other, {**state, "tower.weight|moment1_0": np.zeros(2)}, "here")
    lost = next(key for key in state if key.startswith("last.weight|moment1"))
    del state[lost]
    with pytest.raises(CheckpointError, match=r"last\.weight"):
        load_optimizer(model, other, state, "here")


def test_names_that_begin_alike_are_kept_apart():
    """Twelve layers: linear_1 and linear_10 ... are prefixes of one another in Paddle's names."""
    model = nn.Sequential(*(nn.Linear(2, 2) for _ in range(12)))
    optimizer = built(model, AdamW())
    descend_x = paddle.ones([1, 2])
    (model(descend_x) ** 2).sum().backward()
    optimizer.step()
    arrays = optimizer_arrays(model, optimizer)
    assert len(arrays) == 12 * 2 * 4
    for name, parameter in model.named_parameters():
        moment = next(array for key, array in arrays.items() if key.startswith(f"{name}|moment1"))
        np.testing.assert_allclose(moment, 0.1 * parameter.grad.numpy(), rtol=1e-5, atol=1e-12)


def test_a_parameter_named_like_the_state_of_another_keeps_its_own():
    """Paddle writes tower_moment1_0 for `tower` and tower_bias_moment1_0 for `tower_bias`."""
    layer = nn.Linear(2, 2, paddle.ParamAttr(name="tower"), paddle.ParamAttr(name="tower_bias"))
    optimizer = built(layer, AdamW())
    (layer(paddle.ones([1, 2])) ** 2).sum().backward()
    optimizer.step()
    arrays = optimizer_arrays(layer, optimizer)
    moments = {key.partition("|")[0]: array.shape for key, array in arrays.items() if "|moment1" in key}
    assert len(arrays) == 8 and moments == {"weight": (2, 2), "bias": (2,)}
