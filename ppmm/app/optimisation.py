"""The optimizer, schedule and clip sections of a YAML -> objects, and a table of the parameter groups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ppmm.config import ConfigNode, TrainerSection, build
from ppmm.engine.step import scheduled
from ppmm.errors import ConfigError
from ppmm.types import Optimizer, Schedule

__all__ = ["build_optimizer", "group_table"]

Named = Sequence[tuple[str, Any]]


def build_optimizer(
    config: ConfigNode, section: TrainerSection, model: Any, parameters: Named, total_steps: int
) -> tuple[Any, Any]:
    """A paddle optimizer over ``parameters`` (structured name, tensor), and its scheduler.

    Args:
        section: has what is clipped.
        model: what the parameters are of.
        total_steps: optimizer steps of the whole training.

    Raises ConfigError when the schedule does not fit into the training, or a pattern matches no parameter.
    """
    from ppmm.optim.clipping import make_clip

    recipe: Optimizer = build(config["optimizer"], Optimizer)
    schedule: Schedule = build(config["schedule"], Schedule)
    try:
        scheduler = scheduled(recipe.learning_rate, lambda step: schedule(step, total_steps))
    except ValueError as error:
        raise ConfigError(f"{config.place('schedule')} schedule: {error}") from error
    clip = make_clip(model, parameters, section.clip_norm, section.clip_value, section.clip_adaptive)
    try:
        return recipe.build(parameters, scheduler, clip), scheduler
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{config.place('optimizer')} optimizer: {error}") from error


def group_table(config: ConfigNode, parameters: Named) -> Iterator[str]:
    """A line for each parameter group: pattern, factor on the rate, weight decay, tensors and numbers in it.

    Nothing for an optimizer of a plugin that has no rules. Raises ConfigError when a pattern matches no parameter.
    """
    recipe: Any = build(config["optimizer"], Optimizer)
    rules = getattr(recipe, "rules", None)
    if rules is None:
        return
    try:
        treatments = rules.treatments(parameters)
    except ValueError as error:
        raise ConfigError(f"{config.place('optimizer')} optimizer: {error}") from error
    groups: dict[Any, list[int]] = {}
    for name, parameter in parameters:
        key = None if parameter.stop_gradient else treatments[name]
        groups.setdefault(key, []).append(int(parameter.size))
    for key, sizes in groups.items():
        counts = f"{sum(sizes):>12,} in {len(sizes)} tensors"
        if key is None:
            yield f"group  {'not trained':<50} {counts}"
        else:
            yield f"group  {key.label:<24} rate x{key.rate:<8.4g} decay {key.decay:<8.4g} {counts}"
