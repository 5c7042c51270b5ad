"""Pictures of the metrics' tables: what they say, and that they stand in the page."""

import re

import numpy as np
import pytest

from ppmm.app.report import write_report
from ppmm.app.report_details import detail_pictures, without_curves
from ppmm.metrics.average_precision import MeanAveragePrecision, PrAuc
from ppmm.metrics.calibration import CalibrationError
from ppmm.metrics.retrieval import Retrieval
from ppmm.metrics.roc_auc import RocAuc

LOGITS = np.array([[0, 4], [0, 3], [0, 2], [0, 1]], "float32")


def classified(metric, labels=(1, 0, 1, 0)):
    metric.update({"logits": LOGITS}, {"y": np.array(labels)})
    return metric.details()


def retrieved():
    metric = Retrieval(["image", "text"], "scene")
    embeds = {"image_embed": np.eye(3), "text_embed": np.array([[1.0, 0, 0], [0.9, 0.1, 0], [0, 0, 1]])}
    metric.update(embeds, {"scene": np.arange(3)})
    return metric.details()


def test_reliability():
    (picture,) = detail_pictures(classified(CalibrationError("y", bins=4)))
    assert picture.title == "Reliability of y" and picture.svg.startswith("<svg")
    assert "3 of 4, have confidence 0.9385 and accuracy 0.6667" in picture.caption


@pytest.mark.parametrize("kind", [RocAuc, PrAuc])
def test_curves(kind):
    labels = {"y": ["no", "<b>yes"]}
    details = classified(kind("y", labels=labels))
    (picture,) = detail_pictures(details)
    area = details[kind.name]["classes"]["<b>yes"]
    assert picture.caption == f"Areas: <b>yes {area:.3f}."
    assert "<b>" not in picture.svg and f"&lt;b&gt;yes {area:.3f}" in picture.svg
    assert set(without_curves(kind.name, details[kind.name])) == {"target", "axes", "classes"}


def test_many_classes_show_the_weakest():
    rng = np.random.default_rng(0)
    metric = MeanAveragePrecision("tags")
    tags = rng.random((40, 12)) < 0.3
    tags[:, 11] = False
    metric.update({"logits": rng.normal(size=(40, 12))}, {"tags": tags})
    (picture,) = detail_pictures(metric.details())
    assert picture.caption.startswith("The 8 of 11 classes with the smallest areas: ")
    assert picture.caption.endswith("Not defined for 1 classes.")


def test_ranks():
    (picture,) = detail_pictures(retrieved())
    assert picture.title == "Ranks: retrieval" and "image → text" in picture.svg
    assert picture.caption == "image → text 3 queries, 3 candidates; text → image 3 queries, 3 candidates."


def test_metrics_that_saw_nothing_have_no_pictures():
    metrics = [CalibrationError("y"), RocAuc("y"), Retrieval(["image", "text"], "scene")]
    assert detail_pictures({name: table for metric in metrics for name, table in metric.details().items()}) == []


def test_they_stand_in_the_page_with_ids_of_their_own(tmp_path):
    details = classified(CalibrationError("y")) | classified(RocAuc("y")) | classified(PrAuc("y")) | retrieved()
    path = tmp_path / "report.html"
    write_report(path, "x", config_text="", history=[], figures={}, details=details, gallery=[], facts={})
    page = path.read_text(encoding="utf-8")
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert page.count('<svg class="plot"') == 4 and len(ids) == len(set(ids))
    assert all(target in ids for target in re.findall(r'href="#([^"]+)"', page))
