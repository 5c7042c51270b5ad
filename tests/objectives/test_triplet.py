"""Triplet loss against plain loops."""

import paddle
import pytest

from ppmm.objectives.triplet import Triplet
from tests.objectives.embeds import (
    FIELDS,
    assert_absent_rows_do_not_matter,
    assert_gradients,
    belongs,
    example,
    together,
    units,
)


def by_hand(outputs, batch, first, second, keys, margin, hardest):
    total = 0.0
    rows = together(batch, first, second)
    for a, b in ((first, second), (second, first)):
        left, right = units(outputs, a), units(outputs, b)
        for i in rows:
            own = left[i] @ right[i]
            lacks = [max(0.0, margin + left[i] @ right[j] - own) for j in rows if not belongs(batch, i, j, keys)]
            total += (max(lacks) if hardest else sum(lacks)) if lacks else 0.0
    return total / len(rows)


@pytest.mark.parametrize("keys", [[], ["scene"], ["scene", "caption"]])
@pytest.mark.parametrize("hardest", [True, False])
def test_equals_plain_loops(keys, hardest):
    outputs, batch = example()
    pairs = [("image", "text"), ("image", "audio"), ("text", "audio")]
    wanted = [by_hand(outputs, batch, *pair, keys, 0.3, hardest) for pair in pairs]
    objective = Triplet(list(FIELDS), positives=keys, margin=0.3, hardest=hardest)
    assert float(objective(outputs, batch)["loss"]) == pytest.approx(sum(wanted) / 3, rel=1e-5)


def test_a_batch_of_one_scene_has_no_negatives():
    outputs, batch = example()
    batch["scene"] = paddle.full_like(batch["scene"], 7)
    loss = Triplet(list(FIELDS), positives=["scene"])(outputs, batch)["loss"]
    loss.backward()
    assert float(loss) == 0 and not outputs["image_embed"].grad.numpy().any()


@pytest.mark.parametrize("hardest", [True, False])
def test_gradients(hardest):
    objective = Triplet(list(FIELDS), positives=["scene"], margin=1.9, hardest=hardest)  # no hinge is near its corner
    assert_gradients(objective, *example(), [f"{field}_embed" for field in FIELDS], step=1e-3)


def test_absent_rows_do_not_matter():
    assert_absent_rows_do_not_matter(Triplet(list(FIELDS), positives=["scene"]))


def test_wrong_margin():
    with pytest.raises(ValueError, match="margin must be above 0"):
        Triplet(["image", "text"], margin=0.0)
