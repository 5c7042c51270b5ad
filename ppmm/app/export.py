"""deploy/export.py: a checkpoint in, a checked bundle out."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ppmm.app.checkpoints import Loaded, load_checkpoint, versions
from ppmm.app.experiment import Parts, build_rows, open_experiment
from ppmm.app.precisions import graph_writer, int8_of, metric_gate, wished, with_onnx
from ppmm.app.rounded_export import check_options, is_rounded, leave_rounding_out, trained_writer
from ppmm.config import ConfigNode, ExportSection, build
from ppmm.decode.closeness import COSINES
from ppmm.errors import DataError, ExportError
from ppmm.export.agreement import check_cosines
from ppmm.export.bundle import write_bundle
from ppmm.export.golden import write_golden
from ppmm.export.input_ranges import with_ranges
from ppmm.export.parity import Answer, Case, check_parity, parity_cases
from ppmm.models.layers.replace import has_mergeable, merge_layers
from ppmm.runtime.backends import backends_of
from ppmm.runtime.bundle import read_bundle
from ppmm.runtime.describe import describe
from ppmm.runtime.predictor import TOWER
from ppmm.types import Sample, Target

__all__ = ["export_checkpoint"]

TRAINING_ONLY = ("augment", "augment_features", "augment_tokens", "random_crop", "source")
"""Arguments of a field, or of a part of it such as its tokenizer, that serving does not need."""


def export_checkpoint(
    weights: str,
    out: str,
    path: str | None = None,
    overrides: Sequence[str] = (),
    *,
    split: str | None = None,
    samples: int | None = None,
    plugins: Collection[str] = (),
    precision: str | None = None,
    calibrate: int | None = None,
    algorithm: str | None = None,
    keep_worst: int = 0,
    onnx: bool = False,
    towers: bool = True,
    tensorrt: bool = False,
) -> Mapping[str, Any]:
    """Write the bundle ``out``; returns the parity report.

    Args:
        weights: checkpoint folder.
        out: bundle folder; an older bundle there is replaced.
        path: a YAML for data, thresholds of labels and the size of pictures (see `load_checkpoint`); the one of the
            checkpoint when None.
        overrides: ``a.b.c=value``, with ``path``.
        split: where the samples for the parity gate come from; ``export.split`` of the config when None.
        samples: how many; ``export.samples`` when None.
        plugins: code that the checkpoint may import.
        precision: ``fp32``, ``bf16`` or ``int8`` (calibrated on rows of the split); None is ``int8`` for a model that
            was trained in it (qat), whose ranges need no calibration, else what the step ``convert`` made it, else
            ``fp32``.
        calibrate: rows of the calibration; ``export.calibration`` when None.
        algorithm: of the calibration; ``export.algorithm`` when None.
        keep_worst: how many layers stay float32 in INT8, those that change the answers most.
        onnx: also write each graph as ONNX, for ONNX Runtime, in float32 or INT8; it passes the same gate.
        towers: of a model of several towers also write each as a graph of its own.
        tensorrt: write the graphs in the format that TensorRT reads, with the ranges of their inputs.

    Raises ExportError when the graph disagrees with the model, or the bundle cannot be written, CompressError when it
    cannot be quantised.
    """
    if samples is not None and samples < 1:
        raise ExportError(f"--samples must be at least 1, got {samples}")
    loaded = load_checkpoint(weights, None if path is None else open_experiment(path, overrides), plugins)
    section: ExportSection = build(loaded.config.get("export", {}), ExportSection)
    split = split or section.split
    quantised: dict[str, Any] = {}
    rounded = is_rounded(loaded)
    wish = wished(loaded)
    precision = precision or ("int8" if rounded else _on_cpu(wish.get("precision", "fp32")))
    report: dict[str, Any] = {"precision": precision}
    int8 = int8_of(section, split, calibrate, algorithm, keep_worst, wish)
    write = graph_writer(loaded, precision, int8, quantised, old_ir=tensorrt)
    if rounded and precision == "int8":
        check_options(calibrate=calibrate, algorithm=algorithm, keep_worst=keep_worst)
        write = trained_writer(loaded, quantised)
    elif rounded:
        report["rounding"] = leave_rounding_out(loaded, precision)
    if onnx:
        write = with_onnx(write, loaded, precision, int8, quantised)
    chosen = _samples(loaded, split, section.samples if samples is None else samples)

    write = with_ranges(write, loaded.parts.fields, chosen, section.tensorrt if tensorrt else None)
    gate = _Gate(loaded, section, split, precision, chosen, onnx, quantised, report)

    def served() -> Any:
        """The model to be written. The gate compares its graph with the model as it was trained."""
        if not has_mergeable(loaded.model) and precision != "int8":
            return loaded.model
        model = load_checkpoint(weights, plugins=plugins).model
        merge_layers(model)
        return model

    models = {"main": served()}
    for field in loaded.model.towers() if towers and hasattr(loaded.model, "towers") else ():
        models[f"{field}{TOWER}"] = served().towers()[field]
    write_bundle(
        Path(out), models, loaded.parts.fields, _document(loaded), gate, write, gate.add_golden, _card
    )  # fmt: skip
    print(f"bundle {out}: {_agreement(report)} on {len(chosen)} samples", file=sys.stderr)
    return report


@dataclass
class _Gate:
    """What a finished bundle must pass; a call fills ``report`` and returns it, or raises ExportError."""

    loaded: Loaded
    section: ExportSection
    split: str
    precision: str
    chosen: Sequence[Sample]
    onnx: bool
    quantised: Mapping[str, Any]
    report: dict[str, Any]

    def __call__(self, folder: Path) -> Mapping[str, Any]:
        predictors = _exported(folder)
        trained, report = _trained(self.loaded), self.report
        cases = parity_cases(self.chosen, list(self.loaded.parts.fields))
        report.update(self._compare(cases, trained, {name: each.outputs for name, each in predictors.items()}))
        if self.precision != "fp32":
            report["metric"] = self._figures(predictors["onednn"].graph)
            if self.onnx:
                report["metric_onnx"] = self._figures(predictors["onnx"].graph)
        towers = self._towers(predictors, trained)
        if towers:
            report["towers"] = towers
        for predictor in predictors.values():
            if predictor.bundle.golden is not None:
                predictor.self_test(anew=True)
        if self.quantised:
            report["quantisation"] = self.quantised
        report["samples"] = len(self.chosen)
        return report

    def add_golden(self, folder: Path) -> None:
        """Put the golden samples into the folder."""
        if self.section.golden:
            least = COSINES.get(self.precision)
            agreement = {"tolerance": self.section.tolerance} if least is None else {"cosine": least}
            samples = self.chosen[: self.section.golden]
            write_golden(folder, samples, self.loaded.parts.fields, _trained(self.loaded), agreement)

    def _compare(self, cases: list[Case], trained: Answer, candidates: Mapping[str, Answer]) -> dict[str, Any]:
        if self.precision == "fp32":
            return check_parity(cases, trained, candidates, self.section.tolerance)
        return check_cosines(cases, trained, candidates, COSINES[self.precision])

    def _towers(self, predictors: Mapping[str, Any], trained: Answer) -> dict[str, Any]:
        """The graphs of one field each, against the model that is given that field alone."""
        reports = {}
        for name in next(iter(predictors.values())).bundle.document["graphs"]:
            field = name.removesuffix(TOWER)
            alone = [{field: sample[field]} for sample in self.chosen if field in sample]
            if field == name or not alone:
                continue
            output = f"{field}_embed"
            cases = parity_cases(alone, [field])
            reports[field] = self._compare(
                cases,
                lambda samples, output=output: {output: trained(samples)[output]},  # type: ignore[misc]
                {key: partial(each.outputs, graph=name) for key, each in predictors.items()},
            )
        return reports

    def _figures(self, graph: Any) -> dict[str, Any]:
        return metric_gate(self.loaded, graph, self.split, self.section.max_drop)


def _document(loaded: Loaded) -> dict[str, Any]:
    """What ``bundle.yaml`` says beside graphs and hashes."""
    manifest = loaded.checkpoint.manifest
    return {
        "preprocessing": _preprocessing(loaded.config, loaded.parts),
        "targets": {
            name: {"output": "logits", "kind": target.kind, "labels": list(target.labels or []), **_limits(target)}
            for name, target in loaded.answered().items()
        },
        "versions": versions(),
        "history": {
            "name": loaded.config["name"],
            "data": {split: str(node["name"]) for split, node in loaded.config["data"].items()},
            **{key: manifest[key] for key in ("step", "parameters", "metrics", "transforms")},
        },
    }


def _on_cpu(precision: str) -> str:
    """The precision of a graph for one that a checkpoint was converted to; a CPU has no float16."""
    return "fp32" if precision == "fp16" else precision


def _agreement(report: Mapping[str, Any]) -> str:
    """The parity report in words."""
    if report["precision"] == "fp32":
        return f"agrees with the model within {report['max_abs']:.2g}"
    words = f"{report['precision']}, cosine to the model {report['min_cosine']:.4f} at least"
    gate = report["metric"]
    if gate["metric"] is None:
        return words
    where = f"({gate['rows']} rows, every set of fields)"
    return f"{words}, {gate['metric']} falls by {gate['worst_drop']:.4f} at most {where},"


def _limits(target: Target) -> dict[str, list[float]]:
    """The thresholds of a target that has any, for the bundle."""
    thresholds = getattr(target, "thresholds", None)
    return {} if thresholds is None else {"thresholds": list(thresholds)}


def _samples(loaded: Loaded, split: str, count: int) -> list[Sample]:
    """Rows spread evenly over the split, with fields only."""
    try:
        rows = build_rows(loaded.config, split)
    except DataError as error:
        raise ExportError(
            f"the parity gate needs real samples of the split '{split}': {error} (choose another with --split)"
        ) from error
    picked = np.unique(np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int))
    names = loaded.parts.fields
    return [{name: row[name] for name in names if name in row} for row in (rows[int(index)] for index in picked)]


def _trained(loaded: Loaded) -> Answer:
    """The model in Paddle's dynamic mode, fed as in evaluation."""
    import paddle

    from ppmm.data.collate import Collate
    from ppmm.data.prepared import Prepared

    def answer(samples: Sequence[Sample]) -> Mapping[str, np.ndarray]:
        rows = [{"id": f"sample {number}", **sample} for number, sample in enumerate(samples)]
        prepared = Prepared(_Rows(rows), loaded.parts.fields, {})
        arrays = Collate(loaded.parts.fields, {})([prepared[0, index] for index in range(len(rows))])
        batch = {name: paddle.to_tensor(array) for name, array in arrays.items()}
        with paddle.no_grad():
            outputs = loaded.model(batch)
        return {name: outputs[name].numpy() for name in loaded.model.outputs}

    return answer


