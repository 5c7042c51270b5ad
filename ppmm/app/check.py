"""tools/check.py: what a YAML would build, without training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ppmm.app.checkpoints import vocabularies
from ppmm.app.experiment import (
    ClassCounts,
    build_metrics,
    build_model,
    build_objective,
    build_parts,
    build_rows,
    make_loader,
    open_experiment,
)
from ppmm.app.freezing import check_frozen
from ppmm.app.model_checks import check_outputs
from ppmm.app.optimisation import build_optimizer, group_table
from ppmm.app.processes import check_whole_batch
from ppmm.app.train import precision_of, trainer_section
from ppmm.app.transforms import apply_transforms, count_parameters
from ppmm.config import ConfigNode, build
from ppmm.engine.static_forward import check_traceable
from ppmm.engine.step import terms_of
from ppmm.engine.trainer import steps_in_all
from ppmm.engine.weights import trained_parameters
from ppmm.errors import ConfigError, PpmmError
from ppmm.types import Hook

__all__ = ["check_config", "check_configs"]


def check_configs(paths: Sequence[str], overrides: Sequence[str] = (), *, data: bool = True) -> None:
    """`check_config` of each; the problems of all of them are raised together at the end."""
    problems = []
    for path in paths:
        try:
            check_config(path, overrides, data=data)
        except PpmmError as error:
            problems.append(str(error))
    if problems:
        raise ConfigError(problems)


def check_config(path: str, overrides: Sequence[str] = (), *, data: bool = True) -> None:
    """Check a YAML and print parameters, their groups, FLOPs and the shapes of one batch.

    Args:
        data: read one batch of the training split; False checks the YAML alone.

    Raises ConfigError with every problem, or DataError when the data is not there.
    """
    config = open_experiment(path, overrides)
    print(f"{path}: every key is right")
    if data:
        _describe(config)


def _describe(config: ConfigNode) -> None:
    from ppmm.models.flops import count_flops
    from ppmm.models.pretrained import load_pretrained

    rows = build_rows(config, "train")
    parts = build_parts(config, rows)
    model: Any = build_model(config, parts)
    load_pretrained(model)
    objective = build_objective(config, parts, ClassCounts(rows, parts.targets), len(rows))
    vocabularies(parts)
    check_outputs(config, model, build_metrics(config, parts))
    batch = next(make_loader(config, rows, parts).epoch())
    size = len(batch["index"])
    for split in config["data"]:
        print(f"rows of {split:<14} {len(build_rows(config, split)):>12,}")
    flops = count_flops(model, batch) // size
    apply_transforms(model, config)
    hooks: list[Hook] = build(config.get("hooks", []), list[Hook])
    every, trained = count_parameters(model, check_frozen(config, model, hooks))
    print(f"parameters          {every:>12,}")
    print(f"trained at first    {trained:>12,}  ({100 * trained / every:.1f} %)")
    for line in group_table(config, trained_parameters(model, objective)):
        print(line)
    print(f"optimizer steps     {_check_training(config, model, objective, rows, parts):>12,}")
    print(f"FLOPs per sample    {flops:>12,}  (one multiply-add = 1)")
    for name, tensor in batch.items():
        print(f"batch  {name:<16} {tensor.shape!s:<20} {str(tensor.dtype).removeprefix('paddle.')}")
    outputs = model(batch)
    for name, tensor in outputs.items():
        print(f"output {name:<16} {tensor.shape!s:<20} {str(tensor.dtype).removeprefix('paddle.')}")
    for name, value in terms_of(objective, outputs, batch).items():
        print(f"term   {name:<16} {float(value):.4f}, before training")


def _check_training(config: ConfigNode, model: Any, objective: Any, rows: Any, parts: Any) -> int:
    """See that the trainer section fits model, data and, where it is to train here, device; returns the steps in all.

    Raises ConfigError, such as for a warm-up that is longer than the training.
    """
    section = trainer_section(config)
    check_whole_batch(config, objective, section, world=1)
    batches = len(make_loader(config, rows, parts, training=True))
    steps = steps_in_all(batches, section.accumulate, section.epochs, section.max_steps)
    build_optimizer(config, section, model, trained_parameters(model, objective), steps)
    if config.get("device", "cpu") == "cpu":  # a config for a GPU is also checked where there is none
        precision = precision_of(config, "cpu")
        if section.to_static:
            check_traceable(precision)
    return steps
