"""The golden samples of a bundle: a few real inputs with the trained model's answers, to be checked anywhere."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ppmm.errors import ExportError

__all__ = ["ARRAYS", "DOCUMENT", "Golden", "read_golden"]

DOCUMENT, ARRAYS = "golden.json", "golden.npz"


@dataclass(frozen=True)
class Golden:
    """What a bundle answered when it was made.

    Attributes:
        samples: raw, field -> bytes, text, numbers or array.
        cases: name and samples of each batch that was compared.
        expected: by case, the trained model's outputs by name.
        inputs: the first case's, preprocessed, by name.
        agreement: ``tolerance`` (largest absolute difference) or ``cosine`` (least).
    """

    samples: list[dict[str, Any]]
    cases: list[tuple[str, list[dict[str, Any]]]]
    expected: list[dict[str, np.ndarray]]
    inputs: dict[str, np.ndarray]
    agreement: dict[str, float]


def read_golden(folder: Path, files: Sequence[str]) -> Golden | None:
    """Those of a verified bundle; None where it was exported without (``export.golden: 0``).

    Args:
        folder: bundle.
        files: the names whose hashes were right.
    """
    if DOCUMENT not in files or ARRAYS not in files:
        return None
    try:
        document = json.loads((folder / DOCUMENT).read_text(encoding="utf-8"))
        with np.load(folder / ARRAYS, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        samples = [
            {field: _value(folder, files, entry, arrays) for field, entry in sample.items()}
            for sample in document["samples"]
        ]
        cases = [
            (case["name"], [_part(samples[row], case["fields"]) for row in case["rows"]]) for case in document["cases"]
        ]
        expected = [
            {name.split("/", 2)[2]: array for name, array in arrays.items() if name.startswith(f"expected/{number}/")}
            for number in range(len(cases))
        ]
        inputs = {name.split("/", 1)[1]: array for name, array in arrays.items() if name.startswith("input/")}
        return Golden(samples, cases, expected, inputs, dict(document["agreement"]))
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise ExportError(f"{folder}: its golden samples cannot be read: {error}; export it again") from error


def _value(folder: Path, files: Sequence[str], entry: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Any:
    if "file" in entry:
        if entry["file"] not in files:
            raise ExportError(f"{folder}: the golden sample {entry['file']} has no hash in bundle.yaml")
        return (folder / entry["file"]).read_bytes()
    if "array" in entry:
        array = arrays[entry["array"]]
        return (array, entry["rate"]) if "rate" in entry else array
    return entry["value"]


def _part(sample: Mapping[str, Any], fields: Sequence[str]) -> dict[str, Any]:
    return {field: sample[field] for field in fields if field in sample}
