"""Writing the golden samples of a bundle, which `ppmm.runtime.golden` reads."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ppmm.errors import ExportError
from ppmm.export.parity import Answer
from ppmm.types import Field, Sample

__all__ = ["write_golden"]

DOCUMENT, ARRAYS = "golden.json", "golden.npz"
EPOCH = (1980, 1, 1, 0, 0, 0)
FILES = ("image", "audio")
"""Kinds of which a text is a path."""


def write_golden(
    folder: Path,
    samples: Sequence[Sample],
    fields: Mapping[str, Field],
    reference: Answer,
    agreement: Mapping[str, float],
) -> None:
    """Write samples, how they are preprocessed and what the trained model answers to them, whole and without a field.

    Args:
        folder: of the bundle.
        samples: raw; files are copied into the bundle.
        fields: the graph's inputs.
        reference: the trained model.
        agreement: ``tolerance`` or ``cosine``, see `ppmm.runtime.golden`.
    """
    arrays: dict[str, np.ndarray] = {}
    stored = [
        {name: _stored(folder, row, name, fields[name].kind, value, arrays) for name, value in sample.items()}
        for row, sample in enumerate(samples)
    ]
    cases = _cases(samples, list(fields))
    for number, case in enumerate(cases):
        chosen = [
            {field: samples[row][field] for field in case["fields"] if field in samples[row]} for row in case["rows"]
        ]
        for output, array in reference(chosen).items():
            arrays[f"expected/{number}/{output}"] = np.asarray(array)
    for name, field in fields.items():
        column = [field(sample[name]) if name in sample else None for sample in samples]
        arrays.update({f"input/{key}": array for key, array in field.collate(name, column).items()})
    document = {"samples": stored, "cases": cases, "agreement": dict(agreement)}
    (folder / DOCUMENT).write_text(json.dumps(document, indent=1, ensure_ascii=False), encoding="utf-8")
    _write_arrays(folder / ARRAYS, arrays)


def _cases(samples: Sequence[Sample], fields: Sequence[str]) -> list[dict[str, Any]]:
    """All together, one by one, and without each field those that have another."""
    cases = [{"name": "batch", "rows": list(range(len(samples))), "fields": list(fields)}]
    cases += [{"name": "single", "rows": [row], "fields": list(fields)} for row in range(len(samples))]
    for left_out in fields:
        kept = [field for field in fields if field != left_out]
        rows = [row for row, sample in enumerate(samples) if any(field in sample for field in kept)]
        if rows:
            cases.append({"name": f"without {left_out}", "rows": rows, "fields": kept})
    return cases


def _stored(folder: Path, row: int, field: str, kind: str, value: Any, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """How one value stands in ``golden.json``. Raises ExportError of a value that cannot be kept."""
    if kind in FILES and isinstance(value, str | Path | bytes):
        suffix = Path(value).suffix if isinstance(value, str | Path) else ".bin"
        name = f"golden_{row}_{field}{suffix}"
        (folder / name).write_bytes(value if isinstance(value, bytes) else Path(value).read_bytes())
        return {"file": name}
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], np.ndarray):
        arrays[f"sample/{row}/{field}"] = value[0]
        return {"array": f"sample/{row}/{field}", "rate": int(value[1])}
    if isinstance(value, np.ndarray):
        arrays[f"sample/{row}/{field}"] = value
        return {"array": f"sample/{row}/{field}"}
    try:
        json.dumps(value)
    except (TypeError, ValueError) as error:
        raise ExportError(
            f"a golden sample's field '{field}' is a {type(value).__name__}, which cannot be kept in a bundle; "
            "export.golden: 0 leaves such samples out"
        ) from error
    return {"value": value}


def _write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """An .npz without dates, so that equal arrays are equal files."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(arrays):
            block = io.BytesIO()
            np.lib.format.write_array(block, np.ascontiguousarray(arrays[name]), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", EPOCH), block.getvalue())
