"""Changes of the model before training (``adapt:``), written to checkpoints and made again when one is read."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from ppmm.config import ConfigNode, build
from ppmm.config.node import plain
from ppmm.errors import CheckpointError, ConfigError
from ppmm.types import Transform

__all__ = ["apply_transforms", "count_parameters", "replay_transforms", "sizes_before"]

Records = list[dict[str, Any]]
"""One ``{name, args, shapes}`` per transform: its name, its arguments, and the arrays that it added or reshaped."""


def apply_transforms(model: Any, config: ConfigNode, done: Sequence[dict[str, Any]] = ()) -> Records:
    """Change ``model`` as ``adapt:`` says, in its order; returns what a manifest keeps.

    Those that are ``done`` to it, by the checkpoint with which training begins, are not done again.

    Raises ConfigError that says where in the YAML.
    """
    records = list(done)
    before = [(record["name"], record["args"]) for record in done]
    for number, node in enumerate(config.get("adapt", [])):
        arguments = {key: value for key, value in plain(node).items() if key != "name"}
        if (node["name"], arguments) in before:
            before.remove((node["name"], arguments))
            continue
        transform = build(node, Transform)
        try:
            shapes = _apply(model, transform)
        except ConfigError as error:
            raise ConfigError(f"{config['adapt'].place(number)} adapt[{number}] {error}") from error
        records.append({"name": node["name"], "args": arguments, "shapes": shapes})
    return records


def replay_transforms(model: Any, records: Any, source: str) -> None:
    """Change a newly built model as a manifest's ``transforms`` say. Raises CheckpointError."""
    if not isinstance(records, Sequence) or not all(isinstance(record, dict) for record in records):
        raise CheckpointError(f"{source}: the transforms of its manifest are not a list of transforms")
    for record in records:
        try:
            node = {"name": record["name"], **record["args"]}
            shapes = _apply(model, build(node, Transform))
        except (ConfigError, KeyError, TypeError) as error:
            raise CheckpointError(f"{source}: its transforms cannot be made again: {error}") from error
        if shapes != record.get("shapes"):
            raise CheckpointError(
                f"{source}: {record['name']} gives other shapes than when it was trained; was it another version?"
            )


def sizes_before(records: Any, source: str) -> dict[str, dict[str, int]]:
    """What fields provided when the model of a manifest's ``transforms`` was built, where it is less now: the first of
    several prunings of a vocabulary tells. Raises CheckpointError."""
    sizes: dict[str, dict[str, int]] = {}
    for record in records if isinstance(records, Sequence) else ():
        if isinstance(record, dict) and record.get("name") == "vocabulary":
            try:
                sizes.setdefault(str(record["args"]["field"]), {"vocab_size": int(record["args"]["before"])})
            except (KeyError, TypeError, ValueError) as error:
                raise CheckpointError(f"{source}: its transforms cannot be made again: {error}") from error
    return sizes


def count_parameters(model: Any, trained: Collection[str]) -> tuple[int, int]:
    """All parameters, and those of the ``trained`` names."""
    sizes = {name: int(parameter.size) for name, parameter in model.named_parameters()}
    return sum(sizes.values()), sum(size for name, size in sizes.items() if name in trained)


def _apply(model: Any, transform: Any) -> dict[str, list[int]]:
    before = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    transform(model)
    after = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    return {name: shape for name, shape in after.items() if before.get(name) != shape}
