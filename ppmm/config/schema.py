"""The sections of an experiment's YAML: one frozen dataclass each, whose fields are the legal keys."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal

from ppmm.types import (
    Average,
    BatchAugmentation,
    Compressor,
    Dataset,
    Field,
    GradientRule,
    Hook,
    Metric,
    Model,
    Objective,
    Optimizer,
    Sampler,
    Schedule,
    Target,
    Transform,
)

__all__ = ["Experiment", "ExportSection", "LoaderSection", "TrainerSection", "broken_rule", "is_segment"]

_RULE = "rule"
_Rule = Callable[[Any], str | None]


def is_segment(text: str) -> bool:
    """Whether a name can be one part of a path: no slash, no space, not hidden, not ``..``."""
    return re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", text) is not None


def broken_rule(field: dataclasses.Field[Any], value: Any) -> str | None:
    """What is wrong with the value of a dataclass field, beyond its type; None when nothing is."""
    rule: _Rule | None = field.metadata.get(_RULE)
    return None if rule is None or value is None else rule(value)


@dataclasses.dataclass(frozen=True)
class _Ruled:
    """Base of the sections: values that break a rule raise ValueError, also when code makes the section."""

    def __post_init__(self) -> None:
        broken = [
            f"{field.name} {problem}"
            for field in dataclasses.fields(self)
            if (problem := broken_rule(field, getattr(self, field.name))) is not None
        ]
        if broken:
            raise ValueError("; ".join(broken))


def _rule(is_good: Callable[[Any], bool], demand: str) -> Mapping[str, _Rule]:
    """Metadata of a field: a value that is not good ``must <demand>``."""

    def check(value: Any) -> str | None:
        return None if is_good(value) else f"must {demand}, got {value!r}"

    return {_RULE: check}


def _at_least(least: int) -> Mapping[str, _Rule]:
    return _rule(lambda value: value >= least, f"be at least {least}")


_POSITIVE = _rule(lambda value: 0 < value < math.inf, "be above 0 and finite")
_SEGMENT = _rule(is_segment, "be letters, digits, '_', '-' and inner '.' only, since a folder is named after it")
_TEXT = _rule(lambda value: bool(value.strip()), "not be empty")
_SEED = _rule(lambda value: 0 <= value < 1 << 32, "be from 0 to 4294967295, the range of NumPy's seeds")


def _dropout(value: float | Mapping[str, float]) -> str | None:
    for key, chance in value.items() if isinstance(value, Mapping) else (("", value),):
        if not 0 <= chance < 1:
            of = f" for {key}" if key else ""
            return f"must be a probability from 0 to below 1, got {chance!r}{of}"
    return None


def _device(value: str) -> str | None:
    if value.startswith("cuda"):
        return f"must be a device of Paddle, got {value!r}; write {value.replace('cuda', 'gpu', 1)!r}"
    if not re.fullmatch(r"[a-z][a-z0-9_]*(:[0-9]+)?", value):
        return f"must be a device of Paddle such as 'cpu', 'gpu' or 'gpu:0', got {value!r}"
    return None


@dataclasses.dataclass(frozen=True)
class LoaderSection(_Ruled):
    """How samples become batches.

    Args:
        batch_size: samples per step.
        workers: processes that read; 0 reads in the training process.
        modality_dropout: chance to withhold a field from a training sample, one for all fields or by field.
        drop_last: whether an incomplete last batch of training is left out.
        mix: mixup, cutmix: one of the list mixes the rows of each training batch.
        sampler: the order of training, where it is not a plain shuffle.
        bucket_by: a field or column of the training split; samples alike long in it share batches.
        bucket_window: batches among which they are looked for.
        on_error: of a row that cannot be read: ``raise`` ends the run, ``skip`` leaves it out, ``quarantine`` also
            lists it with the reason in ``quarantine.jsonl`` of the run.
        max_bad_rows: with more of them the run ends all the same.
    """

    batch_size: int = dataclasses.field(default=64, metadata=_at_least(1))
    workers: int = dataclasses.field(default=0, metadata=_at_least(0))
    modality_dropout: dict[str, float] | float = dataclasses.field(default=0.0, metadata={_RULE: _dropout})
    drop_last: bool = False
    mix: list[BatchAugmentation] = dataclasses.field(default_factory=list)
    sampler: Sampler | None = None
    bucket_by: str | None = dataclasses.field(default=None, metadata=_TEXT)
    bucket_window: int = dataclasses.field(default=50, metadata=_at_least(1))
    on_error: Literal["raise", "skip", "quarantine"] = "raise"
    max_bad_rows: int = dataclasses.field(default=100, metadata=_at_least(0))


@dataclasses.dataclass(frozen=True)
class TrainerSection(_Ruled):
    """How long and how to train.

    Args:
        epochs: passes over the training split.
        max_steps: optimizer steps after which training ends earlier.
        clip_norm: largest global norm of the gradients; null clips nothing.
        clip_value: largest absolute value of an entry of a gradient, in place of clip_norm.
        clip_adaptive: largest norm of a unit's gradient as a share of that of its weights (adaptive gradient clipping),
            in place of clip_norm; the head is left alone.
        accumulate: batches per optimizer step.
        monitor: the metric that decides which checkpoint is best.
        mode: whether more or less of it is better.
        log_every: steps between two lines of the log.
        save_every: steps between two saves within an epoch; null saves at its end only.
        balance: changes gradients before each update, so that no field outruns the others.
        precision: number formats of a step: float32, or bfloat16 or float16 where Paddle's lists allow it (O1), or
            almost everywhere with float32 master weights (``_o2``).
        to_static: train the traced graph of the model.
        channels_last: on a GPU, convolutions in the layout of its tensor cores.
        profile: write a Chrome trace and a table of where the time of some steps went.
        gradient_cache: the batches of one optimizer step are one batch for the objective (Gao et al. 2021).
        average: an average of the weights over the steps, which is evaluated and saved in place of the last ones.
        sharding: in several processes, each keeps the optimizer's state of a share of the parameters only (ZeRO stage
            1); the weights are the same bit for bit.
        sam: radius of sharpness-aware minimisation (Foret et al. 2021).
    """

    epochs: int = dataclasses.field(metadata=_at_least(1))
    max_steps: int | None = dataclasses.field(default=None, metadata=_at_least(1))
    clip_norm: float | None = dataclasses.field(default=None, metadata=_POSITIVE)
    clip_value: float | None = dataclasses.field(default=None, metadata=_POSITIVE)
    clip_adaptive: float | None = dataclasses.field(default=None, metadata=_POSITIVE)
    accumulate: int = dataclasses.field(default=1, metadata=_at_least(1))
    monitor: str = dataclasses.field(default="accuracy", metadata=_TEXT)
    mode: Literal["max", "min"] = "max"
    log_every: int = dataclasses.field(default=10, metadata=_at_least(1))
    save_every: int | None = dataclasses.field(default=None, metadata=_at_least(1))
    balance: GradientRule | None = None
    precision: Literal["fp32", "bf16", "bf16_o2", "fp16", "fp16_o2"] = "fp32"
    to_static: bool = False
    channels_last: bool = False
    profile: bool = False
    gradient_cache: bool = False
    average: Average | None = None
    sharding: bool = False
    sam: float | None = dataclasses.field(default=None, metadata=_POSITIVE)


@dataclasses.dataclass(frozen=True)
class TensorRtSection(_Ruled):
    """TensorRT in a bundle that has a graph for it.

    Args:
        precision: ``fp32`` or ``fp16`` of a float32 graph; an INT8 graph is computed in INT8.
        workspace_mb: memory that the search for kernels may take.
        max_batch: rows of the largest batch.
    """

    precision: Literal["fp32", "fp16"] = "fp16"
    workspace_mb: int = dataclasses.field(default=1024, metadata=_at_least(1))
    max_batch: int = dataclasses.field(default=32, metadata=_at_least(1))


@dataclasses.dataclass(frozen=True)
class ExportSection(_Ruled):
    """What an exported graph must prove.

    Args:
        split: the data that goes through both the trained model and the graph.
        samples: how many of its rows.
        tolerance: largest absolute difference of an output in float32.
        max_drop: how much worse the monitored metric may be in bf16 and INT8, in its own unit, for any set of fields.
        calibration: rows of the split on which INT8 measures its ranges.
        algorithm: how it finds them, see `ppmm.compress.post_training.PostTraining`.
        golden: samples that travel in the bundle with the model's answers, for the self-test on other machines; whoever
            has the bundle can see them. 0 for none.
        tensorrt: how a bundle with ``--tensorrt`` computes on a GPU.
    """

    split: str = dataclasses.field(default="val", metadata=_TEXT)
    samples: int = dataclasses.field(default=32, metadata=_at_least(1))
    tolerance: float = dataclasses.field(default=1e-4, metadata=_POSITIVE)
    max_drop: float = dataclasses.field(default=0.01, metadata=_POSITIVE)
    calibration: int = dataclasses.field(default=256, metadata=_at_least(1))
    algorithm: Literal["abs_max", "avg", "hist", "KL", "mse"] = "hist"
    golden: int = dataclasses.field(default=4, metadata=_at_least(0))
    tensorrt: TensorRtSection = dataclasses.field(default_factory=TensorRtSection)


@dataclasses.dataclass(frozen=True)
class Experiment(_Ruled):
    """A whole YAML.

    Args:
        name: names the run; it writes to ``<output>/<name>``.
        data: a dataset for each split; ``train`` and ``val`` are needed, the others are evaluated.
        fields: the inputs of the model, by name.
        targets: what it learns, by name.
        model: the model, with its parts.
        objective: the loss.
        optimizer: the optimizer and the base learning rate.
        schedule: the factor on that rate over time.
        metrics: what is measured on every split.
        trainer: see `TrainerSection`.
        loader: see `LoaderSection`.
        adapt: changes of the model before training, such as LoRA.
        hooks: what else happens during training.
        compress: the steps of ``tools/compress.py``, in their order.
        export: see `ExportSection`.
        seed: of initialisation, shuffling and augmentation.
        device: where to compute: ``cpu``, ``gpu``, ``gpu:0``.
        threads: CPU threads of one operator.
        plugins: modules outside ppmm that register parts.
        output: folder of all runs.
    """

    name: str = dataclasses.field(metadata=_SEGMENT)
    data: dict[str, Dataset]
    fields: dict[str, Field]
    targets: dict[str, Target]
    model: Model
    objective: Objective
    optimizer: Optimizer
    schedule: Schedule
    metrics: list[Metric]
    trainer: TrainerSection
    loader: LoaderSection = dataclasses.field(default_factory=LoaderSection)
    adapt: list[Transform] = dataclasses.field(default_factory=list)
    hooks: list[Hook] = dataclasses.field(default_factory=list)
    compress: list[Compressor] = dataclasses.field(default_factory=list)
    export: ExportSection = dataclasses.field(default_factory=ExportSection)
    seed: int = dataclasses.field(default=0, metadata=_SEED)
    device: str = dataclasses.field(default="cpu", metadata={_RULE: _device})
    threads: int = dataclasses.field(default=1, metadata=_at_least(1))
    plugins: list[str] = dataclasses.field(default_factory=list)
    output: str = dataclasses.field(default="output", metadata=_TEXT)
