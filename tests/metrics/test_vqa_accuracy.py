"""Soft accuracy by hand and against the definition, leaving out one person at a time."""

import numpy as np
import paddle
import pytest

from ppmm.metrics.vqa_accuracy import VqaAccuracy
from ppmm.modalities.vqa_answers import VqaAnswers, normalise_answer

LABELS = ["yes", "no", "2", "red car", "Dog"]


def measured(answers, chosen, labels=LABELS):
    metric = VqaAccuracy("answers", "answer", labels={"answer": labels})
    convert = VqaAnswers()
    for given, answer in zip(answers, chosen, strict=True):
        logits = np.zeros((1, len(labels)), "float32")
        logits[0, labels.index(answer)] = 1
        metric.update({"logits": paddle.to_tensor(logits)}, {"answers": paddle.to_tensor(convert(given)[None])})
    return metric


@pytest.mark.parametrize(("said", "wanted"), [(0, 0.0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1.0), (9, 1.0)])
def test_by_hand(said, wanted):
    """Two of ten said it: (2 * 1/3 + 8 * 2/3) / 10 = 0.6."""
    assert measured([["yes"] * said + ["no"] * (10 - said)], ["yes"]).compute()["vqa_accuracy"] == pytest.approx(wanted)


def test_against_the_definition():
    rng = np.random.default_rng(0)
    spoken = ["yes", "Yes!", "no", "two", "2", "the red car", "red-car", "dog", "a dog"]
    rows = [rng.choice(spoken, size=10).tolist() for _ in range(60)]
    chosen = rng.choice(LABELS, size=60).tolist()
    total = 0.0
    for given, answer in zip(rows, chosen, strict=True):
        normal = [normalise_answer(text) for text in given]
        said = [sum(other == normalise_answer(answer) for other in normal[:i] + normal[i + 1 :]) for i in range(10)]
        total += np.mean([min(count / 3, 1) for count in said])
    assert measured(rows, chosen).compute()["vqa_accuracy"] == pytest.approx(total / 60)


def test_when_all_agree_the_text_itself_counts():
    """As the challenge's code: it normalises only where the answers differ."""
    assert measured([["Dog"] * 10], ["Dog"]).compute()["vqa_accuracy"] == 1
    assert measured([["dog"] * 10], ["Dog"]).compute()["vqa_accuracy"] == 0


def test_ceiling_is_what_the_classes_allow():
    metric = measured([["blue"] * 8 + ["yes"] * 2, ["no"] * 10, ["blue"] * 10], ["no", "no", "no"])
    assert metric.details()["vqa_accuracy"] == {"rows": 3, "ceiling": pytest.approx((0.6 + 1 + 0) / 3, abs=1e-6)}


def test_fewer_people():
    """Of three people two said it: each of the two sees one other, the third sees two."""
    assert measured([["yes", "yes", "no"]], ["yes"]).compute()["vqa_accuracy"] == pytest.approx((2 / 3 + 2 / 3) / 3)


def test_no_rows_and_unknown_labels():
    metric = measured([], [])
    assert np.isnan(metric.compute()["vqa_accuracy"]) and metric.details()["vqa_accuracy"]["ceiling"] is None
    with pytest.raises(ValueError, match="'answer'"):
        VqaAccuracy("answers", "answer", labels={"other": ["a"]})
