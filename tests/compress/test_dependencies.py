"""Which channels belong together, on networks that are small enough to know it."""

import numpy as np
import paddle
import pytest
from paddle import nn
from paddle.nn import functional as F

from ppmm.compress.channels import Channels
from ppmm.compress.dependencies import Dependencies
from ppmm.models.layers.attention import MultiHeadAttention
from ppmm.models.layers.recurrent import Bidirectional


def groups_of(model, *shape, **options):
    """{name of the first layer: (units, every dimension that loses channels)}."""
    found = Dependencies(model, paddle.rand(shape), **options)
    return {group.layers[0]: (len(group.units), set(group.units[0].places)) for group in found.groups}, found


def bind(function):
    """A Layer with these sublayers whose forward is ``function(layers, x)``."""

    class Model(nn.Layer):
        def __init__(self, **layers):
            super().__init__()
            for name, layer in layers.items():
                setattr(self, name, layer)

        def forward(self, x):
            return function(self, x)

    return Model


def norm(name):
    return {(f"{name}.{part}", 0) for part in ("weight", "bias", "_mean", "_variance")}


def test_channels_are_united_one_by_one_and_remember_why_they_stay():
    channels = Channels(8)
    first, second = channels.fresh(3), channels.fresh(3)
    channels.unite(first, second[[2, 1, 0]], "")
    assert channels.roots(first).tolist() == channels.roots(second[[2, 1, 0]]).tolist()
    assert len(set(channels.roots(first).tolist())) == 3
    channels.fix(first[:1], "because")
    assert channels.is_fixed(second).tolist() == [False, False, True]
    assert channels.reason(int(second[2])) == "because" and channels.reason(int(second[0])) is None
    channels.unite(second, np.zeros(3, dtype=np.int64), "a constant")
    assert channels.is_fixed(first).all() and channels.reason(int(first[1])) == "a constant"
    assert channels.fresh(1).tolist() == [0], "a single channel cannot go"


def test_convolution_norm_pool_linear():
    model = nn.Sequential(
        nn.Conv2D(3, 6, 3), nn.BatchNorm2D(6), nn.ReLU(), nn.AdaptiveAvgPool2D(2), nn.Flatten(), nn.Linear(24, 5)
    )
    groups, found = groups_of(model, 2, 3, 8, 8)
    assert groups == {"0": (6, {("0.weight", 0), ("0.bias", 0), *norm("1"), ("5.weight", 0)})}
    third = found.groups[0].units[2]
    assert third.places["5.weight", 0].tolist() == [8, 9, 10, 11], "four pixels of the third channel"
    assert found.fixed() == {("5.weight", 1): "it is an answer of the model"}
    whole = 2 * (6 * 6 * 6 * 3 * 9 + 24 * 5)
    assert found.flops() == whole and found.flops([third]) == whole - 2 * (36 * 27 + 4 * 5)
    assert found.kept([third])["5.weight"][0].tolist() == [*range(8), *range(12, 24)]
    assert found.shapes([third])["0.weight"] == [5, 3, 3, 3]


@bind
def residual(self, x):
    x = self.stem(x)
    x = F.relu(self.second(F.relu(self.first(x))) + x)
    return self.head(x.mean(axis=[2, 3]))


def test_a_residual_sum_ties_what_it_adds():
    model = residual(stem=nn.Conv2D(3, 4, 1), first=nn.Conv2D(4, 7, 1), second=nn.Conv2D(7, 4, 1), head=nn.Linear(4, 2))
    groups, _ = groups_of(model, 2, 3, 4, 4)
    assert groups["first"] == (7, {("first.weight", 0), ("first.bias", 0), ("second.weight", 1)})
    tied = {("stem.weight", 0), ("stem.bias", 0), ("first.weight", 1), ("second.weight", 0), ("second.bias", 0)}
    assert groups["stem"] == (4, {*tied, ("head.weight", 0)})


@bind
def fused(self, x):
    joint = paddle.concat([self.left(x), self.right(x), x[:, :2]], axis=-1)
    return self.head(joint)


def test_concatenation_keeps_towers_apart():
    model = fused(left=nn.Linear(6, 3), right=nn.Linear(6, 4), head=nn.Linear(9, 2))
    groups, found = groups_of(model, 2, 6)
    assert {name: units for name, (units, _) in groups.items()} == {"left": 3, "right": 4}
    last = found.groups[1].units[-1]
    assert last.places == {("right.weight", 1): [3], ("right.bias", 0): [3], ("head.weight", 0): [6]}


def test_depthwise_and_grouped_convolutions():
    depthwise = nn.Sequential(nn.Conv2D(3, 4, 1), nn.Conv2D(4, 8, 3, groups=4), nn.Conv2D(8, 2, 1))
    groups, found = groups_of(depthwise, 1, 3, 5, 5)
    places = found.groups[0].units[1].places
    assert groups["0"][0] == 4 and places["1.weight", 0].tolist() == [2, 3] and places["2.weight", 1].tolist() == [2, 3]

    grouped = nn.Sequential(nn.Conv2D(3, 6, 1), nn.Conv2D(6, 4, 3, groups=2), nn.Conv2D(4, 2, 1))
    groups, found = groups_of(grouped, 1, 3, 5, 5)
    assert groups["0"][0] == 2, "whole groups only"
    assert found.groups[0].units[0].places["0.weight", 0].tolist() == [0, 1, 2]
    assert ("1.weight", 1) not in groups["0"][1]


@bind
def read(self, x):
    return self.head(self.rnn(x))


