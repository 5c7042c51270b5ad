"""Raw samples in, answers out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ppmm.decode.answers import target_answers
from ppmm.decode.embeddings import embeddings, matches
from ppmm.errors import DataError, ExportError
from ppmm.registry import did_you_mean
from ppmm.runtime.bundle import read_bundle
from ppmm.runtime.engine import Backend, OnnxGraph, PaddleGraph

__all__ = ["Predictor"]


class Predictor:
    """Answers from a bundle.

    Args:
        bundle: a folder that deploy/export.py wrote.
        backend: ``onednn`` or ``plain`` of Paddle Inference (bundles of bf16 and INT8 run under the first only), or
            ``onnx`` (ONNX Runtime) where the bundle has such a graph: it is the fastest for small models.
        threads: of the math library.

    Raises ExportError when the bundle is not whole and unchanged, or cannot run under the back end.
    """

    def __init__(self, bundle: str | Path, backend: Backend = "onednn", threads: int = 1) -> None:
        self.bundle = read_bundle(Path(bundle))
        self.fields = self.bundle.fields
        graph = self.bundle.graph("main")
        files = [self.bundle.folder / name for name in graph["files"]]
        names = [output["name"] for output in graph["outputs"]]
        self.graph: OnnxGraph | PaddleGraph
        if backend == "onnx":
            if "onnx" not in graph:
                raise ExportError(f"{bundle} has no ONNX graph; export it with --onnx")
            self.graph = OnnxGraph(self.bundle.folder / graph["onnx"], names, threads)
        else:
            self.graph = PaddleGraph(files, names, backend, threads, graph["precision"])

    def outputs(self, samples: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
        """The graph's outputs for a batch of raw samples (field -> path, bytes, array or text).

        A sample may lack any field, not all. Raises DataError naming the sample and field that cannot be read.
        """
        return self.graph(self._batch(samples))

    def predict(self, samples: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """For each sample and target: the most probable label, and ``probabilities`` by label, largest first.

        Of several labels those that reach their threshold, and ``thresholds`` by label; of a number the number. Of a
        model that embeds: ``embeddings`` by field, of the fields that the sample has, and ``matches`` by pair, the
        probability that its two fields go together, where the model answers that.
        """
        batch = self._batch(samples)
        outputs = self.graph(batch)
        results: list[dict[str, Any]] = [{} for _ in samples]
        for target, entry in self.bundle.document["targets"].items():
            kind = entry.get("kind", "label")  # bundles of earlier versions know no other
            rows = target_answers(target, kind, entry["labels"], outputs[entry["output"]], entry.get("thresholds"))
            for result, answer in zip(results, rows, strict=True):
                result.update(answer)
        for result, embeds in zip(results, embeddings(outputs, batch), strict=False):
            result["embeddings"] = embeds
        for result, match in zip(results, matches(outputs, batch), strict=False):
            result["matches"] = match
        return results

    def _batch(self, samples: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
        """Raw samples -> the graph's inputs. Raises DataError."""
        if not samples:
            raise DataError("no samples")
        columns: dict[str, list[np.ndarray | None]] = {field: [] for field in self.fields}
        for number, sample in enumerate(samples):
            self._check_fields(number, sample)
            for field, column in columns.items():
                column.append(self._convert(number, field, sample[field]) if _has(sample, field) else None)
        batch: dict[str, np.ndarray] = {}
        for field, column in columns.items():
            batch.update(self.fields[field].collate(field, column))
        return batch

    def _check_fields(self, number: int, sample: Mapping[str, Any]) -> None:
        unknown = [key for key in sample if key not in self.fields and key != "id"]
        if unknown:
            raise DataError(f"sample {number}: no field named '{unknown[0]}'{did_you_mean(unknown[0], self.fields)}")
        if not any(_has(sample, field) for field in self.fields):
            raise DataError(f"sample {number} has none of the fields {', '.join(self.fields)}; at least one is needed")

    def _convert(self, number: int, field: str, value: Any) -> np.ndarray:
        try:
            return self.fields[field](value)
        except DataError as error:
            raise DataError(f"sample {number} {field}: {error}") from error


def _has(sample: Mapping[str, Any], field: str) -> bool:
    return sample.get(field) is not None
