"""A tree against the signatures of what it names: every problem at once, before anything is built."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ppmm.config.advice import advise
from ppmm.config.kinds import (
    Anything,
    Choice,
    Either,
    Fixed,
    Foreign,
    Items,
    Kind,
    Part,
    Scalar,
    Section,
    Table,
)
from ppmm.config.node import ConfigList, ConfigNode, Place, Problem, as_tree, join_path, raise_problems, show
from ppmm.config.schema import Experiment, broken_rule, is_segment
from ppmm.config.signature import Signature, signature_of
from ppmm.errors import ConfigError
from ppmm.registry import Registry, did_you_mean

__all__ = ["check", "cross_check", "problems_of"]


class Where(NamedTuple):
    """Place and path of a value."""

    place: Place
    path: str


def check(node: Any, schema: type) -> None:
    """Compare a tree with a dataclass and, below it, with the constructors of all parts that it names.

    Nothing is built; only the packages of the registries are imported.

    Args:
        node: the tree of `load`.
        schema: a dataclass, such as `Experiment`.

    Raises:
        ConfigError: every problem, in the order of the files.
    """
    tree = as_tree(node)
    problems = list(problems_of(tree, Section(schema)))
    if schema is Experiment and isinstance(tree, ConfigNode):
        problems.extend(cross_check(tree))
    raise_problems(problems)


def cross_check(node: ConfigNode) -> Iterator[Problem]:
    """What no single signature can tell about the tree of an `Experiment`: which names there must and may be."""
    data = node.get("data")
    for split in ("train", "val"):
        if isinstance(data, ConfigNode) and split not in data:
            yield Problem(data.origin, data.path, f"needs '{split}' (dataset){_split_advice(split, data)}")
    for section in ("data", "fields", "targets"):
        names = node.get(section)
        if isinstance(names, ConfigNode):
            yield from _name_problems(names)


def _name_problems(names: ConfigNode) -> Iterator[Problem]:
    for name in names:
        if not is_segment(name):
            message = "a name here is letters, digits, '_', '-' and inner '.' only, since files are named after it"
            yield Problem(names.position(name), join_path(names.path, name), message)


def _split_advice(split: str, data: ConfigNode) -> str:
    usual = {"train": ("training",), "val": ("valid", "validation", "dev", "eval")}[split]
    found = [name for name in usual if name in data]
    return f"; rename '{found[0]}' to '{split}'" if found else ""


def problems_of(value: Any, kind: Kind, where: Where | None = None) -> Iterator[Problem]:
    """Everything that is wrong with a value.

    Args:
        value: a tree of config nodes and lists, or a scalar.
        kind: what it should be.
        where: place and path of the value; a node or list knows its own.
    """
    if where is None:
        where = Where(value.origin, value.path) if isinstance(value, ConfigNode | ConfigList) else Where(Place(), "")
    match kind:
        case Anything():
            return
        case Scalar() | Choice():
            if not _accepts_scalar(value, kind):
                yield _unexpected(value, kind, where)
        case Items() | Fixed():
            yield from _list_problems(value, kind, where)
        case Table():
            yield from _table_problems(value, kind, where)
        case Either():
            yield from _either_problems(value, kind, where)
        case Part():
            yield from _part_problems(value, kind.registry, where)
        case Section():
            yield from _section_problems(value, kind, where)
        case Foreign():
            yield Problem(*where, f"only code can give this argument, a YAML cannot: it is {kind}")


def _unexpected(value: Any, kind: Kind, where: Where) -> Problem:
    return Problem(*where, f"expected {kind}, got {show(value)}{advise(value, kind)}")


def _child(container: ConfigNode | ConfigList, key: str | int, where: Where) -> Where:
    return Where(container.position(key), join_path(where.path, key))


def _accepts_scalar(value: Any, kind: Scalar | Choice) -> bool:
    # Types are compared exactly: bool is a subclass of int, and True == 1.
    if isinstance(kind, Choice):
        return any(type(value) is type(choice) and value == choice for choice in kind.values)
    if kind.type is float and type(value) is int:
        return abs(value) < 1 << 1000  # larger ones do not fit into a float
    return type(value) is (str if kind.type is Path else kind.type)


def _list_problems(value: Any, kind: Items | Fixed, where: Where) -> Iterator[Problem]:
    if not isinstance(value, ConfigList):
        yield _unexpected(value, kind, where)
        return
    if isinstance(kind, Fixed) and len(value) != len(kind.of):
        yield _unexpected(value, kind, where)
        return
    for index, item in enumerate(value):
        of = kind.of[index] if isinstance(kind, Fixed) else kind.of
        yield from problems_of(item, of, _child(value, index, where))


def _table_problems(value: Any, kind: Table, where: Where) -> Iterator[Problem]:
    if not isinstance(value, ConfigNode):
        yield _unexpected(value, kind, where)
        return
    if isinstance(kind.of, Part) and isinstance(value.get("name"), str):
        example = f"{{some_key: {{name: {value['name']}, ...}}}}"
        yield Problem(*where, f"expected a {kind}, got one {kind.of}; write {example}")
        return
    for key, item in value.items():
        yield from problems_of(item, kind.of, _child(value, key, where))


def _either_problems(value: Any, kind: Either, where: Where) -> Iterator[Problem]:
    found = {option: list(problems_of(value, option, where)) for option in kind.options}
    if not all(found.values()):
        return
    if set(kind.options) == {Scalar(str), Scalar(int)} and type(value) is float:
        return  # the type of labels, and a label may be a number
    candidates = [option for option in kind.options if _same_form(value, option)]
    if len(candidates) == 1:
        yield from found[candidates[0]]
    else:
        yield _unexpected(value, kind, where)


def _same_form(value: Any, option: Kind) -> bool:
    """Whether a mapping or list can have been meant as this option, so that what is wrong inside is worth telling."""
    if isinstance(value, ConfigNode):
        return isinstance(option, Table | Part | Section)
    return isinstance(value, ConfigList) and isinstance(option, Items | Fixed)


def _part_problems(value: Any, registry: Registry, where: Where) -> Iterator[Problem]:
    """A mapping with ``name``, and arguments of the class that is registered under it."""
    if not isinstance(value, ConfigNode):
        yield _unexpected(value, Part(registry), where)
        return
    if "name" not in value:
        yield Problem(*where, f"this {registry.kind} has no 'name'{_name_advice(value, registry)}")
        return
    name = value["name"]
    at_name = _child(value, "name", where)
    if not isinstance(name, str):
        yield _unexpected(name, Scalar(str), at_name)
        return
    try:
        cls = registry.get(name)
    except ConfigError as error:
        yield Problem(*at_name, str(error))
        return
    yield from _argument_problems(value, signature_of(cls), f"argument of {name}", where, registry)


def _name_advice(value: ConfigNode, registry: Registry) -> str:
    names = registry.names()
    for key, item in value.items():
        if item is None and key.startswith("name:"):
            return "; put a space after 'name:'"
        if key in names:
            return f"; write {{name: {key}, ...}}"
        if isinstance(item, str) and item in names:
            return f"; is '{key}: {item}' meant to be 'name: {item}'?"
    return f"; there is {', '.join(names)}"


def _section_problems(value: Any, kind: Section, where: Where) -> Iterator[Problem]:
    """A mapping with the fields of a dataclass, and values that keep the rules of the fields."""
    if not isinstance(value, ConfigNode):
        yield _unexpected(value, kind, where)
        return
    signature = signature_of(kind.cls)
    yield from _argument_problems(value, signature, "key", where, None)
    for field in dataclasses.fields(kind.cls):
        parameter = signature.parameters.get(field.name)
        if parameter is None or not field.metadata or field.name not in value:
            continue
        if next(problems_of(value[field.name], parameter.kind), None) is None:  # a rule expects the right type
            broken = broken_rule(field, value[field.name])
            if broken is not None:
                yield Problem(*_child(value, field.name, where), broken)


def _argument_problems(
    node: ConfigNode, signature: Signature, what: str, where: Where, registry: Registry | None
) -> Iterator[Problem]:
    """Keys against parameters, for a part (with its registry) and for a section (without)."""
    ignored = {"name"} if registry is not None else set()
    for key, item in node.items():
        kind = signature.kind(key)
        if key in ignored:
            continue
        if kind is None:
            known = signature.parameters.keys() - ignored
            yield Problem(*_child(node, key, where), f"no such {what}{_key_advice(key, item, known, signature)}")
        else:
            yield from problems_of(item, kind, _child(node, key, where))
    injected = registry.injected if registry is not None else frozenset()
    for parameter in signature.parameters.values():
        if parameter.required and parameter.name not in {*node, *ignored, *injected}:
            owner = f"{node['name']} " if registry is not None else ""
            yield Problem(*where, f"{owner}needs '{parameter.name}' ({parameter.kind})")


def _key_advice(key: str, item: Any, known: Collection[str], signature: Signature) -> str:
    if item is None and ":" in key:
        return "; put a space after ':'"
    for parameter in signature.parameters.values():
        if isinstance(parameter.kind, Section) and key in signature_of(parameter.kind.cls).parameters:
            return f"; it belongs under '{parameter.name}'"
    return did_you_mean(key, known) if known else "; it takes none"
