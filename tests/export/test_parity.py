"""The gate: what it lets pass, what it stops, what it reports."""

import json

import numpy as np
import pytest

from ppmm.decode.closeness import largest_difference
from ppmm.errors import ExportError
from ppmm.export.parity import check_parity, parity_cases

SAMPLES = [
    {"id": 0, "image": "a", "text": "b"},
    {"id": 1, "image": "c"},
    {"id": 2, "text": "d"},
    {"id": 3, "image": "e", "text": "f"},
    {"id": 4, "text": "g"},
]
FIELDS = ["image", "text"]


def ids(case):
    return [sample["id"] for sample in case[1]]


def test_cases():
    cases = parity_cases(SAMPLES, FIELDS, batch=2)
    assert [(case[0], ids(case)) for case in cases] == [
        ("batch", [0, 1]), ("batch", [2, 3]), ("batch", [4]),
        ("single", [0]), ("single", [1]),
        ("without image", [0]), ("without text", [0, 1]),
    ]  # fmt: skip
    assert all("image" not in sample for name, rows in cases if name == "without image" for sample in rows)
    assert SAMPLES[0] == {"id": 0, "image": "a", "text": "b"}, "the samples themselves are left as they are"


def test_every_sample_is_in_a_batch_and_no_case_is_empty():
    for count in range(1, 6):
        cases = parity_cases(SAMPLES[:count], FIELDS, batch=3)
        assert [row for case in cases if case[0] == "batch" for row in ids(case)] == list(range(count))
        assert all(rows for _, rows in cases)


def test_one_field_cannot_be_left_out():
    cases = parity_cases([{"id": 0, "image": "a", "label": 3}], ["image"])
    assert [case[0] for case in cases] == ["batch", "single"]


def test_no_samples_no_cases():
    assert parity_cases([], FIELDS) == []


def answer(offset=0.0, only=None):
    """Logits [n, 2] from the ids; off by ``offset`` where ``only`` (number of rows) allows."""

    def call(samples):
        logits = np.array([[sample["id"], -sample["id"]] for sample in samples], "float32")
        extra = logits * 2
        if only is None or len(samples) == only:
            logits[-1, -1] += offset
        return {"logits": logits, "extra": extra}

    return call


CASES = [("batch", SAMPLES[:3]), ("single", SAMPLES[:1]), ("single", SAMPLES[1:2])]


def test_report():
    report = check_parity(CASES, answer(), {"plain": answer(), "onednn": answer(0.25, only=3)}, 0.5)
    assert report == {
        "tolerance": 0.5,
        "max_abs": 0.25,
        "backends": {
            "plain": {"max_abs": 0.0, "cases": {"batch": 0.0, "single": 0.0}},
            "onednn": {"max_abs": 0.25, "cases": {"batch": 0.25, "single": 0.0}},
        },
    }
    assert json.loads(json.dumps(report)) == report


def test_cases_of_one_name_report_the_largest():
    def later(samples):
        outputs = answer()(samples)
        return {name: array + 0.25 * (samples[0]["id"] == 0) * (len(samples) == 1) for name, array in outputs.items()}

    report = check_parity(CASES, answer(), {"plain": later}, 0.5)
    assert report["backends"]["plain"]["cases"] == {"batch": 0.0, "single": 0.25}


@pytest.mark.parametrize("offset", [0.5, -0.5])
def test_exactly_the_tolerance_passes_and_more_does_not(offset):
    assert check_parity(CASES, answer(), {"plain": answer(offset)}, 0.5)["max_abs"] == 0.5
    with pytest.raises(ExportError):
        check_parity(CASES, answer(), {"plain": answer(offset)}, 0.499)


@pytest.mark.parametrize("only", [1, 3])
@pytest.mark.parametrize("offset", [0.25, -0.25, float("nan"), float("inf"), -float("inf")])
def test_a_difference_stops_the_export_and_is_named(offset, only):
    with pytest.raises(ExportError) as caught:
        check_parity(CASES, answer(), {"plain": answer(), "onednn": answer(offset, only)}, 0.1)
    message = str(caught.value)
    assert "onednn" in message and f"'{'batch' if only == 3 else 'single'}'" in message and "0.1" in message
    assert ("0.25" if np.isfinite(offset) else "inf") in message


def test_not_finite_on_both_sides_is_no_agreement():
    with pytest.raises(ExportError):
        check_parity(CASES, answer(float("nan")), {"plain": answer(float("nan"))}, 1.0)
    with pytest.raises(ExportError):
        check_parity(CASES, answer(float("inf")), {"plain": answer(float("inf"))}, 1.0)


def test_a_tolerance_that_is_not_a_number_lets_nothing_pass():
    with pytest.raises(ExportError):
        check_parity(CASES, answer(), {"plain": answer()}, float("nan"))


def test_nothing_to_compare_is_an_error():
    with pytest.raises(ExportError, match="no samples"):
        check_parity([], answer(), {"plain": answer()}, 1.0)


def test_no_back_end_and_no_output_are_errors():
    with pytest.raises(ExportError):
        check_parity(CASES, answer(), {}, 1.0)
    with pytest.raises(ExportError):
        check_parity(CASES, lambda samples: {}, {"plain": lambda samples: {}}, 1.0)


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        ({"a": np.array([1.0, 2.5])}, 0.5),
        ({"a": np.array([1.0, 2.0]), "other": np.array([9.0])}, 0.0),
        ({}, np.inf),
        ({"b": np.array([1.0, 2.0])}, np.inf),
        ({"a": np.array([[1.0, 2.0]])}, np.inf),
        ({"a": np.array([1.0])}, np.inf),
        ({"a": np.array([1.0, np.nan])}, np.inf),
    ],
)
def test_largest_difference(found, wanted):
    assert largest_difference({"a": np.array([1.0, 2.0])}, found) == wanted


def test_differences_are_not_lost_to_the_number_type():
    assert largest_difference({"a": np.array([200], "uint8")}, {"a": np.array([201], "uint8")}) == 1
    big = np.array([2.0**24], "float32")
    assert largest_difference({"a": big}, {"a": np.array([2.0**24 + 1])}) == 1
    assert largest_difference({"a": np.zeros((0, 3))}, {"a": np.zeros((0, 3))}) == 0
