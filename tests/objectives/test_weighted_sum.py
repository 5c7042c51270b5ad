"""Sums of objectives, fixed and learned weights, and R-Drop by hand."""

import math

import numpy as np
import paddle
import pytest

from ppmm.objectives.cross_entropy import CrossEntropy
from ppmm.objectives.info_nce import InfoNCE
from ppmm.objectives.mse import MeanSquaredError
from ppmm.objectives.r_drop import RDrop
from ppmm.objectives.uncertainty_weighted import UncertaintyWeighted
from ppmm.objectives.weighted_sum import WeightedSum
from tests.objectives.embeds import example

BATCH = {"label": paddle.to_tensor([0, 1]), "age": paddle.to_tensor([1.0, 5.0])}


def outputs(logits=((0.0, 0.0), (0.0, 0.0)), age=(3.0, 5.0)):
    return {"logits": paddle.to_tensor(logits), "age": paddle.to_tensor(age).unsqueeze(-1)}


def terms():
    return {"answer": CrossEntropy("label"), "age": MeanSquaredError("age", logits="age")}


def test_fixed_weights():
    found = WeightedSum(terms(), weights={"age": 0.25})(outputs(), BATCH)
    assert {name: float(value) for name, value in found.items()} == pytest.approx(
        {"loss": math.log(2) + 0.25 * 2, "answer_loss": math.log(2), "age_loss": 2.0}
    )


def test_learned_weights_at_the_start_and_at_rest():
    objective = UncertaintyWeighted(terms(), factors={"age": 0.5})
    found = objective(outputs(), BATCH)
    assert float(found["loss"]) == pytest.approx(math.log(2) + 0.5 * 2)
    found["loss"].backward()
    # d/dv (f exp(-v) L + v / 2) = 1/2 - f exp(-v) L
    assert objective.log_variance.grad.numpy() == pytest.approx([0.5 - math.log(2), 0.5 - 1.0])
    rest = np.log([2 * math.log(2), 2 * 0.5 * 2]).astype("float32")
    objective.log_variance.set_value(rest)
    objective.clear_gradients()
    found = objective(outputs(), BATCH)
    found["loss"].backward()
    assert objective.log_variance.grad.numpy() == pytest.approx([0, 0], abs=1e-6)
    assert float(found["loss"]) == pytest.approx(0.5 + 0.5 + rest.sum() / 2)
    assert float(found["age_weight"]) == pytest.approx(0.5 * math.exp(-rest[1])) == pytest.approx(0.25)


def test_what_terms_learn_and_tell_is_kept():
    contrastive = InfoNCE(["image", "text"])
    objective = WeightedSum({"match": contrastive, "scene": InfoNCE(["image", "audio"], positives=["scene"])})
    assert sorted(name for name, _ in objective.named_parameters()) == [
        "learning.match.scale.log_scale", "learning.scene.scale.log_scale",
    ]  # fmt: skip
    found = objective(*example())
    assert {"match_temperature", "scene_temperature", "match_loss", "scene_loss", "loss"} == set(found)
    objective.eval()
    assert not contrastive.training


def test_two_passes_reach_the_term_that_asks_for_them():
    one, two = outputs([[1.0, 0.0], [0.0, 2.0]]), outputs([[0.0, 0.5], [0.0, 1.0]])
    inner = RDrop(CrossEntropy("label"), alpha=0.7)
    objective = WeightedSum({"answer": inner, "age": MeanSquaredError("age", logits="age")}, weights={"age": 2.0})
    assert objective.passes == 2 and WeightedSum(terms()).passes == 1 and UncertaintyWeighted({"a": inner}).passes == 2
    found = objective(one, BATCH, two)
    assert float(found["loss"]) == pytest.approx(float(inner(one, BATCH, two)["loss"]) + 2 * 2, rel=1e-6)
    assert float(objective(one, BATCH)["loss"]) == pytest.approx(float(CrossEntropy("label")(one, BATCH)["loss"]) + 4)


def test_mixed_labels_need_every_term_to_take_them():
    assert WeightedSum({"answer": CrossEntropy("label")}).takes_soft_targets
    assert not WeightedSum(terms()).takes_soft_targets


def test_r_drop_by_hand():
    one = np.array([[0.8, 0.2], [0.5, 0.5]])
    two = np.array([[0.6, 0.4], [0.5, 0.5]])
    found = RDrop(CrossEntropy("label"), alpha=3.0)(
        *({"logits": paddle.to_tensor(np.log(one).astype("float32"))}, BATCH),
        {"logits": paddle.to_tensor(np.log(two).astype("float32"))},
    )
    entropy = -(math.log(0.8) + math.log(0.5) + math.log(0.6) + math.log(0.5)) / 4
    forth = (0.8 * math.log(0.8 / 0.6) + 0.2 * math.log(0.2 / 0.4)) / 2
    back = (0.6 * math.log(0.6 / 0.8) + 0.4 * math.log(0.4 / 0.2)) / 2
    assert float(found["disagreement"]) == pytest.approx((forth + back) / 2, rel=1e-5)
    assert float(found["loss"]) == pytest.approx(entropy + 3 * (forth + back) / 2, rel=1e-5)


def test_r_drop_teaches_through_both_passes():
    one, two = (paddle.to_tensor(logits, stop_gradient=False) for logits in ([[1.0, 0.0]] * 2, [[0.0, 0.5]] * 2))
    RDrop(CrossEntropy("label"))({"logits": one}, BATCH, {"logits": two})["loss"].backward()
    assert one.grad.numpy().any() and two.grad.numpy().any()


def test_wrong_arguments():
    with pytest.raises(ValueError, match="no term 'agee', only answer, age"):
        WeightedSum(terms(), weights={"agee": 1.0})
    with pytest.raises(ValueError, match="must not be negative, got -1"):
        WeightedSum(terms(), weights={"age": -1.0})
    with pytest.raises(ValueError, match="no term 'agee'"):
        UncertaintyWeighted(terms(), factors={"agee": 1.0})
    with pytest.raises(ValueError, match="at least one objective"):
        WeightedSum({})
    with pytest.raises(ValueError, match="must learn classes"):
        RDrop(MeanSquaredError("age"))
    with pytest.raises(ValueError, match="second forward of its own"):
        RDrop(RDrop(CrossEntropy("label")))
