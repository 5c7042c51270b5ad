"""InfoNCE against a re-implementation in plain loops, and by hand."""

import math

import numpy as np
import paddle
import pytest

from ppmm.objectives.info_nce import InfoNCE
from tests.objectives.embeds import (
    FIELDS,
    assert_absent_rows_do_not_matter,
    assert_gradients,
    belongs,
    example,
    together,
    units,
)


def by_hand(outputs, batch, pairs, keys, temperature):
    losses = []
    for first, second in pairs:
        rows = together(batch, first, second)
        for a, b in ((first, second), (second, first)):
            left, right = units(outputs, a), units(outputs, b)
            total = 0.0
            for i in rows:
                weights = {j: math.exp(float(left[i] @ right[j]) / temperature) for j in rows}
                positives = [j for j in rows if belongs(batch, i, j, keys)]
                total -= sum(math.log(weights[p] / sum(weights.values())) for p in positives) / len(positives)
            losses.append(total / len(rows))
    return sum(losses) / len(losses)


ALL = [("image", "text"), ("image", "audio"), ("text", "audio")]


@pytest.mark.parametrize("keys", [[], ["scene"], ["scene", "caption"]])
@pytest.mark.parametrize("pairs", [None, [["image", "text"], ["image", "audio"]]])
def test_equals_plain_loops(keys, pairs):
    outputs, batch = example()
    objective = InfoNCE(list(FIELDS), pairs=pairs, positives=keys, temperature=0.2)
    terms = objective(outputs, batch)
    assert float(terms["loss"]) == pytest.approx(by_hand(outputs, batch, pairs or ALL, keys, 0.2), rel=1e-5)
    for first, second in pairs or ALL:
        wanted = by_hand(outputs, batch, [(first, second)], keys, 0.2)
        assert float(terms[f"{first}_{second}_loss"]) == pytest.approx(wanted, rel=1e-5)
    assert float(terms["temperature"]) == pytest.approx(0.2)


def test_two_rows_by_hand():
    """Cosines 1 on the diagonal, 0 elsewhere, s = 1: log(1 + 1/e); with one scene, half of each: log(1 + e) - 1/2."""
    outputs = {f"{field}_embed": paddle.to_tensor([[2.0, 0.0], [0.0, 3.0]]) for field in ("image", "text")}
    batch = {"has_image": paddle.to_tensor([True, True]), "has_text": paddle.to_tensor([True, True])}
    plain = InfoNCE(["image", "text"], temperature=1.0)
    assert float(plain(outputs, batch)["loss"]) == pytest.approx(math.log(1 + math.exp(-1)), rel=1e-6)
    batch["scene"] = paddle.to_tensor([4, 4])
    several = InfoNCE(["image", "text"], positives=["scene"], temperature=1.0)
    assert float(several(outputs, batch)["loss"]) == pytest.approx(math.log(1 + math.e) - 0.5, rel=1e-6)
    batch["scene"] = paddle.to_tensor([-1, -1])  # no key equals nothing
    assert float(several(outputs, batch)["loss"]) == pytest.approx(math.log(1 + math.exp(-1)), rel=1e-6)


def test_gradients():
    outputs, batch = example()
    objective = InfoNCE(list(FIELDS), positives=["scene"], temperature=0.5)
    assert_gradients(objective, outputs, batch, [f"{field}_embed" for field in FIELDS])
    objective.clear_gradients()
    objective(outputs, batch)["loss"].backward()
    found = float(objective.scale.log_scale.grad)
    start, values = float(objective.scale.log_scale), []
    for moved in (start + 1e-2, start - 1e-2):
        objective.scale.log_scale.set_value(np.array([moved], "float32"))
        values.append(float(objective(outputs, batch)["loss"]))
    assert found == pytest.approx((values[0] - values[1]) / 2e-2, rel=1e-2)


def test_absent_rows_do_not_matter():
    assert_absent_rows_do_not_matter(InfoNCE(list(FIELDS), positives=["scene", "caption"]))


def test_no_row_with_both_fields_gives_zero():
    outputs, batch = example()
    batch["has_image"] = paddle.zeros_like(batch["has_image"])
    loss = InfoNCE(["image", "text"])(outputs, batch)["loss"]
    loss.backward()
    assert float(loss) == 0 and not outputs["text_embed"].grad.numpy().any()


def test_the_temperature_stays_within_its_bounds_and_can_leave_them():
    objective = InfoNCE(["image", "text"], temperature=0.07)
    outputs, batch = example()
    objective.scale.log_scale.set_value(np.array([6.0], "float32"))
    objective.eval()
    assert float(objective(outputs, batch)["temperature"]) == pytest.approx(0.01, rel=1e-5)
    assert float(objective.scale.log_scale) == 6.0  # evaluation changes nothing
    objective.train()
    objective(outputs, batch)["loss"].backward()
    assert float(objective.scale.log_scale) == pytest.approx(math.log(100), rel=1e-6)
    assert float(objective.scale.log_scale.grad) != 0


def test_a_fixed_temperature_is_not_learned():
    objective = InfoNCE(["image", "text"], learnable=False)
    assert [parameter.stop_gradient for parameter in objective.parameters()] == [True]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fields": ["image"]}, "at least two"),
        ({"fields": ["image", "image"]}, "at least two different"),
        ({"fields": ["image", "text"], "pairs": [["image", "audio"]]}, "not two different fields of image, text"),
        ({"fields": ["image", "text", "audio"], "pairs": [["image", "text"]]}, "no pair has audio"),
        ({"fields": ["image", "text"], "temperature": 0.0}, "temperature must be within"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        InfoNCE(**arguments)