@pytest.mark.parametrize(("cell", "gates"), [(nn.LSTM, 4), (nn.GRU, 3)])
def test_a_hidden_unit_has_all_gates_directions_and_layers(cell, gates):
    model = read(rnn=Bidirectional(cell, 5, 6, layers=2), head=nn.Linear(6, 2))
    groups, found = groups_of(model, 2, 7, 5)
    unit = found.groups[0].units[1]
    assert groups["rnn.rnn"][0] == 3 and len(unit.places) == 4 * 4 + 6 + 1
    for suffix in ("l0", "l0_reverse", "l1", "l1_reverse"):
        rows = [1 + 3 * gate for gate in range(gates)]
        for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            assert unit.places[f"rnn.rnn.{kind}_{suffix}", 0].tolist() == rows
        assert unit.places[f"rnn.rnn.weight_hh_{suffix}", 1].tolist() == [1]
    assert unit.places["rnn.rnn.weight_ih_l1", 1].tolist() == [1, 4], "both directions of the layer below"
    assert unit.places["head.weight", 0].tolist() == [1, 4]


@bind
def attend(self, x):
    return self.attention(x)


def test_attention_loses_whole_heads():
    groups, found = groups_of(attend(attention=MultiHeadAttention(12, 4)), 2, 5, 12)
    assert len(groups) == 1
    assert groups["attention.query"][0] == 4
    places = found.groups[0].units[1].places
    assert places["attention.query.weight", 1].tolist() == [3, 4, 5]
    assert {name for name, _ in places} == {f"attention.{part}.weight" for part in ("query", "key", "value", "out")} | {
        f"attention.{part}.bias" for part in ("query", "value")
    }
    assert found.groups[0].width == 3


@bind
def normed(self, x):
    return self.head(self.norm(self.first(x)))


def test_a_normalised_width_stays_unless_allowed():
    model = normed(first=nn.Linear(3, 6), norm=nn.LayerNorm(6), head=nn.Linear(6, 2))
    groups, found = groups_of(model, 4, 3)
    assert groups == {} and "layer_norm" in found.fixed()["first.weight", 1]
    groups, found = groups_of(model, 4, 3, normalised=True)
    places = {("first.weight", 1), ("first.bias", 0), ("norm.weight", 0), ("norm.bias", 0), ("head.weight", 0)}
    assert groups == {"first": (6, places)} and found.norms == {"norm.weight"}


@bind
def shared(self, x):
    return self.head(F.relu(self.layer(F.relu(self.layer(x)))))


def test_a_shared_layer_whose_input_is_that_of_the_model_stays():
    groups, found = groups_of(shared(layer=nn.Linear(4, 4), head=nn.Linear(4, 2)), 3, 4)
    assert groups == {} and ("layer.weight", 1) in found.fixed()


@bind
def shared_inside(self, x):
    x = self.first(x)
    return self.head(F.relu(self.layer(F.relu(self.layer(x)))))


def test_a_shared_layer_loses_its_inputs_with_its_outputs():
    model = shared_inside(first=nn.Linear(3, 4), layer=nn.Linear(4, 4), head=nn.Linear(4, 2))
    groups, _ = groups_of(model, 3, 3)
    places = {("first.weight", 1), ("first.bias", 0), ("layer.weight", 0), ("layer.weight", 1), ("layer.bias", 0)}
    assert groups == {"first": (4, {*places, ("head.weight", 0)})}


@bind
def gated(self, x):
    return self.head(F.glu(self.first(x)))


def test_the_halves_of_a_gate_go_together():
    groups, found = groups_of(gated(first=nn.Linear(3, 8), head=nn.Linear(4, 2)), 2, 3)
    assert groups["first"][0] == 4 and found.groups[0].units[1].places["first.weight", 1].tolist() == [1, 5]


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (lambda x: paddle.sort(x, axis=-1), "nothing is known about the operation argsort"),
        (lambda x: x[:, 1:5], "takes what stands at some place"),
        (lambda x: x + paddle.arange(6, dtype="float32"), "meets numbers that are not channels"),
        (lambda x: x / x.sum(axis=-1, keepdim=True), "reduces over it"),
        (lambda x: F.softmax(x, axis=-1), "works along it"),
        (lambda x: x.reshape([-1, 2, 3]).flatten(1), "by numbers that may be fixed"),
        (lambda x: F.pad(x, [0, 0, 1, 1]), "adds to it"),
    ],
)
def test_what_is_not_number_by_number_stays(act, reason):
    @bind
    def model(self, x):
        return self.head(act(self.first(x)))

    width = act(paddle.rand([2, 6])).shape[-1]
    groups, found = groups_of(model(first=nn.Linear(3, 6), head=nn.Linear(width, 2)), 2, 3)
    assert groups == {} and reason in found.fixed()["first.weight", 1]


def test_an_unknown_operation_is_named():
    @bind
    def model(self, x):
        return self.head(paddle.lgamma(self.first(x)))

    _, found = groups_of(model(first=nn.Linear(3, 6), head=nn.Linear(6, 2)), 2, 3)
    assert list(found.unknown) == ["lgamma"]


def test_what_a_condition_reads_stays():
    @bind
    def model(self, x):
        y = self.first(x)
        return self.head(paddle.static.nn.cond(x.mean() > 0, lambda: y * 2, lambda: y + 1))

    groups, found = groups_of(model(first=nn.Linear(3, 6), head=nn.Linear(6, 2)), 2, 3)
    assert groups == {} and "if" in found.unknown
