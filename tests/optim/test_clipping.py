"""Clipping by value and adaptively, by hand; what is a unit; that an optimizer uses it."""

import numpy as np
import paddle
import pytest
from paddle import nn

from ppmm.engine.step import scheduled
from ppmm.optim.clipping import AdaptiveClip, make_clip, unit_axes
from ppmm.optim.optimizers import SGD


class Net(nn.Layer):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(6, 3)
        self.linear = nn.Linear(3, 4)
        self.conv = nn.Conv2D(2, 5, 3, groups=1)
        self.up = nn.Conv1DTranspose(2, 3, 4)
        self.rnn = nn.LSTM(4, 2)
        self.norm = nn.LayerNorm(4)
        self.scale = self.create_parameter([])
        self.head = nn.Linear(4, 2)


UNITS = {
    "embedding.weight": (1,),
    "linear.weight": (0,),
    "linear.bias": (0,),
    "conv.weight": (1, 2, 3),
    "conv.bias": (0,),
    "up.weight": (0, 2),
    "rnn.weight_ih_l0": (1,),
    "norm.weight": (0,),
    "scale": (),
}
"""Axes of one unit, by hand."""


def net(seed=0, size=1.0):
    """Weights of a few sizes, with gradients."""
    model = Net()
    rng = np.random.default_rng(seed)
    for name, parameter in model.named_parameters():
        spread = size * rng.uniform(0.001, 2.0, size=parameter.shape)
        parameter.set_value(np.asarray(rng.normal(size=parameter.shape) * spread, "float32"))
        gradient = np.asarray(rng.normal(size=parameter.shape) * rng.uniform(0.0, 0.1), "float32")
        (parameter * paddle.to_tensor(gradient)).sum().backward()
        assert parameter.grad is not None, name
    return model


def pairs(model):
    return [(parameter, parameter.grad) for parameter in model.parameters()]


def by_hand(weight, gradient, axes, limit, eps=1e-3):
    """Equation 3 of Brock et al. 2021."""
    norm = lambda array: np.sqrt((array.astype(float) ** 2).sum(axis=axes, keepdims=True))  # noqa: E731
    ratio = norm(gradient) / np.maximum(norm(weight), eps)
    return np.where(ratio > limit, limit / np.maximum(ratio, 1e-30) * gradient, gradient)


@pytest.mark.parametrize("limit", [0.001, 0.02, 1.0, 100.0])
def test_adaptive_by_hand(limit):
    model = net()
    clip = make_clip(model, list(model.named_parameters()), adaptive=limit)
    clipped = {parameter.name: gradient.numpy() for parameter, gradient in clip(pairs(model))}
    named = dict(model.named_parameters())
    for name, axes in UNITS.items():
        weight, gradient = named[name].numpy(), named[name].grad.numpy()
        np.testing.assert_allclose(
            clipped[named[name].name], by_hand(weight, gradient, axes, limit), rtol=1e-5, atol=1e-9, err_msg=name
        )
    for name in ("head.weight", "head.bias"):
        assert np.array_equal(clipped[named[name].name], named[name].grad.numpy()), name


def test_some_units_are_clipped_and_others_not():
    layer = nn.Linear(2, 3, bias_attr=False)
    layer.weight.set_value(np.array([[3.0, 0.0, 0.3], [4.0, 0.0, 0.4]], "float32"))
    gradient = paddle.to_tensor([[0.3, 0.3, 0.3], [0.4, 0.4, 0.4]])
    ((_, clipped),) = AdaptiveClip(0.2, unit_axes(layer))([(layer.weight, gradient)])
    # norms of the columns: 5, 0 (counts as 0.001) and 0.5 for the weights, 0.5 for each gradient
    np.testing.assert_allclose(clipped.numpy(), [[0.3, 0.3 * 0.0004, 0.06], [0.4, 0.4 * 0.0004, 0.08]], rtol=1e-5)


def test_half_precision_gradients_do_not_overflow():
    layer = nn.Linear(300, 2, bias_attr=False)
    layer.weight.set_value(np.full([300, 2], 0.1, "float32"))
    gradient = paddle.full([300, 2], 200.0).astype("float16")
    ((_, clipped),) = AdaptiveClip(0.5, unit_axes(layer))([(layer.weight, gradient)])
    assert clipped.dtype == paddle.float16
    np.testing.assert_allclose(clipped.astype("float32").numpy(), 0.05, rtol=2e-3)


def test_a_gradient_of_zero_stays_zero_and_none_is_left_out():
    layer = nn.Linear(2, 2)
    found = AdaptiveClip(0.1, unit_axes(layer))([(layer.weight, paddle.zeros([2, 2])), (layer.bias, None)])
    assert len(found) == 1 and (found[0][1].numpy() == 0).all()


def test_the_parameters_of_an_objective_are_left_alone():
    model = net()
    temperature = nn.Linear(1, 1).weight
    temperature.set_value(np.zeros([1, 1], "float32"))
    clip = make_clip(model, [("objective.scale", temperature)], adaptive=0.01)
    assert clip([(temperature, paddle.ones([1, 1]))])[0][1].item() == 1.0


def test_by_value():
    model = net()
    clip = make_clip(model, list(model.named_parameters()), value=0.03)
    for parameter, gradient in clip(pairs(model)):
        np.testing.assert_array_equal(gradient.numpy(), np.clip(parameter.grad.numpy(), -0.03, 0.03))


def test_by_norm_and_not_at_all():
    model = net()
    clip = make_clip(model, list(model.named_parameters()), norm=0.5)
    total = np.sqrt(sum((p.grad.numpy().astype(float) ** 2).sum() for p in model.parameters()))
    before = model.linear.weight.grad.numpy().copy()
    found = {parameter.name: gradient.numpy() for parameter, gradient in clip(pairs(model))}
    np.testing.assert_allclose(found[model.linear.weight.name], before * 0.5 / total, rtol=1e-5)
    assert make_clip(model, list(model.named_parameters())) is None


@pytest.mark.parametrize("limits", [{"norm": 1.0, "value": 1.0}, {"value": 1.0, "adaptive": 0.1}])
def test_more_than_one(limits):
    model = net()
    with pytest.raises(ValueError, match="one of clip_norm, clip_value and clip_adaptive"):
        make_clip(model, list(model.named_parameters()), **limits)


@pytest.mark.parametrize("limits", [{"adaptive": 0.01}, {"value": 0.01}])
def test_a_step_of_sgd_takes_the_clipped_gradients(limits):
    model = net()
    named = list(model.named_parameters())
    clip = make_clip(model, named, **limits)
    optimizer = SGD(momentum=0.0, weight_decay=0.0).build(named, scheduled(0.5, lambda step: 1.0), clip)
    before = {parameter.name: parameter.numpy() for parameter in model.parameters()}
    wanted = {p.name: before[p.name] - 0.5 * gradient.numpy() for p, gradient in clip(pairs(model))}
    optimizer.step()
    for name, parameter in named:
        np.testing.assert_allclose(parameter.numpy(), wanted[parameter.name], atol=1e-6, err_msg=name)
        assert name.startswith("head") or np.abs(before[parameter.name] - parameter.numpy()).max() > 0, name
