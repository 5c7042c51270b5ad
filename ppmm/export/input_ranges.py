"""Least, usual and largest shape of each input of a graph, from real samples; TensorRT builds its engines for these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ppmm.export.bundle import GraphWriter
from ppmm.types import Field, FieldSpec, Sample

__all__ = ["input_ranges", "with_ranges"]

MAX_BATCH = 32


def input_ranges(fields: Mapping[str, Field], samples: Sequence[Sample], max_batch: int) -> dict[str, dict[str, Any]]:
    """By input: ``min``, ``opt`` and ``max`` shape.

    The batch goes from 1 to ``max_batch``; lengths from the shortest to the longest of the samples, the median in
    between. A field that no sample has keeps the length of an absent one.
    """
    ranges: dict[str, dict[str, Any]] = {}
    for name, field in fields.items():
        arrays = [field(sample[name]) if name in sample else None for sample in samples]
        shapes = [{key: array.shape for key, array in field.collate(name, [one]).items()} for one in [*arrays, None]]
        for key in shapes[0]:
            sides = np.array([shape[key][1:] for shape in shapes], dtype=np.int64)
            given = sides[:-1] if len(sides) > 1 else sides
            ranges[key] = {
                "min": [1, *(int(side) for side in sides.min(axis=0))],
                "opt": [max(1, max_batch // 4), *(int(side) for side in np.median(given, axis=0))],
                "max": [max_batch, *(int(side) for side in sides.max(axis=0))],
            }
    return ranges


def with_ranges(
    write: GraphWriter, fields: Mapping[str, Field], samples: Sequence[Sample], tensorrt: Any
) -> GraphWriter:
    """The same with the ranges of the inputs in every entry, and the settings of TensorRT where there are any."""
    ranges = input_ranges(fields, samples, MAX_BATCH if tensorrt is None else tensorrt.max_batch)

    def ranged(model: Any, specs: Mapping[str, FieldSpec], folder: Path, name: str) -> dict[str, Any]:
        entry = write(model, specs, folder, name)
        entry["inputs"] = [{**each, "range": ranges[each["name"]]} for each in entry["inputs"]]
        if tensorrt is None:
            return entry
        own = "int8" if entry["precision"] == "int8" else tensorrt.precision
        settings = {"precision": own, "workspace_mb": tensorrt.workspace_mb, "max_batch": tensorrt.max_batch}
        return {**entry, "tensorrt": settings}

    return ranged
