"""The gate of bf16 and INT8 against angles and drops worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ppmm.decode.closeness import cosine
from ppmm.errors import ExportError
from ppmm.export.agreement import check_cosines, check_drops


def test_cosine() -> None:
    assert cosine(np.array([1.0, 0.0]), np.array([1.0, 1.0])) == pytest.approx(1 / math.sqrt(2))
    assert cosine(np.zeros(2), np.zeros(2)) == 1.0
    assert cosine(np.zeros(2), np.ones(2)) == 0.0
    assert math.isnan(cosine(np.array([np.nan]), np.array([1.0])))
    assert math.isnan(cosine(np.zeros(2), np.zeros(3)))


def test_batches_of_a_case_count_together() -> None:
    cases = [("batch", [{"a": 1}]), ("batch", [{"a": 2}]), ("single", [{"a": 1}])]
    found = {1: [1.0, 0.0], 2: [0.0, 3.0]}
    wanted = {1: [1.0, 0.0], 2: [4.0, 3.0]}

    def answer(table: dict[int, list[float]]):  # type: ignore[no-untyped-def]
        return lambda samples: {"logits": np.array([table[samples[0]["a"]]])}

    report = check_cosines(cases, answer(wanted), {"onednn": answer(found)}, least=0.5)
    assert report["backends"]["onednn"]["batch"] == pytest.approx(10 / math.sqrt(26 * 10))
    assert report["backends"]["onednn"]["single"] == 1.0
    assert report["max_abs"] == 4.0
    with pytest.raises(ExportError, match=r"onednn, case 'batch', output 'logits', cosine 0\.6202, at least 0\.9"):
        check_cosines(cases, answer(wanted), {"onednn": answer(found)}, least=0.9)


def test_a_metric_may_fall_by_so_much_for_every_set_of_fields() -> None:
    figures = {"image+text": (0.9, 0.895), "text": (0.5, 0.52)}
    report = check_drops(figures, "accuracy", True, 0.01)
    assert report["worst_drop"] == pytest.approx(0.005)
    assert report["fields"]["text"]["drop"] == pytest.approx(-0.02)
    with pytest.raises(ExportError, match=r"accuracy on \[text\] falls from 0.5000 to 0.5200"):
        check_drops(figures, "accuracy", False, 0.01)
    with pytest.raises(ExportError, match=r"falls from 1\.0000 to nan"):
        check_drops({"text": (1.0, math.nan)}, "accuracy", True, 0.01)
    alone = check_drops({"image+text": (0.9, 0.895), "text": (math.nan, math.nan)}, "mean_recall", True, 0.01)
    assert set(alone["fields"]) == {"image+text"}, "between the texts alone there is nothing to find"
