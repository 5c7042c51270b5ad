"""Parameter groups: which parameter is in which, and steps of AdamW and SGD by hand for each group."""

import numpy as np
import paddle
import pytest
from paddle import nn

from ppmm.engine.step import scheduled
from ppmm.optim.groups import OTHERS, ParameterGroup, ParameterRules
from ppmm.optim.optimizers import SGD, AdamW, Lamb

GROUPS = [
    ParameterGroup("encoders.text.embedding.*", rate=0.5, decay=0.0),
    ParameterGroup("encoders.text.*", rate=0.1, decay=0.7),
    ParameterGroup("*.norm.*", rate=3.0),
]
RATES = {
    "encoders.image.project.weight": (1.0, 0.3),
    "encoders.image.norm.weight": (3.0, 0.0),
    "encoders.text.embedding.weight": (0.5, 0.0),
    "encoders.text.project.weight": (0.1, 0.7),
    "encoders.text.project.bias": (0.1, 0.0),
    "encoders.text.norm.weight": (0.1, 0.0),
    "head.weight": (1.0, 0.3),
    "head.bias": (1.0, 0.0),
}
"""Some parameters, with the factor on their rate and their decay where the optimizer's is 0.3."""


class Tower(nn.Layer):
    def __init__(self, text):
        super().__init__()
        if text:
            self.embedding = nn.Embedding(5, 3)
        self.project = nn.Linear(3, 2)
        self.norm = nn.LayerNorm(2)


class Net(nn.Layer):
    def __init__(self):
        super().__init__()
        self.encoders = nn.LayerDict({"image": Tower(False), "text": Tower(True)})
        self.head = nn.Linear(2, 4)


def net():
    model = Net()
    rng = np.random.default_rng(0)
    for parameter in model.parameters():
        parameter.set_value(rng.normal(size=parameter.shape).astype("float32"))
    return model


def gradients(model, step):
    rng = np.random.default_rng(step + 1)
    return {name: rng.normal(size=p.shape).astype("float32") for name, p in model.named_parameters()}


def run(recipe, norm=None, steps=2):
    """Weights before and after steps with given gradients, whose norm is about 7."""
    model = net()
    before = {name: p.numpy().astype(float) for name, p in model.named_parameters()}
    clip = None if norm is None else nn.ClipGradByGlobalNorm(norm)
    optimizer = recipe.build(list(model.named_parameters()), scheduled(0.1, lambda step: 1.0), clip)
    for step in range(steps):
        given = gradients(model, step)
        sum((p * paddle.to_tensor(given[name])).sum() for name, p in model.named_parameters()).backward()
        optimizer.step()
        optimizer.clear_grad()
    return model, before, {name: p.numpy() for name, p in model.named_parameters()}


def clipped(model, step, norm):
    """The gradients of a step, scaled by the norm of all of them, not by that of a group."""
    given = gradients(model, step)
    total = np.sqrt(sum((g.astype(float) ** 2).sum() for g in given.values()))
    return given if norm is None else {name: g * min(1.0, norm / total) for name, g in given.items()}


def test_the_first_pattern_that_matches_counts():
    found = ParameterRules(0.3, groups=GROUPS).treatments(list(net().named_parameters()))
    assert {name: found[name][:2] for name in RATES} == RATES
    assert found["head.weight"].label == OTHERS and found["encoders.text.norm.weight"].label == "encoders.text.*"


@pytest.mark.parametrize("norm", [None, 0.5])
def test_adamw_by_hand_in_each_group_and_with_one_norm_for_all(norm):
    recipe = AdamW(learning_rate=0.1, weight_decay=0.3, beta1=0.8, beta2=0.95, epsilon=0.01, groups=GROUPS)
    model, before, after = run(recipe, norm)
    for name, (factor, decay) in RATES.items():
        p, rate = before[name], 0.1 * factor
        first = second = np.zeros_like(p)
        for step in range(2):
            g = clipped(model, step, norm)[name]
            first, second = 0.8 * first + 0.2 * g, 0.95 * second + 0.05 * g**2
            hat = first / (1 - 0.8 ** (step + 1)), second / (1 - 0.95 ** (step + 1))
            p = p * (1 - rate * decay) - rate * hat[0] / (np.sqrt(hat[1]) + 0.01)
        np.testing.assert_allclose(after[name], p, atol=2e-6, err_msg=name)


@pytest.mark.parametrize("norm", [None, 0.5])
def test_sgd_by_hand_in_each_group_and_with_one_norm_for_all(norm):
    recipe = SGD(learning_rate=0.1, momentum=0.7, weight_decay=0.3, groups=GROUPS)
    model, before, after = run(recipe, norm)
    for name, (factor, decay) in RATES.items():
        p, velocity = before[name], np.zeros_like(before[name])
        for step in range(2):
            velocity = 0.7 * velocity + clipped(model, step, norm)[name] + decay * p
            p = p - 0.1 * factor * velocity
        np.testing.assert_allclose(after[name], p, atol=2e-6, err_msg=name)


@pytest.mark.parametrize("norm", [None, 0.5])
def test_lamb_by_hand_in_each_group_and_with_one_norm_for_all(norm):
    """Algorithm 2 of You et al. 2020; what does not decay takes the step of Adam."""
    recipe = Lamb(learning_rate=0.1, weight_decay=0.3, beta1=0.8, beta2=0.95, epsilon=0.01, groups=GROUPS)
    model, before, after = run(recipe, norm)
    for name, (factor, decay) in RATES.items():
        p = before[name]
        first = second = np.zeros_like(p)
        for step in range(2):
            g = clipped(model, step, norm)[name]
            first, second = 0.8 * first + 0.2 * g, 0.95 * second + 0.05 * g**2
            hat = first / (1 - 0.8 ** (step + 1)), second / (1 - 0.95 ** (step + 1))
            change = hat[0] / (np.sqrt(hat[1]) + 0.01) + decay * p
            trust = np.linalg.norm(p) / np.linalg.norm(change) if decay else 1.0
            p = p - 0.1 * factor * trust * change
        np.testing.assert_allclose(after[name], p, atol=2e-6, err_msg=name)


