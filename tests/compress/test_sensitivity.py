"""Curves of what pruning costs: they are those of pruned models, are kept, and give ratios and advice."""

import json
import math

import numpy as np
import pytest
from made_context import MadeContext
from prunable import encoder_model, fusion_model

from ppmm.compress.dependencies import Dependencies
from ppmm.compress.layer_sets import layer_sets
from ppmm.compress.prune import Prune
from ppmm.compress.pruning_curves import PruningCurves, ratio_within, ratios_within
from ppmm.compress.selection import Limits
from ppmm.compress.sensitivity import Figure, Sensitivity, advice
from ppmm.compress.steps.prune import PruneStep
from ppmm.errors import CompressError


def figure(batch, counted=None):
    """The share of an answer that stays: 1 for the whole model."""
    model, _ = fusion_model("concat")
    wanted = model(batch)["logits"].numpy()

    def of(model):
        if counted is not None:
            counted.append(1)
        return {"accuracy": 1.0 - float(np.abs(model(batch)["logits"].numpy() - wanted).mean())}

    return Figure("accuracy", True, of)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    path = tmp_path_factory.mktemp("curves") / "sensitivity.json"
    model, batch = fusion_model("concat")
    before = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    document = Sensitivity((0.25, 0.5)).measure(model, batch, figure(batch), path)
    assert all(np.array_equal(before[name], tensor.numpy()) for name, tensor in model.state_dict().items())
    return path, document


def test_points_are_those_of_pruned_models(measured):
    _, document = measured
    assert document["base"] == 1.0 and set(document["towers"]) == {"image", "text", "audio", "fusion"}
    for name, ratios in (
        ("towers", {"encoders.image.*": 0.5}), ("layers", {next(iter(document["layers"])): 0.5}),
    ):  # fmt: skip
        model, batch = fusion_model("concat")
        report = Prune(ratios=ratios).apply(model, batch).report
        pruned = figure(batch).of(model)["accuracy"]
        curve = document[name]["image" if name == "towers" else next(iter(ratios))]
        point = curve["points"][1]
        assert point["ratio"] == 0.5 and point["value"] == pytest.approx(pruned, abs=1e-5)
        assert point["saved"] == pytest.approx(1 - report["flops"][1] / report["flops"][0])
        assert point["units"] == sum(group["units"] - group["kept"] for group in report["groups"])


def test_every_group_is_in_one_set(measured):
    model, batch = fusion_model("concat")
    found = Dependencies(model, batch)
    sets = layer_sets(found.groups)
    assert sorted(g.name for s in sets for g in s.groups) == sorted(g.name for g in found.groups)
    assert [one.name for one in sets] == list(measured[1]["layers"])
    layers = [layer for one in sets for layer in one.layers]
    assert len(layers) == len(set(layers))


def test_what_is_measured_is_not_measured_again(measured, tmp_path):
    _, whole = measured
    model, batch = fusion_model("concat")
    path = tmp_path / "sensitivity.json"
    calls = []
    watched = figure(batch, calls)

    def killed(model):
        if len(calls) == 4:
            raise KeyboardInterrupt
        return watched.of(model)

    with pytest.raises(KeyboardInterrupt):
        Sensitivity((0.25, 0.5)).measure(model, batch, watched._replace(of=killed), path)
    kept = json.loads(path.read_text(encoding="utf-8"))
    assert kept["complete"] is False and sum(len(curve["points"]) for curve in kept["towers"].values()) == 3
    with pytest.raises(CompressError, match=r"is not finished; run tools/sensitivity.py again"):
        PruningCurves.read(path)
    document = Sensitivity((0.25, 0.5)).measure(model, batch, watched, path)
    assert document == whole
    curves = [*document["towers"].values(), *document["layers"].values()]
    assert len(calls) == 1 + sum(bool(point["units"]) for curve in curves for point in curve["points"])
    more = Sensitivity((0.25, 0.75)).measure(model, batch, watched, path)
    assert [point["ratio"] for point in more["towers"]["image"]["points"]] == [0.25, 0.5, 0.75]
    for arguments in ({"criterion": "l2"}, {"criterion": "random", "seed": 3}):
        with pytest.raises(CompressError, match="holds curves of other weights or arguments"):
            Sensitivity((0.25,), **arguments).measure(model, batch, watched, path)
    model.state_dict()["head.layers.1.bias"].set_value(np.zeros(4, dtype="float32"))
    with pytest.raises(CompressError, match="holds curves of other weights or arguments"):
        Sensitivity((0.25,)).measure(model, batch, watched, path)


def test_ratios_along_a_curve():
    points = [(0.2, 1.0), (0.4, 0.5), (0.6, 2.5), (0.8, math.inf)]
    assert ratio_within(points, 0.5) == pytest.approx(0.1), "the line from (0, 0) to (0.2, 1)"
    assert ratio_within(points, 1.5) == pytest.approx(0.5), "half of the way from 0.5 to 2.5 points"
    assert ratio_within(points, 99.0) == 0.6 and ratio_within([(0.2, -1.0)], 0.0) == 0.2


