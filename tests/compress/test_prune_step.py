"""The step ``prune``: a share of the multiply-adds, rounds with training between, ratios from curves, and bad input."""

import json
import math

import numpy as np
import pytest
from made_context import MadeContext
from prunable import encoder_model, fusion_model, tower_model

from ppmm.compress.flops_target import smallest
from ppmm.compress.steps.prune import PruneStep
from ppmm.errors import CompressError
from ppmm.models.flops import count_flops
from ppmm.models.transforms.prune import Shrunk


def prune(make, training=None, **arguments):
    """The pruned model, its batch, and what the step gave back; a fresh model takes the same form."""
    model, batch = make()
    whole = count_flops(model, batch)
    context = MadeContext(batch, fields=list(model.fields))
    if training:
        context.training = training
    done = json.loads(json.dumps(PruneStep(**arguments).apply(model, context)._asdict()))
    assert done["report"]["flops"][0] >= whole - 1 and count_flops(model, batch) < whole
    fresh, _ = make()
    for transform in done["transforms"]:
        old = {name: list(tensor.shape) for name, tensor in fresh.state_dict().items()}
        Shrunk(**transform["args"])(fresh)
        new = {name: list(tensor.shape) for name, tensor in fresh.state_dict().items()}
        assert {name: shape for name, shape in new.items() if shape != old[name]} == transform["shapes"]
    fresh.set_state_dict(model.state_dict())
    for key, answer in model(batch).items():
        np.testing.assert_array_equal(fresh(batch)[key].numpy(), answer.numpy(), err_msg=key)
    return model, context, done


def fused():
    return fusion_model("gated")


def test_a_share_of_the_multiply_adds_goes_and_hardly_more():
    for ranking in ("uniform", "global"):
        _, _, done = prune(fused, flops=0.5, ranking=ranking)
        before, after = done["report"]["flops"]
        assert 0.35 < after / before <= 0.5
        towers = done["report"]["towers"]
        assert {"image", "text", "audio", "fusion", "head"} == set(towers)
        assert [sum(part["flops"][n] for part in towers.values()) for n in (0, 1)] == [before, after]
        assert [sum(p["parameters"][n] for p in towers.values()) for n in (0, 1)] == done["report"]["parameters"]


def test_the_smallest_ratio_is_found():
    assert smallest(lambda ratio: math.floor(8 * ratio) / 8, 0.375, 0.9) == pytest.approx(0.375)
    assert smallest(lambda ratio: ratio / 2, 0.46, 0.9) is None


def test_a_share_that_is_out_of_reach_says_how_much_goes():
    model, batch = fused()
    before = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    with pytest.raises(CompressError, match=r"flops: 0.97 is out of reach: 0\.\d+ of the multiply-adds go at most"):
        PruneStep(flops=0.97, most=0.5, rounds=3).apply(model, MadeContext(batch))
    assert all(np.array_equal(before[name], tensor.numpy()) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("ranking", ["uniform", "global"])
def test_rounds_end_where_one_pruning_does(ranking):
    once, _, single = prune(fused, ratio=0.5, ranking=ranking)
    _, context, done = prune(fused, ratio=0.5, ranking=ranking, rounds=3)
    assert len(done["transforms"]) == 3 and not context.trained
    kept = [sum(group["kept"] for group in one["report"]["groups"]) for one in (single, done)]
    assert (
        abs(kept[0] - kept[1]) <= (0 if ranking == "uniform" else 1)
        and done["report"]["flops"][0] == single["report"]["flops"][0]
    )
    if ranking == "uniform":
        assert done["report"]["flops"] == single["report"]["flops"]
        left = sum(int(parameter.size) for parameter in once.parameters())
        assert done["report"]["parameters"] == [single["report"]["parameters"][0], left]


def test_training_is_between_rounds_and_what_it_changes_counts():
    def training(model):
        for parameter in model.parameters():
            parameter.set_value(parameter * 1.5)

    _, context, done = prune(
        fused, training, flops=0.4, rounds=2, epochs=1, max_steps=7, learning_rate=0.1, set={"loader.batch_size": 4}
    )
    assert context.trained == [((1, 7, 0.1, {"loader.batch_size": 4}), 1)]
    flops = [one["flops"] for one in done["report"]["rounds"]]
    assert flops[0][1] == flops[1][0] and flops[1][1] <= 0.6 * flops[0][0]
    assert flops[0][1] <= math.sqrt(0.6) * flops[0][0], "the first round takes its part"
    assert done["report"]["training"] == [{"steps": 1}]


@pytest.mark.parametrize("criterion", ["taylor", "hessian"])
def test_gradients_come_from_the_context(criterion):
    one, _, _ = prune(lambda: encoder_model("bilstm"), ratio=0.5, criterion=criterion)
    two, _, _ = prune(lambda: encoder_model("bilstm"), ratio=0.5, criterion=criterion)
    for name, tensor in one.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), two.state_dict()[name].numpy())


@pytest.mark.slow
@pytest.mark.parametrize("make", [tower_model, lambda: encoder_model("text_transformer"), lambda: encoder_model("vit")])
def test_models_pruned_twice_take_their_form_again(make):
    prune(make, ratio=0.6, rounds=2)
    prune(make, ratio=0.6, rounds=2, normalised=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ratio": 0}, "ratio: must be above 0 and below 1, got 0; to leave layers alone use skip"),
        ({"ratio": 1}, "ratio: must be above 0 and below 1, got 1"),
        ({"ratio": -0.5}, "ratio: must be above 0"),
        ({"ratio": math.nan}, "ratio: must be above 0 and below 1, got nan"),
        ({"flops": math.nan}, "flops: .*got nan"),
        ({"flops": 1.0}, "flops: .*got 1.0"),
        ({"flops": 0.5, "ratio": 0.5}, "give one of them"),
        ({}, "give the share of channels that go"),
        ({"ratio": 0.5, "criterion": "talor"}, "there is no 'talor'; did you mean 'taylor'"),
        ({"ratio": 0.5, "rounds": 0}, "rounds must be at least 1"),
        ({"ratio": 0.5, "epochs": 2}, "training is between rounds"),
        ({"ratio": 0.5, "rounds": 2, "max_steps": 3}, "give epochs too"),
        ({"ratio": 0.5, "max_drop": 0.5}, "max_drop: it belongs to ratios_from"),
        ({"ratios": {"a": math.inf}}, "ratios.a: must be above 0"),
        ({"ratio": 0.5, "most": math.nan}, "most: must be"),
    ],
)
def test_arguments_that_make_no_sense(arguments, message):
    with pytest.raises(CompressError, match=message):
        PruneStep(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"ratios": {"head.*": 0.5}},
            r"nothing can go from head.layers.1: it is an answer of the model, so that its size .* can go from ",
        ),
        ({"ratios": {"encoders.imag.*": 0.5}}, r"encoders.imag.\*: no layer of this name can be pruned; did you mean"),
        ({"ratio": 0.001}, "nothing is pruned: the ratio is less than one unit of any group"),
        ({"ratio": 0.5, "least": 100}, "least and multiple keep all of them"),
    ],
)
def test_layers_that_cannot_be_pruned(arguments, message):
    model, batch = fused()
    with pytest.raises(CompressError, match=message):
        PruneStep(**arguments).apply(model, MadeContext(batch))