class _Rows:
    """A list as a Dataset."""

    def __init__(self, rows: list[Sample]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Sample:
        return self.rows[index]


def _exported(folder: Path) -> dict[str, Any]:
    """The bundle under every back end that it claims for a CPU, from raw samples as a server gets them."""
    from ppmm.runtime import Predictor

    possible = backends_of(read_bundle(folder).graph("main"))
    return {backend: Predictor(folder, backend=backend, self_test=False) for backend in possible}


def _card(folder: Path) -> str:
    return describe(read_bundle(folder))


def _preprocessing(config: ConfigNode, parts: Parts) -> dict[str, Any]:
    """The fields' nodes without what only training needs."""
    nodes = {}
    for name, field in parts.fields.items():
        if not type(field).__module__.startswith("ppmm."):
            raise ExportError(
                f"fields.{name}: preprocessing from plugins ({type(field).__module__}) cannot travel in a bundle; "
                "move it into ppmm/modalities or prepare the data with it beforehand"
            )
        nodes[name] = _plain(config["fields"][name], TRAINING_ONLY)
    return nodes


def _plain(value: Any, without: Collection[str] = ()) -> Any:
    """Config nodes as ordinary dicts and lists, some keys left out at every level."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item, without) for key, item in value.items() if key not in without}
    return [_plain(item, without) for item in value] if isinstance(value, list) else value