def curves_of(found, slopes):
    """Each set of layers loses ``slope`` points for all of its units, along a line; the last slope is of the others."""
    return PruningCurves(
        {
            one.name: (
                one.units,
                [(0.5, slopes.get(one.tower, 100.0) * 0.5), (0.9, slopes.get(one.tower, 100.0) * 0.9)],
            )
            for one in layer_sets(found.groups)
        }
    )


def test_each_layer_loses_no_more_than_the_common_threshold():
    model, batch = fusion_model("concat")
    found = Dependencies(model, batch)
    curves = curves_of(found, {"image": 2.0, "text": 4.0})
    chosen = ratios_within(curves, found, Limits(0.5), None, 1.0)
    for one in layer_sets(found.groups):
        assert chosen.ratios[one.name] == pytest.approx({"image": 0.5, "text": 0.25}.get(one.tower, 0.01))
    chosen = ratios_within(curves, found, Limits(0.5), 0.2, None)
    result = Prune(ratios=chosen.ratios).apply(model, batch)
    before, after = result.report["flops"]
    assert 0.2 <= 1 - after / before < 0.3
    model, batch = fusion_model("concat")
    found = Dependencies(model, batch)
    with pytest.raises(
        CompressError, match=r"flops: 0.5 is out of reach: 0\.\d+ of the multiply-adds go where no layer"
    ):
        ratios_within(curves, found, Limits(0.5), 0.5, 0.5)
    with pytest.raises(CompressError, match="no layer can lose a unit within 1e-05 points"):
        ratios_within(curves, found, Limits(0.5), None, 1e-5)
    other, x = encoder_model("bilstm")
    with pytest.raises(CompressError, match="ratios_from: this model has no layer"):
        ratios_within(curves, Dependencies(other, x), Limits(0.5), None, 1.0)


def test_the_step_takes_its_ratios_from_the_file(measured):
    path, _ = measured
    model, batch = fusion_model("concat")
    step = PruneStep(ratios_from=str(path), flops=0.2, skip=["encoders.audio.*"])
    done = step.apply(model, MadeContext(batch))
    before, after = done.report["flops"]
    assert after <= 0.8 * before and done.report["threshold"] > 0
    assert not any(name.startswith("encoders.audio.") for name in done.transforms[0]["shapes"])
    with pytest.raises(CompressError, match="units here and had"):
        PruneStep(ratios_from=str(path), max_drop=50.0).apply(model, MadeContext(batch))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ratios_from": "none.json", "max_drop": 1.0}, r"none.json does not hold curves .*tools/sensitivity.py -c"),
        ({"ratios_from": "{}"}, "say how far to go: max_drop"),
        ({"ratios_from": "{}", "max_drop": math.nan}, "max_drop: must be a number of points"),
        ({"ratios_from": "{}", "max_drop": -1.0}, "max_drop: must be a number of points"),
        ({"ratios_from": "{}", "ratio": 0.5, "max_drop": 1.0}, "leave out ratio and ranking"),
    ],
)
def test_what_the_step_refuses(arguments, message, measured):
    path = str(measured[0])
    given = {key: path if value == "{}" else value for key, value in arguments.items()}
    with pytest.raises(CompressError, match=message):
        PruneStep(**given)


def test_measurements_that_make_no_sense(tmp_path):
    for ratios in ((), (0.0,), (1.0,), (math.nan,)):
        with pytest.raises(CompressError, match="ratio"):
            Sensitivity(ratios)
    with pytest.raises(CompressError, match="there is no 'l3'"):
        Sensitivity(criterion="l3")
    model, batch = fusion_model("concat")
    with pytest.raises(CompressError, match="metric: 'auc' is not measured; there are accuracy"):
        Sensitivity().measure(model, batch, figure(batch)._replace(name="auc"), tmp_path / "a.json")


def test_advice_names_the_tower_whose_compute_buys_least():
    def curve(*values):
        points = [{"ratio": r, "saved": s, "value": v, "units": 2} for r, s, v in values]
        return {"units": 10, "points": points}

    document = {
        "metric": "accuracy", "higher": True, "base": 0.9, "flops": 1000, "flops_by_tower": {"image": 700, "text": 300},
        "towers": {"image": curve((0.5, 0.3, 0.8), (0.8, 0.5, 0.4)),
            "text": curve((0.5, 0.1, 0.895), (0.8, 0.2, 0.87))},
    }  # fmt: skip
    lines = advice(document)
    # image: (10 + 50) points for 30 + 50 %; text: (0.5 + 3) for 10 + 20 %
    assert lines[0] == (
        "prune text first: its multiply-adds buy least "
        "(points of accuracy per 1 % of the model's multiply-adds saved: text 0.12, image 0.75)"
    )
    assert lines[1].startswith("text (30% of the multiply-adds, 10 units): 50% of its units can go for 0.50 points")
    assert "any measured share costs more than 1 point" in lines[2]
