"""A tree -> objects: the only place where a name of a YAML becomes a thing."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ppmm.config.check import problems_of
from ppmm.config.kinds import Either, Fixed, Items, Kind, Part, Scalar, Section, Table, kind_of
from ppmm.config.node import ConfigNode, Problem, as_tree, plain, raise_problems
from ppmm.config.signature import signature_of
from ppmm.errors import ConfigError
from ppmm.registry import Registry

__all__ = ["build"]

_PER_KEY = "per_key"


def build(value: Any, annotation: Any, injected: Mapping[str, Any] | None = None) -> Any:
    """Build what a tree describes, parts first.

    Parts are built in the order of the signature that takes them. What a part's registry says that it ``provides`` is
    injected into the parts after it in the same signature.

    Args:
        value: a tree, plain mappings and lists, or a scalar; not changed.
        annotation: what it is: a Protocol that has a registry, a dataclass, ``dict[str, Field]``, ``int`` ...
        injected: arguments for the classes whose registry lists them as ``injected``, if they take them and the YAML
            does not give them. ``injected["per_key"][key]`` holds those for the entry ``key`` of any mapping of parts.

    Returns:
        An instance, or a plain dict, list, tuple or scalar.

    Raises:
        ConfigError: the value is not what the annotation says, an argument that must be injected is not available,
            or a constructor refuses its arguments.
    """
    tree = as_tree(value)
    kind = kind_of(annotation)
    raise_problems(problems_of(tree, kind))
    values = dict(injected or {})
    per_key = values.pop(_PER_KEY, {})
    return _construct(tree, kind, _Supply(values, per_key))


@dataclasses.dataclass(frozen=True)
class _Supply:
    """What can be injected at one point of the tree.

    Args:
        values: argument -> value.
        per_key: key of a mapping of parts -> more of them.
        key: the entry of a mapping of parts that is being built, if any.
    """

    values: Mapping[str, Any]
    per_key: Mapping[str, Mapping[str, Any]]
    key: str | None = None

    def plus(self, values: Mapping[str, Any]) -> _Supply:
        return dataclasses.replace(self, values={**self.values, **values})

    def entry(self, key: str) -> _Supply:
        more = self.per_key.get(key, {})
        return dataclasses.replace(self, values={**self.values, **more}, key=key)


def _construct(value: Any, kind: Kind, supply: _Supply) -> Any:
    match kind:
        case Scalar(type=cls):
            return cls(value) if cls in (float, Path) else value
        case Items(of=of, container=container):
            return container(_construct(item, of, supply) for item in value)
        case Fixed(of=of):
            return tuple(_construct(item, each, supply) for item, each in zip(value, of, strict=True))
        case Table(of=of):
            return {key: _construct(item, of, supply.entry(key)) for key, item in value.items()}
        case Either(options=options):
            return _construct(value, _chosen(value, options), supply)
        case Part(registry=registry):
            return _part(value, registry, supply)
        case Section(cls=cls):
            return _call(cls, value, _arguments(value, cls, None, supply), cls.__name__)
    return plain(value)


def _chosen(value: Any, options: tuple[Kind, ...]) -> Kind:
    """The option that a value fits best: that of its very type, so that 3 stays an int under ``float | int``."""
    for option in sorted(options, key=lambda option: option != Scalar(type(value))):
        if next(problems_of(value, option), None) is None:
            return option
    return Scalar(type(value))


def _part(node: ConfigNode, registry: Registry, supply: _Supply) -> Any:
    cls = registry.get(node["name"])
    return _call(cls, node, _arguments(node, cls, registry, supply), node["name"])


def _arguments(node: ConfigNode, cls: type, registry: Registry | None, supply: _Supply) -> dict[str, Any]:
    """Arguments of one constructor, built in its order; ``registry`` is None for a section."""
    signature = signature_of(cls)
    arguments: dict[str, Any] = {}
    for name, parameter in signature.parameters.items():
        is_name = registry is not None and name == "name"
        if name in node and not is_name:
            arguments[name] = _construct(node[name], parameter.kind, supply)
            supply = supply.plus(_provided(arguments[name], parameter.kind))
        elif registry is not None and name in registry.injected:
            if name in supply.values:
                arguments[name] = supply.values[name]
            elif parameter.required:
                raise ConfigError(str(_not_injected(node, name, supply)))
    if signature.rest is not None:
        known = {*arguments, "name"} if registry is not None else set(arguments)
        more = {key: _construct(item, signature.rest, supply) for key, item in node.items() if key not in known}
        arguments.update(more)
    return arguments


def _provided(built: Any, kind: Kind) -> Mapping[str, Any]:
    """What a part, or a mapping or list of parts, offers to the parts after it."""
    if isinstance(kind, Either):
        parts = [option for option in kind.options if _registry_of(option) is not None]
        kind = parts[0] if len(parts) == 1 else kind
    registry = _registry_of(kind)
    if registry is None or registry.provides is None or built is None:
        return {}
    return registry.provides(built)


def _registry_of(kind: Kind) -> Registry | None:
    if isinstance(kind, Table | Items):
        kind = kind.of
    return kind.registry if isinstance(kind, Part) else None


def _not_injected(node: ConfigNode, name: str, supply: _Supply) -> Problem:
    reason = "this field does not provide" if supply.key is not None else "nothing before it provides"
    return Problem(node.origin, node.path, f"{node['name']} needs '{name}', which {reason}")


def _call(cls: type, node: ConfigNode, arguments: dict[str, Any], label: str) -> Any:
    try:
        return cls(**arguments)
    except (ValueError, ArithmeticError, RuntimeError, MemoryError, AssertionError, ConfigError) as error:
        # Libraries raise all of these for a size that cannot be. A constructor knows its arguments, but not where in
        # a file they stand.
        lines = error.problems if isinstance(error, ConfigError) else [str(error).strip() or type(error).__name__]
        raise ConfigError([str(Problem(node.origin, node.path, f"{label}: {line}")) for line in lines]) from error
