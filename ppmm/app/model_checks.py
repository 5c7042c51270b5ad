"""Whether a model that was built can be trained, and gives what the metrics of its config read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ppmm.config import ConfigNode
from ppmm.errors import ConfigError
from ppmm.types import Metric

__all__ = ["check_outputs", "check_sizes"]


def check_sizes(config: ConfigNode, model: Any) -> None:
    """Raises ConfigError where a size of 0 left a weight without values, or a dropout is no share."""
    from paddle import nn

    problems = [
        f"{name} would have the shape {list(parameter.shape)}; sizes must be at least 1"
        for name, parameter in model.named_parameters()
        if 0 in parameter.shape
    ]
    for name, layer in model.named_sublayers():
        if isinstance(layer, nn.Dropout | nn.Dropout2D | nn.Dropout3D) and not 0 <= layer.p < 1:
            problems.append(f"{name} has a dropout of {layer.p:g}; it must be at least 0 and below 1")
    if problems:
        raise ConfigError([f"{config.place('model')} model: {problem}" for problem in problems])


def check_outputs(config: ConfigNode, model: Any, metrics: Sequence[Metric], objective: Any = None) -> None:
    """Raises ConfigError where a metric or the objective reads an output that an evaluated model does not give."""
    problems = []
    for name in _read_by(objective):
        if name not in model.outputs:
            problems.append(
                f"{config.place('objective')} objective: a term reads '{name}', but {config['model']['name']} gives "
                f"{', '.join(model.outputs)}"
            )
    for number, (node, metric) in enumerate(zip(config["metrics"], metrics, strict=True)):
        logits = getattr(metric, "logits", None)
        wanted = [logits] if isinstance(logits, str) else [f"{field}_embed" for field in getattr(metric, "fields", ())]
        lacking = [name for name in wanted if name not in model.outputs]
        if lacking:
            problems.append(
                f"{config.place('metrics')} metrics.{number}: {node['name']} reads '{lacking[0]}', but "
                f"{config['model']['name']} gives {', '.join(model.outputs)}"
            )
    if problems:
        raise ConfigError(problems)


def _read_by(objective: Any) -> Iterator[str]:
    """The outputs that an objective, or one that it is made of, states that it ``reads``."""
    from paddle import nn

    for layer in objective.sublayers(include_self=True) if isinstance(objective, nn.Layer) else (objective,):
        yield from getattr(layer, "reads", ())
