"""Raw samples in, answers out."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ppmm.decode.answers import target_answers
from ppmm.decode.embeddings import embeddings, matches
from ppmm.errors import DataError, ExportError
from ppmm.registry import did_you_mean
from ppmm.runtime import machine
from ppmm.runtime.backends import Backend, backends_of, check_backend, check_precision, parse_device
from ppmm.runtime.bundle import read_bundle
from ppmm.runtime.fastest import fastest
from ppmm.runtime.onnx_graph import OnnxGraph
from ppmm.runtime.paddle_graph import PaddleGraph
from ppmm.runtime.self_test import check_golden

__all__ = ["Predictor", "PredictorPool"]

MAIN = "main"
TOWER = "_tower"
"""How the names of graphs end that embed one field alone."""


class Predictor:
    """Answers from a bundle. Safe to call from several threads, one at a time; `PredictorPool` answers several.

    Args:
        bundle: a folder that deploy/export.py wrote.
        backend: ``onednn`` or ``plain`` of Paddle Inference, ``onnx`` (ONNX Runtime) where the bundle has such a graph,
            ``cuda`` or ``tensorrt`` on a GPU; ``auto`` measures those of the device once and remembers the fastest on
            this machine; None is the usual one of the device (onednn, cuda).
        threads: of the math library.
        device: ``cpu`` or ``gpu:0``.
        precision: None for the bundle's; on a GPU a float32 bundle also computes in ``fp16`` or ``bf16``.
        self_test: compare the golden samples at the first load on this machine (`self_test`).

    Raises ExportError when the bundle is not whole and unchanged, cannot run so, or answers wrongly here: it never
    falls back to another device, back end or precision.
    """

    def __init__(
        self,
        bundle: str | Path,
        backend: Backend | Literal["auto"] | None = None,
        threads: int = 1,
        *,
        device: str = "cpu",
        precision: str | None = None,
        self_test: bool = True,
    ) -> None:
        if threads < 1:
            raise ExportError(f"threads must be at least 1, got {threads}")
        self.bundle = read_bundle(Path(bundle))
        self.fields = self.bundle.fields
        self.threads = threads
        self.device = parse_device(device)
        entry = self.bundle.graph(MAIN)
        self.precision = check_precision(precision, entry, self.device)
        self.graphs: dict[str, OnnxGraph | PaddleGraph] = {}
        self._loading = threading.Lock()
        if backend == "auto":
            self.backend: Backend = self._fastest()
        else:
            self.backend = check_backend(backend, entry, self.device)
        self.graphs[MAIN] = self._load(MAIN, self.backend)
        if self_test and self.bundle.golden is not None:
            self.self_test()

    @property
    def graph(self) -> OnnxGraph | PaddleGraph:
        """The graph of all fields: arrays by name -> outputs by name."""
        return self.graphs[MAIN]

    def outputs(self, samples: Sequence[Mapping[str, Any]], graph: str = MAIN) -> dict[str, np.ndarray]:
        """A graph's outputs for a batch of raw samples (field -> path, bytes, array or text).

        A sample may lack any field, not all. Raises DataError naming the sample and field that cannot be read.
        """
        return self.run(self.collate([self.convert(sample, number) for number, sample in enumerate(samples)]), graph)

    def predict(self, samples: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """For each sample and target: the most probable label, and ``probabilities`` by label, largest first.

        Of several labels those that reach their threshold, and ``thresholds`` by label; of a number the number. Of a
        model that embeds: ``embeddings`` by field, of the fields that the sample has, and ``matches`` by pair, the
        probability that its two fields go together, where the model answers that. Samples of one and the same field
        go through its tower alone, where the bundle has one.
        """
        return self.answers([self.convert(sample, number) for number, sample in enumerate(samples)])

    def convert(self, sample: Mapping[str, Any], number: int = 0) -> dict[str, np.ndarray]:
        """One raw sample decoded and transformed, by field. The part of the work that needs no graph.

        Raises DataError, which names the sample's ``number``.
        """
        arrays = {}
        for field in self.check_sample(sample, number):
            try:
                arrays[field] = self.fields[field](sample[field])
            except DataError as error:
                raise DataError(f"sample {number} {field}: {error}") from error
        return arrays

    def check_sample(self, sample: Mapping[str, Any], number: int = 0) -> list[str]:
        """The fields that a raw sample has. Raises DataError of one that has others, or none."""
        unknown = [key for key in sample if key not in self.fields and key != "id"]
        if unknown:
            raise DataError(f"sample {number}: no field named '{unknown[0]}'{did_you_mean(unknown[0], self.fields)}")
        given = [field for field in self.fields if sample.get(field) is not None]
        if not given:
            raise DataError(f"sample {number} has none of the fields {', '.join(self.fields)}; at least one is needed")
        return given

    def answers(self, arrays: Sequence[Mapping[str, np.ndarray]]) -> list[dict[str, Any]]:
        """`predict` of samples that `convert` has prepared, whatever their lengths and fields, in one batch."""
        batch = self.collate(arrays)
        return self.read(batch, self.run(batch, self.graph_for(arrays)))

    def read(self, batch: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
        """Outputs of a graph -> what `predict` returns."""
        results: list[dict[str, Any]] = [{} for _ in next(iter(batch.values()))]
        for target, entry in self.bundle.document["targets"].items():
            kind = entry.get("kind", "label")
            rows = target_answers(target, kind, entry["labels"], outputs[entry["output"]], entry.get("thresholds"))
            for result, answer in zip(results, rows, strict=True):
                result.update(answer)
        for result, embeds in zip(results, embeddings(outputs, batch), strict=False):
            result["embeddings"] = embeds
        for result, match in zip(results, matches(outputs, batch), strict=False):
            result["matches"] = match
        return results

    def collate(self, arrays: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """What `convert` made of several samples -> the graph's inputs. Raises DataError where there is none."""
        if not arrays:
            raise DataError("no samples")
        batch: dict[str, np.ndarray] = {}
        for field, part in self.fields.items():
            batch.update(part.collate(field, [each.get(field) for each in arrays]))
        return batch

    def run(self, batch: Mapping[str, np.ndarray], graph: str = MAIN) -> dict[str, np.ndarray]:
        """A graph's outputs for a collated batch."""
        if graph not in self.graphs:
            with self._loading:
                if graph not in self.graphs:
                    self.graphs[graph] = self._load(graph, self.backend)
        return self.graphs[graph](batch)

    def self_test(self, anew: bool = False) -> dict[str, Any]:
        """Compare the answers to the golden samples with the trained model's; the report.

        What was found is remembered by bundle, back end, versions and processor, and not computed again.

        Args:
            anew: compute it all the same.

        Raises ExportError where the answers differ more than at export they might, or the bundle has no such samples.
        """
        golden = self.bundle.golden
        if golden is None:
            raise ExportError(f"{self.bundle.folder} has no golden samples (export.golden: 0): nothing to compare with")
        question = self._question("self-test", self.backend)
        known = None if anew else machine.recall(question)
        if known is not None:
            return known
        who = f"{self.backend} {self.precision} on {self.device.kind}"
        report = check_golden(golden, self.outputs, who, self.precision, self.device.kind == "gpu")
        machine.remember(question, report)
        return report

    def warm_up(self, batch: int = 1) -> None:
        """Answer golden samples once, alone and ``batch`` at a time, so that the first request is as fast as others."""
        golden = self.bundle.golden
        for size in dict.fromkeys((1, batch)):
            if golden is None or not golden.samples:
                return
            self.answers([self.convert(golden.samples[row % len(golden.samples)]) for row in range(size)])

    def clone(self) -> Predictor:
        """Another one over the same weights, to answer at the same time in another thread."""
        other = object.__new__(Predictor)
        other.__dict__.update(self.__dict__)
        other._loading = threading.Lock()
        other.graphs = {name: graph.clone() for name, graph in self.graphs.items()}
        return other

    def graph_for(self, arrays: Sequence[Collection[str]]) -> str:
        """The name of the graph that answers these samples: a tower where all have one and the same field."""
        fields = {field for each in arrays for field in each}
        tower = f"{next(iter(fields))}{TOWER}"
        return tower if len(fields) == 1 and tower in self.bundle.document["graphs"] else MAIN

    def _load(self, name: str, backend: Backend) -> OnnxGraph | PaddleGraph:
        entry, folder = self.bundle.graph(name), self.bundle.folder
        names = [output["name"] for output in entry["outputs"]]
        if backend == "onnx":
            return OnnxGraph(folder / entry["onnx"], names, self.threads)
        files = [folder / file for file in entry["files"]]
        cache = machine.cache_folder() / "tensorrt" / self.bundle.digest
        return PaddleGraph(files, names, backend, self.threads, self.precision, self.device, entry, cache)

    def _fastest(self) -> Backend:
        """The fastest back end that passes the self-test here. Raises ExportError of the last one where none does."""
        possible = backends_of(self.bundle.graph(MAIN), self.device)
        question = {**self._question("fastest", "auto"), "threads": self.threads}
        known = machine.recall(question)
        if known is not None and known["backend"] in possible:
            return next(each for each in possible if each == known["backend"])
        golden = self.bundle.golden
        if golden is None:
            raise ExportError(f"{self.bundle.folder} has no golden samples to measure on (export.golden: 0): name one")
        one = self.collate([self.convert(golden.samples[0])])
        loaded, failure = {}, None
        for self.backend in possible:
            try:
                self.graphs = {MAIN: self._load(MAIN, self.backend)}
                self.self_test()
                loaded[self.backend] = self.graphs[MAIN]
            except ExportError as error:
                failure = error
        if not loaded:
            raise failure or ExportError(f"{self.bundle.folder} has no back end on {self.device.kind}")
        times = fastest({name: lambda graph=graph: graph(one) for name, graph in loaded.items()})  # type: ignore[misc]
        chosen = next(each for each in possible if each == next(iter(times)))
        machine.remember(question, {"backend": chosen, "milliseconds": times})
        return chosen

    def _question(self, what: str, backend: str) -> dict[str, Any]:
        return {
            "what": what,
            "bundle": self.bundle.digest,
            "backend": backend,
            "device": f"{self.device.kind}:{self.device.number}",
            "precision": self.precision,
            **machine.identity(),
        }


class PredictorPool:
    """Several predictors over the same weights, for as many threads.

    Args:
        predictor: the first one.
        size: how many, at least 1.
    """

    def __init__(self, predictor: Predictor, size: int) -> None:
        if size < 1:
            raise ExportError(f"a pool needs at least 1 predictor, got {size}")
        self._free = [predictor, *(predictor.clone() for _ in range(size - 1))]
        self._some = threading.Condition()

    @contextmanager
    def take(self) -> Iterator[Predictor]:
        """A predictor that nobody else uses; waits for one."""
        with self._some:
            self._some.wait_for(lambda: self._free)
            taken = self._free.pop()
        try:
            yield taken
        finally:
            with self._some:
                self._free.append(taken)
                self._some.notify()
