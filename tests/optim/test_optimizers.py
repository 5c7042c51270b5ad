"""Optimizers against their equations in NumPy: steps, decay, clipping."""

import numpy as np
import paddle
import pytest
from paddle import nn

from ppmm.engine.step import scheduled
from ppmm.engine.weights import model_arrays, optimizer_arrays
from ppmm.optim.groups import ParameterGroup
from ppmm.optim.optimizers import SGD, AdamW, Lamb, decayed

FACTORS = [1.0, 0.5, 0.25]


class Net(nn.Layer):
    """Matrix, kernel, norm scales and biases: what decays and what does not."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 2)
        self.norm = nn.LayerNorm(2)
        self.conv = nn.Conv1D(1, 2, 2)
        self.embedding = nn.Embedding(4, 2)


def net():
    model = Net()
    rng = np.random.default_rng(0)
    for parameter in model.parameters():
        parameter.set_value(rng.normal(size=parameter.shape).astype("float32"))
    return model


def gradients(model, step):
    rng = np.random.default_rng(step + 1)
    return {name: rng.normal(size=p.shape).astype("float32") for name, p in model.named_parameters()}


def norm_clip(norm):
    return None if norm is None else nn.ClipGradByGlobalNorm(norm)


def run(recipe, clip_norm=None, steps=3):
    """Weights before and after some steps with given gradients."""
    model = net()
    before = {name: p.numpy().astype(float) for name, p in model.named_parameters()}
    scheduler = scheduled(recipe.learning_rate, lambda step: FACTORS[step % 3])
    optimizer = recipe.build(list(model.named_parameters()), scheduler, norm_clip(clip_norm))
    for step in range(steps):
        given = gradients(model, step)
        sum((p * paddle.to_tensor(given[name])).sum() for name, p in model.named_parameters()).backward()
        optimizer.step()
        optimizer.clear_grad()
        scheduler.step()
    return model, before, {name: p.numpy() for name, p in model.named_parameters()}


def clipped(given, norm):
    if norm is None:
        return given
    total = np.sqrt(sum((g.astype(float) ** 2).sum() for g in given.values()))
    return {name: g * min(1.0, norm / total) for name, g in given.items()}


def test_what_decays():
    named = dict(Net().named_parameters())
    assert {name for name in named if decayed(name, named[name])} == {
        "linear.weight",
        "conv.weight",
        "embedding.weight",
    }
    assert {name for name in named if decayed(name, named[name], ["emb*", "*bias"])} == {"linear.weight", "conv.weight"}
    assert not decayed("objective.centres", named["linear.weight"])


@pytest.mark.parametrize("kind", [AdamW, SGD, Lamb])
def test_names_without_decay(kind):
    steps = {}
    for no_decay in (None, ["embedding.*", "conv.weight"]):
        for decay in (0.0, 0.3):
            recipe = kind(learning_rate=0.1, weight_decay=decay, no_decay=no_decay)
            steps[decay, no_decay is None] = run(recipe)[2]
    for name, wanted in steps[0.0, True].items():
        decays = not np.array_equal(steps[0.3, False][name], wanted)
        assert decays == (name == "linear.weight"), name
        differs = not np.array_equal(steps[0.3, True][name], steps[0.3, False][name])
        assert differs == (name in ("embedding.weight", "conv.weight")), name


@pytest.mark.parametrize("kind", [AdamW, SGD, Lamb])
def test_a_pattern_that_matches_nothing(kind):
    with pytest.raises(ValueError, match="no parameter matches 'encoder"):
        run(kind(no_decay=["encoder.*"]))


@pytest.mark.parametrize("clip_norm", [None, 0.5, 1e6])
def test_adamw(clip_norm):
    recipe = AdamW(learning_rate=0.1, weight_decay=0.3, beta1=0.8, beta2=0.95, epsilon=1e-6)
    model, before, after = run(recipe, clip_norm)
    for name, p in before.items():
        first = second = np.zeros_like(p)
        for step, factor in enumerate(FACTORS):
            g = clipped(gradients(model, step), clip_norm)[name]
            rate = 0.1 * factor
            if p.ndim > 1:
                p = p * (1 - rate * 0.3)
            first, second = 0.8 * first + 0.2 * g, 0.95 * second + 0.05 * g**2
            hat = first / (1 - 0.8 ** (step + 1)), second / (1 - 0.95 ** (step + 1))
            p = p - rate * hat[0] / (np.sqrt(hat[1]) + 1e-6)
        np.testing.assert_allclose(after[name], p, atol=2e-6, err_msg=name)


@pytest.mark.parametrize("clip_norm", [None, 0.5])
@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("momentum", [0.0, 0.7])
def test_sgd(momentum, nesterov, clip_norm):
    recipe = SGD(learning_rate=0.1, momentum=momentum, nesterov=nesterov, weight_decay=0.3)
    model, before, after = run(recipe, clip_norm)
    for name, p in before.items():
        velocity = np.zeros_like(p)
        for step, factor in enumerate(FACTORS):
            g = clipped(gradients(model, step), clip_norm)[name] + (0.3 * p if p.ndim > 1 else 0)
            velocity = momentum * velocity + g
            p = p - 0.1 * factor * (g + momentum * velocity if nesterov else velocity)
        np.testing.assert_allclose(after[name], p, atol=2e-6, err_msg=name)


@pytest.mark.parametrize("recipe", [AdamW(weight_decay=0.0), SGD(weight_decay=0.0)])
def test_no_decay_and_no_gradient_is_no_change(recipe):
    model = net()
    before = [p.numpy().copy() for p in model.parameters()]
    optimizer = recipe.build(
        list(model.named_parameters()), scheduled(recipe.learning_rate, lambda step: 1.0), norm_clip(1.0)
    )
    sum((p * 0).sum() for p in model.parameters()).backward()
    optimizer.step()
    assert all(np.array_equal(p.numpy(), old) for p, old in zip(model.parameters(), before, strict=True))


@pytest.mark.parametrize("kind", [AdamW, SGD, Lamb])
def test_only_one_kind_of_parameter(kind):
    """A model all of whose parameters decay, or none."""
    for layer in (nn.Linear(2, 2, bias_attr=False), nn.LayerNorm(3)):
        recipe = kind()
        optimizer = recipe.build(list(layer.named_parameters()), scheduled(1.0, lambda step: 1.0), None)
        before = layer.weight.numpy().copy()
        (layer.weight**2).sum().backward()
        optimizer.step()
        assert np.abs(layer.weight.numpy() - before).max() > 1e-3


@pytest.mark.parametrize("kind", [AdamW, SGD, Lamb])
@pytest.mark.parametrize("arguments", [{"learning_rate": 0.0}, {"learning_rate": -1.0}, {"weight_decay": -0.1}])
def test_wrong_arguments(kind, arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        kind(**arguments)


@pytest.mark.parametrize("clip", [None, nn.ClipGradByGlobalNorm(0.5)])
def test_fused_adamw_is_adamw_bit_for_bit(clip):
    """With rates and decays of groups, a frozen parameter and one without a gradient; the state has the same names."""
    found = []
    for fused in (False, True):
        model = net()
        model.conv.weight.stop_gradient = True
        group = [ParameterGroup("linear.*", rate=0.1, decay=2.0)]
        schedule = scheduled(0.02, lambda step: FACTORS[step % 3])
        recipe = AdamW(0.02, weight_decay=0.1, groups=group, fused=fused)
        optimizer = recipe.build(list(model.named_parameters()), schedule, clip)
        for step in range(4):
            schedule.last_epoch = step - 1
            schedule.step()
            x = paddle.to_tensor(np.random.default_rng(step).normal(size=(4, 3)).astype("float32"))
            (model.norm(model.linear(x)) ** 2).sum().backward()
            optimizer.step()
            optimizer.clear_grad()
        found.append((model_arrays(model), optimizer_arrays(model, optimizer)))
    for plain, together in zip(*found, strict=True):
        assert plain.keys() == together.keys() and plain
        assert all(np.array_equal(array, together[name]) for name, array in plain.items())
