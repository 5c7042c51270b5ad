"""What names targets in a config: objectives, metrics, samplers; and whether they fit."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from ppmm.config import ConfigNode
from ppmm.registry import FUSIONS, GRADIENT_RULES, METRICS, OBJECTIVES, TARGETS, did_you_mean

__all__ = ["check_targets", "learned_targets", "objective_nodes"]

TARGET_KEYS = ("target", "targets", "key", "keys", "positives", "group", "answer")
"""Arguments of objectives, metrics and samplers that name targets."""
FIELD_KEYS = ("field", "fields", "pairs", "distinct")
"""Arguments of objectives and metrics that name fields."""
GROUPS = ("key", "label")
"""Kinds of target that tell which rows belong together."""


def check_targets(config: ConfigNode) -> Iterator[str]:
    """Every target is used by something that can use its kind, and what is named exists."""
    fields, targets = config["fields"], config["targets"]
    users = [*objective_nodes(config["objective"]), *(("metrics", node) for node in config["metrics"])]
    sampler = config.get("loader", {}).get("sampler")
    users += [("loader.sampler", sampler)] if isinstance(sampler, ConfigNode) else []
    balance = config["trainer"].get("balance")
    users += [("trainer.balance", balance)] if isinstance(balance, ConfigNode) else []
    used: set[str] = set()
    for section, node in users:
        used |= {name for _, name in _named(node, list(node))}  # also arguments of plugins, whatever they are called
        for key, name in _named(node, TARGET_KEYS):
            place = f"{node.place(key)} {section}.{key}: "
            if name not in targets:
                yield f"{place}no such target{did_you_mean(name, targets)}"
                continue
            kind, able = _target_kind(targets[name]), GROUPS if key == "positives" else _target_kinds(section, node)
            if able is not None and kind not in able:
                yield f"{place}'{name}' is of the kind {kind}; {node['name']} needs {' or '.join(able)}"
        for key, name in _named(node, FIELD_KEYS) if section != "loader.sampler" else ():
            if name not in fields:
                yield f"{node.place(key)} {section}.{key}: no field '{name}'{did_you_mean(name, fields)}"
    for target in targets:
        place = f"{targets.place(target)} targets.{target}: "
        if target in ("probabilities", "thresholds"):
            yield f"{place}the name is taken by the {target} of an answer"
        if target in fields:
            yield f"{place}a field has the same name; choose another (a key takes its values with column: {target})"
        if target not in used:
            yield f"{place}neither the objective nor a metric uses it; remove it"
    yield from _check_learned(config)


def _check_learned(config: ConfigNode) -> Iterator[str]:
    """Parts that make sense for some kinds of learned target only, though they name none themselves."""
    targets = config["targets"]
    for section, key, registry in (("model", "fusion", FUSIONS), ("trainer", "balance", GRADIENT_RULES)):
        node = config[section].get(key)
        if not isinstance(node, ConfigNode):
            continue
        able: Sequence[str] = getattr(registry.get(node["name"]), "target_kinds", ())
        named = [node["target"]] if "target" in node else learned_targets(config)
        for name in named if able else ():
            kind = _target_kind(targets[name]) if name in targets else able[0]
            if kind not in able:
                place = f"{config[section].place(key)} {section}.{key}: "
                yield f"{place}{node['name']} needs a target of the kind {' or '.join(able)}, but '{name}' is {kind}"


def objective_nodes(node: ConfigNode, section: str = "objective") -> Iterator[tuple[str, ConfigNode]]:
    """An objective's node and, where it is made of others, theirs."""
    yield section, node
    for key, value in node.items():
        inner = {key: value} if _is_part(value) else value if isinstance(value, ConfigNode) else {}
        for name, part in inner.items():
            if _is_part(part):
                yield from objective_nodes(part, f"{section}.{key}" if part is value else f"{section}.{key}.{name}")


def _is_part(value: Any) -> bool:
    return isinstance(value, ConfigNode) and isinstance(value.get("name"), str)


def _named(node: ConfigNode, keys: Collection[str]) -> Iterator[tuple[str, str]]:
    """(argument, name) for each name that stands in one of these arguments, alone or in (lists of) lists."""
    for key in keys:
        found = [node.get(key)]
        while found:
            value = found.pop(0)
            if isinstance(value, str):
                yield key, value
            elif isinstance(value, list):
                found = [*value, *found]


def _target_kind(node: ConfigNode) -> str:
    return str(getattr(TARGETS.get(node["name"]), "kind", "label"))


def _target_kinds(section: str, node: ConfigNode) -> Collection[str] | None:
    """The kinds of target that an objective or metric says it can use."""
    registry = {"objective": OBJECTIVES, "metrics": METRICS}.get(section.split(".")[0])
    return None if registry is None else getattr(registry.get(node["name"]), "target_kinds", None)


def learned_targets(config: ConfigNode) -> list[str]:
    """The targets that the objective, or one that it is made of, has as its ``target``, in their order."""
    nodes = [node for _, node in objective_nodes(config["objective"])]
    return list(dict.fromkeys(node["target"] for node in nodes if isinstance(node.get("target"), str)))
