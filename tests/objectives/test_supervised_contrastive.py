"""Supervised contrastive loss against plain loops."""

import math

import numpy as np
import paddle
import pytest

from ppmm.objectives.supervised_contrastive import SupervisedContrastive
from tests.objectives.embeds import FIELDS, assert_absent_rows_do_not_matter, assert_gradients, example, units


def by_hand(outputs, batch, fields, target, temperature):
    groups = batch[target].numpy()
    views = [(i, units(outputs, f)[i]) for f in fields for i in range(len(groups)) if bool(batch[f"has_{f}"][i])]
    losses = []
    for number, (row, view) in enumerate(views):
        others = [other for place, other in enumerate(views) if place != number]
        total = sum(math.exp(view @ other / temperature) for _, other in others)
        found = [
            math.log(math.exp(view @ other / temperature) / total)
            for at, other in others
            if at == row or groups[at] == groups[row] != -1
        ]
        if found:
            losses.append(-sum(found) / len(found))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("fields", [["image"], ["image", "text"], list(FIELDS)])
def test_equals_plain_loops(fields):
    outputs, batch = example()
    found = SupervisedContrastive(fields, "scene", temperature=0.3)(outputs, batch)["loss"]
    assert float(found) == pytest.approx(by_hand(outputs, batch, fields, "scene", 0.3), rel=1e-5)


def test_class_zero_is_a_class():
    outputs, batch = example()
    batch["label"] = paddle.to_tensor(np.array([0, 0, 1, 1, 0, 2]))
    found = SupervisedContrastive(["image"], "label", temperature=1.0)(outputs, batch)["loss"]
    assert float(found) == pytest.approx(by_hand(outputs, batch, ["image"], "label", 1.0), rel=1e-5)


def test_gradients():
    names = [f"{field}_embed" for field in FIELDS]
    assert_gradients(SupervisedContrastive(list(FIELDS), "scene", temperature=0.5), *example(), names)


def test_absent_rows_do_not_matter():
    assert_absent_rows_do_not_matter(SupervisedContrastive(list(FIELDS), "scene"))


def test_no_positives_at_all():
    outputs, batch = example()
    batch["scene"] = paddle.full_like(batch["scene"], -1)
    loss = SupervisedContrastive(["image"], "scene")(outputs, batch)["loss"]
    loss.backward()
    assert float(loss) == 0 and np.isfinite(outputs["image_embed"].grad.numpy()).all()
