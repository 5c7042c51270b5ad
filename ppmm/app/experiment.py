"""A YAML -> checked config -> the objects of one experiment."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ppmm import environment
from ppmm.app.model_checks import check_sizes
from ppmm.app.picked_rows import rows_with_any
from ppmm.app.target_checks import check_targets, objective_nodes
from ppmm.app.training_checks import check_training
from ppmm.config import ConfigNode, Experiment, LoaderSection, build, check, load
from ppmm.errors import ConfigError, DataError
from ppmm.registry import FIELDS, did_you_mean
from ppmm.types import Dataset, Field, FieldSpec, Metric, Objective, Target

__all__ = [
    "CLASS_KINDS",
    "ClassCounts",
    "Parts",
    "build_model",
    "build_parts",
    "build_rows",
    "checked",
    "make_loader",
    "open_experiment",
]


FILE_KINDS = ("image", "audio")
"""Kinds of field that a manifest names by path."""
CLASS_KINDS = ("label", "multi_label")
"""Kinds of target that have classes."""


def open_experiment(path: str | Path, overrides: Sequence[str] = ()) -> ConfigNode:
    """Read and check a YAML. Raises ConfigError with every problem in it."""
    return checked(load(path, overrides))


def checked(config: ConfigNode, trusted: Collection[str] | None = None) -> ConfigNode:
    """``config`` itself, once threads are set, plugins are imported and nothing is wrong with it.

    Args:
        trusted: the only plugins that may be imported; None trusts them all, as in a YAML that the user names.
    """
    threads = config.get("threads", 1)
    if isinstance(threads, int) and threads > 0:
        environment.set_threads(threads)
    plugins = config.get("plugins", [])
    for plugin in plugins if isinstance(plugins, list) else []:
        if trusted is not None and plugin not in trusted:
            raise ConfigError(
                f"{config.place('plugins')} plugins: {plugin} is code outside of ppmm, and a checkpoint may come from "
                f"anybody; if you trust it, allow it with --plugins {plugin}"
            )
        import_plugin(str(plugin), config.place("plugins"))
    check(config, Experiment)
    problems = list(cross_check(config))
    if problems:
        raise ConfigError(problems)
    return config


def import_plugin(name: str, place: str) -> None:
    """Import a module (``package.module``) or a file (``path/to/x.py``) so that it registers its parts."""
    module = ""
    try:
        if not name.endswith(".py"):
            importlib.import_module(name)
            return
        path = Path(name)
        if not path.is_file():
            raise ConfigError(f"{place} plugins: no file {name} (paths are relative to where the tool is started)")
        module = f"ppmm_plugin_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]}"
        if module in sys.modules:
            return
        spec = importlib.util.spec_from_file_location(module, path)
        assert spec is not None and spec.loader is not None
        sys.modules[module] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[module])
    except ConfigError:
        raise
    except Exception as error:  # whatever the user's own file raises
        sys.modules.pop(module, None)
        raise ConfigError(f"{place} plugins: cannot import {name}: {type(error).__name__}: {error}") from error


def cross_check(config: ConfigNode) -> Iterator[str]:
    """What no signature can say: sections that must fit each other."""
    fields = config["fields"]
    encoders = config["model"].get("encoders")
    if isinstance(encoders, ConfigNode):
        for field in encoders:
            if field not in fields:
                yield f"{encoders.place(field)} model.encoders.{field}: no such field{did_you_mean(field, fields)}"
        for field in fields:
            if field not in encoders:
                place = fields.place(field)
                yield f"{place} fields.{field}: no encoder reads it; remove it or add model.encoders.{field}"
    yield from check_targets(config)
    yield from check_training(config)
    dropout = config.get("loader", {}).get("modality_dropout", 0.0)
    for field in dropout if isinstance(dropout, ConfigNode) else ():
        if field not in fields:
            yield f"{dropout.place(field)} loader.modality_dropout.{field}: no such field{did_you_mean(field, fields)}"
    mix = config.get("loader", {}).get("mix") or ()
    for number, node in enumerate(mix if isinstance(mix, list) else ()):
        for field in node.get("fields") or ():
            if field not in fields:
                place = node.place("fields")
                yield f"{place} loader.mix[{number}].fields: no field '{field}'{did_you_mean(field, fields)}"


def build_rows(config: ConfigNode, split: str, also: Mapping[str, Field] | None = None) -> Dataset:
    """The raw rows of one split; ``also`` are fields of files that the config does not have (those of a teacher).

    Raises:
        ConfigError: the YAML has none of that name.
        DataError: its files cannot be read.
    """
    if split not in config["data"]:
        raise ConfigError(f"{config.place('data')} data: no split '{split}'{did_you_mean(split, config['data'])}")
    try:
        rows: Dataset = build(config["data"][split], Dataset, {"file_fields": file_fields(config, also)})
    except OSError as error:  # a folder that may not be listed, a disk that fails
        raise DataError(f"{config.place('data')} data.{split}: {error}") from error
    return rows


def file_fields(config: ConfigNode, also: Mapping[str, Field] | None = None) -> list[str]:
    """The fields whose cells in a manifest are paths, those of ``also`` among them."""
    kinds = {name: getattr(FIELDS.get(node["name"]), "kind", "") for name, node in config["fields"].items()}
    kinds |= {name: getattr(field, "kind", "") for name, field in (also or {}).items()}
    return [name for name, kind in kinds.items() if kind in FILE_KINDS]


@dataclass(frozen=True)
class Parts:
    """What turns rows into batches and outputs into figures."""

    fields: dict[str, Field]
    targets: dict[str, Target]

    def labels(self) -> dict[str, list[str]]:
        """Class names by target, for targets that have classes."""
        return {name: list(target.labels) for name, target in self.targets.items() if target.labels is not None}

    def thresholds(self) -> dict[str, list[float]]:
        """The probability of each class from which an answer gives it, by target, for targets that have such."""
        found = {name: getattr(target, "thresholds", None) for name, target in self.targets.items()}
        return {name: list(limits) for name, limits in found.items() if limits is not None}

    def specs(self) -> dict[str, FieldSpec]:
        """Shape and dtype of every batch key that a model reads."""
        return {key: spec for name, field in self.fields.items() for key, spec in field.specs(name).items()}

    def provides(self) -> dict[str, Any]:
        """What the builder may inject into encoders and heads."""
        sizes = [target.out_dim for target in self.targets.values() if target.out_dim is not None]
        only = {"classes": sizes[0]} if len(sizes) == 1 else {}
        return {"per_key": {name: field.provides() for name, field in self.fields.items()}, **only}


def build_parts(config: ConfigNode, rows: Dataset | None = None) -> Parts:
    """Fields and targets, with what they learn (vocabulary, classes) learned from ``rows``.

    Without rows they are as new: the caller loads what was learned before.
    """
    fields: dict[str, Field] = build(config["fields"], dict[str, Field])
    targets: dict[str, Target] = build(config["targets"], dict[str, Target])
    if rows is not None:
        learners: dict[str, Field | Target] = {**fields, **targets}
        for name, part in learners.items():
            column = _Column(rows, getattr(part, "column", None) or name)
            try:
                part.fit(column)
            except DataError as error:
                raise DataError(f"{column.place} {name}: {error}") from error
    return Parts(fields, targets)


class _Column(Sequence[Any]):
    """The values of one column, read only when asked for."""

    def __init__(self, rows: Dataset, name: str) -> None:
        self.rows, self.name = rows, name
        self.row = -1

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        return self.rows[index][self.name]

    def __iter__(self) -> Iterator[Any]:
        from ppmm.data.columns import column_of

        for number, value in enumerate(column_of(self.rows, self.name)):
            self.row = number
            if value is not None:
                yield value
        self.row = -1

    @property
    def place(self) -> str:
        """The row whose value was given last."""
        return "training split" if self.row < 0 else str(self.rows[self.row]["id"])


class ClassCounts(Mapping[str, list[int]]):
    """Rows of each class in the training split, by target, counted when asked for.

    Of several labels of a row each counts.
    """

    def __init__(self, rows: Dataset, targets: Mapping[str, Target]) -> None:
        self.rows, self.targets = rows, targets
        self.counted: dict[str, list[int]] = {}

    def __getitem__(self, target: str) -> list[int]:
        convert = self.targets[target]
        if convert.labels is None:
            raise ConfigError(f"target '{target}' has no classes to count")
        if target not in self.counted:
            counts = [0] * len(convert.labels)
            column = _Column(self.rows, convert.column or target)
            for value in column:
                try:
                    array = convert(value)
                except DataError as error:
                    raise DataError(f"{column.place} {target}: {error}") from error
                for number in np.flatnonzero(array).tolist() if convert.kind == "multi_label" else [int(array)]:
                    counts[number] += 1
            self.counted[target] = counts
        return self.counted[target]

    def __iter__(self) -> Iterator[str]:
        return iter(self.targets)

    def __len__(self) -> int:
        return len(self.targets)


def build_model(
    config: ConfigNode,
    parts: Parts,
    settings: Mapping[str, Any] | None = None,
    sizes: Mapping[str, Mapping[str, int]] | None = None,
) -> Any:
    """The model, with the sizes that the data gives it.

    Args:
        settings: of encoders that would otherwise read them from files of their own, by field; from a checkpoint.
        sizes: what a field had provided before compression changed it.

    Raises ConfigError when the head has other classes, or a part cannot be of its size.
    """
    from ppmm.types import Model

    head = config["model"].get("head")
    classes = head.get("classes") if isinstance(head, ConfigNode) else None
    for name, target in parts.targets.items():
        if None not in (classes, target.out_dim) and classes != target.out_dim:
            wants = "is one number" if target.labels is None else f"has {target.out_dim} classes"
            place = f"{head.place('classes')} model.head.classes"
            raise ConfigError(f"{place}: is {classes}, but '{name}' {wants}; leave it out")
    given = parts.provides()
    for field, own in (settings or {}).items():
        given["per_key"][field] = {**given["per_key"].get(field, {}), "settings": own}
    for field, before in (sizes or {}).items():
        given["per_key"][field] = {**given["per_key"].get(field, {}), **before}
    model: Any = build(config["model"], Model, given)
    check_sizes(config, model)
    return model


def build_objective(
    config: ConfigNode, parts: Parts, counts: Mapping[str, list[int]], train_rows: int | None = None
) -> Objective:
    """The loss.

    Args:
        counts: rows of each class in the training split, for balanced class weights.
        train_rows: rows of the training split, where they are known.
    """
    labels = parts.labels()
    for section, node in objective_nodes(config["objective"]):
        weights, target = node.get("class_weights"), node.get("target")
        if isinstance(weights, list) and target in labels and len(weights) != len(labels[target]):
            raise ConfigError(
                f"{node.place('class_weights')} {section}.class_weights: {len(weights)} weights for the "
                f"{len(labels[target])} classes of '{target}'"
            )
    known = {"class_counts": counts, **({} if train_rows is None else {"train_rows": train_rows})}
    objective: Objective = build(config["objective"], Objective, known)
    if config.get("loader", {}).get("mix") and not getattr(objective, "takes_soft_targets", False):
        name = config["objective"]["name"]
        raise ConfigError(f"{config.place('loader')} loader.mix: '{name}' cannot learn from mixed labels")
    return objective


def build_metrics(config: ConfigNode, parts: Parts) -> list[Metric]:
    """The metrics. Raises ConfigError when the trainer monitors a figure that none of them gives."""
    metrics: list[Metric] = build(
        config["metrics"], list[Metric], {"labels": parts.labels(), "thresholds": parts.thresholds()}
    )
    figures = ["loss", *(figure for metric in metrics for figure in metric.compute())]
    names = set(figures)
    for figure in names:
        if figures.count(figure) > 1:
            raise ConfigError(f"{config.place('metrics')} metrics: more than one gives '{figure}'; keep one of them")
    monitor = config.get("trainer", {}).get("monitor", "accuracy")
    watched = [(config.place("trainer"), "trainer.monitor", monitor)]
    watched += [
        (node.place("metric"), f"{node.path}.metric", node["metric"])
        for node in config.get("hooks", [])
        if node["name"] == "early_stopping" and node.get("metric") is not None
    ]
    for place, key, figure in watched:
        if figure not in names:
            raise ConfigError(f"{place} {key}: no metric gives '{figure}'{did_you_mean(figure, names)}")
    return metrics


def make_loader(
    config: ConfigNode,
    rows: Dataset,
    parts: Parts,
    *,
    training: bool = False,
    without: Collection[str] = (),
    folder: Path | None = None,
    rank: int = 0,
    world: int = 1,
    teacher_fields: Mapping[str, Field] | None = None,
) -> Any:
    """Batches of ``rows``, shuffled, augmented and with modality dropout when training.

    Args:
        without: fields that every row is to lack.
        folder: of the run, where the quarantine list goes.
        rank: number of this process.
        world: processes among which the ``batch_size`` rows of each batch are shared.
        teacher_fields: further fields of the batches. No field is dropped at random then: a teacher is to see all, and
            the model one at least.

    Raises ConfigError when the batch cannot be shared evenly.
    """
    from ppmm.data.bad_rows import BadRows
    from ppmm.data.loader import Loader
    from ppmm.data.prepared import Prepared

    section: LoaderSection = build(config.get("loader", {}), LoaderSection)
    if section.batch_size % world:
        place = config.get("loader", config).place("batch_size")
        raise ConfigError(
            f"{place} loader.batch_size: {section.batch_size} rows cannot be shared by {world} processes; it counts "
            f"those of all processes: make it a multiple of {world}, or start another number of processes"
        )
    for field in without:
        if field not in parts.fields:
            raise DataError(f"--drop {field}: no such field{did_you_mean(field, parts.fields)}")
    rates = section.modality_dropout
    dropout = rates if isinstance(rates, dict) else {field: float(rates) for field in parts.fields}
    fields = {**parts.fields, **(teacher_fields or {})}
    if teacher_fields:
        dropout = {}
        rows = rows_with_any(rows, list(parts.fields))
    prepared = Prepared(
        rows, fields, parts.targets, seed=config.get("seed", 0), training=training, dropout=dropout,
        without=without,
    )  # fmt: skip
    of_process = f".{rank}" if rank else ""
    listed = None if folder is None else folder / f"quarantine{'' if training else '_val'}{of_process}.jsonl"
    return Loader(
        prepared, section.batch_size, section.workers, shuffle=training, drop_last=training and section.drop_last,
        mix=section.mix if training else (),
        sampler=section.sampler if training else None, bucket_by=section.bucket_by if training else None,
        bucket_window=section.bucket_window, rank=rank, world=world,
        bad_rows=BadRows(section.on_error, section.max_bad_rows, listed),
    )  # fmt: skip


def set_device(config: ConfigNode, or_cpu: bool = False) -> None:
    """Use ``device`` of the config.

    Args:
        or_cpu: a checkpoint of a GPU server may be read on a machine without one: say so and use the CPU.

    Raises ConfigError when this machine has no such device.
    """
    import paddle

    device = config.get("device", "cpu")
    if device.startswith("gpu") and not paddle.device.is_compiled_with_cuda():
        if or_cpu:
            print(f"device: this Paddle has no {device}; using the CPU", file=sys.stderr)
            paddle.set_device("cpu")
            return
        raise ConfigError(
            f"{config.place('device')} device: {device} needs paddlepaddle-gpu; this is the CPU wheel (README: GPU)"
        )
    try:
        paddle.set_device(device)
    except (ValueError, RuntimeError, OSError) as error:
        raise ConfigError(f"{config.place('device')} device: cannot use '{device}': {error}") from error