def test_without_groups_adamw_is_paddles_to_the_bit():
    model, _, after = run(AdamW(learning_rate=0.1, weight_decay=0.3), norm=0.5)
    other = net()
    decaying = {p.name for p in other.parameters() if len(p.shape) > 1}
    optimizer = paddle.optimizer.AdamW(
        0.1, parameters=other.parameters(), weight_decay=0.3, grad_clip=nn.ClipGradByGlobalNorm(0.5),
        apply_decay_param_fun=lambda name: name in decaying,
    )  # fmt: skip
    for step in range(2):
        given = gradients(model, step)
        sum((p * paddle.to_tensor(given[name])).sum() for name, p in other.named_parameters()).backward()
        optimizer.step()
        optimizer.clear_grad()
    assert all(np.array_equal(p.numpy(), after[name]) for name, p in other.named_parameters())


@pytest.mark.parametrize("kind", [AdamW, SGD, Lamb])
def test_rates_of_an_earlier_optimizer_do_not_stay_with_the_parameters(kind):
    steps = []
    for earlier in ([], [ParameterGroup("*", rate=0.01)]):
        model = net()
        named = list(model.named_parameters())
        kind(groups=earlier).build(named, scheduled(0.1, lambda step: 1.0))
        optimizer = kind().build(named, scheduled(0.1, lambda step: 1.0))
        sum((p**2).sum() for p in model.parameters()).backward()
        optimizer.step()
        steps.append(model.head.weight.numpy())
    assert np.array_equal(*steps)


def test_no_decay_counts_more_than_the_decay_of_a_group():
    rules = ParameterRules(0.3, ["*.embedding.*"], [ParameterGroup("encoders.text.*", decay=0.7)])
    found = rules.treatments(list(net().named_parameters()))
    assert found["encoders.text.embedding.weight"].decay == 0.0 and found["encoders.text.project.weight"].decay == 0.7


def test_what_an_objective_learns_has_a_rate_but_no_decay():
    named = [*net().named_parameters(), ("objective.centres", nn.Linear(2, 2).weight)]
    found = ParameterRules(0.3, groups=[ParameterGroup("objective.*", rate=10.0)]).treatments(named)
    assert found["objective.centres"] == (10.0, 0.0, "objective.*")


def refused(*groups, no_decay=None, freeze=()):
    model = net()
    for name, parameter in model.named_parameters():
        parameter.stop_gradient = name.startswith(tuple(freeze))
    with pytest.raises(ValueError) as caught:
        ParameterRules(0.3, no_decay, groups).treatments(list(model.named_parameters()))
    return str(caught.value)


def test_a_pattern_that_matches_nothing_names_what_is_near():
    message = refused(ParameterGroup("*"), ParameterGroup("encoder.text.*"))
    assert "groups.1.match: no parameter matches 'encoder.text.*'" in message and "'encoders.text.*'" in message
    assert "there are encoders.image.project.weight" in refused(ParameterGroup("zzz"))
    assert "no_decay: no parameter matches 'head.weigth'; did you mean 'head" in refused(no_decay=["head.weigth"])


def test_a_group_that_nothing_is_left_for():
    message = refused(ParameterGroup("encoders.*"), ParameterGroup("encoders.text.*"))
    assert "groups.1.match" in message and "groups.0 'encoders.*'" in message and "narrower pattern first" in message


def test_a_group_of_frozen_parameters():
    message = refused(ParameterGroup("encoders.text.*"), freeze=["encoders.text."])
    assert "groups.0.match" in message and "frozen" in message


def test_a_group_with_some_frozen_parameters():
    model = net()
    model.encoders["text"].embedding.weight.stop_gradient = True
    named = list(model.named_parameters())
    found = ParameterRules(0.3, groups=[ParameterGroup("encoders.text.*", rate=0.5)]).treatments(named)
    assert found["encoders.text.norm.weight"].rate == 0.5


def test_a_decay_for_what_does_not_decay():
    assert "groups.0.decay: nothing in '*.bias'" in refused(ParameterGroup("*.bias", decay=0.1))
    assert "groups.0.decay" in refused(ParameterGroup("head.*", decay=0.1), no_decay=["head.weight"])


@pytest.mark.parametrize("rate", [0.0, -0.1, float("inf"), float("nan")])
def test_a_rate_that_is_none(rate):
    with pytest.raises(ValueError, match="rate must be above 0"):
        ParameterGroup("*", rate=rate)


@pytest.mark.parametrize("decay", [-0.1, float("inf"), float("nan")])
def test_a_decay_that_is_none(decay):
    with pytest.raises(ValueError, match="decay must not be negative"):
        ParameterGroup("*", decay=decay)


def test_an_empty_pattern():
    with pytest.raises(ValueError, match="match must not be empty"):
        ParameterGroup(" ")


@pytest.mark.parametrize("kind", [AdamW, SGD, Lamb])
@pytest.mark.parametrize("decay", [0.0, -0.5, 1.01, float("nan")])
def test_a_layer_decay_outside_its_range(kind, decay):
    with pytest.raises(ValueError, match="layer_decay must be above 0 and at most 1"):
        kind(layer_decay=decay)
