"""Annotations of constructors -> the kinds of value that a YAML may give for them."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping, MutableMapping, MutableSequence, Sequence
from pathlib import Path
from typing import Any, Literal

from ppmm import registry
from ppmm.registry import Registry

__all__ = [
    "Anything",
    "Choice",
    "Either",
    "Fixed",
    "Foreign",
    "Items",
    "Kind",
    "Part",
    "Scalar",
    "Section",
    "Table",
    "kind_of",
]


@dataclasses.dataclass(frozen=True)
class Anything:
    """``Any``, ``object`` or no annotation: whatever the YAML says, as plain values."""

    def __str__(self) -> str:
        return "anything"


@dataclasses.dataclass(frozen=True)
class Scalar:
    """``int``, ``float``, ``bool``, ``str``, ``Path`` or ``None``."""

    type: type

    def __str__(self) -> str:
        return {types.NoneType: "null", Path: "path"}.get(self.type, self.type.__name__)


@dataclasses.dataclass(frozen=True)
class Choice:
    """``Literal[...]``."""

    values: tuple[Any, ...]

    def __str__(self) -> str:
        return " or ".join(repr(value) for value in self.values)


@dataclasses.dataclass(frozen=True)
class Items:
    """``list[T]``, ``Sequence[T]``, and ``tuple[T, ...]``, for which ``container`` is tuple."""

    of: Kind
    container: type = list

    def __str__(self) -> str:
        return "list" if isinstance(self.of, Anything) else f"list of {self.of}"


@dataclasses.dataclass(frozen=True)
class Fixed:
    """``tuple[S, T]``."""

    of: tuple[Kind, ...]

    def __str__(self) -> str:
        return f"list of {len(self.of)} ({', '.join(map(str, self.of))})"


@dataclasses.dataclass(frozen=True)
class Table:
    """``dict[str, T]``, ``Mapping[str, T]``: keys chosen by the user."""

    of: Kind

    def __str__(self) -> str:
        return "mapping" if isinstance(self.of, Anything) else f"mapping of {self.of}"


@dataclasses.dataclass(frozen=True)
class Either:
    """``S | T``."""

    options: tuple[Kind, ...]

    def __str__(self) -> str:
        return " or ".join(map(str, self.options))


@dataclasses.dataclass(frozen=True)
class Part:
    """A Protocol that has a registry: ``{name: ..., argument: ...}``."""

    registry: Registry

    def __str__(self) -> str:
        return self.registry.kind


@dataclasses.dataclass(frozen=True)
class Section:
    """A dataclass: a mapping whose keys are its fields."""

    cls: type

    def __str__(self) -> str:
        return "mapping"


@dataclasses.dataclass(frozen=True)
class Foreign:
    """Anything else: only code can give it."""

    text: str

    def __str__(self) -> str:
        return self.text


Kind = Anything | Scalar | Choice | Items | Fixed | Table | Either | Part | Section | Foreign

_SCALARS = (int, float, bool, str, Path, types.NoneType)
_LISTS = (list, Sequence, MutableSequence)
_MAPPINGS = (dict, Mapping, MutableMapping)


def kind_of(annotation: Any) -> Kind:
    """The kind of a resolved annotation."""
    if annotation is Any or annotation is object:
        return Anything()
    if annotation is None:
        return Scalar(types.NoneType)
    origin = typing.get_origin(annotation)
    if origin is None:
        return _of_class(annotation)
    arguments = typing.get_args(annotation)
    if not arguments:  # typing.List and its like
        return _of_class(origin)
    if origin is Literal:
        return Choice(arguments)
    if origin in (typing.Union, types.UnionType):
        return _of_union(arguments)
    if origin is tuple:
        return _of_tuple(arguments)
    if origin in _LISTS:
        return Items(kind_of(arguments[0]))
    if origin in _MAPPINGS and arguments[0] in (str, Any):
        return Table(kind_of(arguments[1]))
    return Foreign(str(annotation))


def _of_class(annotation: Any) -> Kind:
    if not isinstance(annotation, type):
        return Foreign(str(annotation))
    if annotation in registry.REGISTRIES:
        return Part(registry.REGISTRIES[annotation])
    if annotation in _SCALARS:
        return Scalar(annotation)
    if annotation in _LISTS:
        return Items(Anything())
    if annotation in _MAPPINGS:
        return Table(Anything())
    if annotation is tuple:
        return Items(Anything(), tuple)
    if dataclasses.is_dataclass(annotation):
        return Section(annotation)
    return Foreign(annotation.__name__)


def _of_tuple(arguments: tuple[Any, ...]) -> Kind:
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return Items(kind_of(arguments[0]), tuple)
    return Fixed(tuple(kind_of(argument) for argument in arguments))


def _of_union(arguments: tuple[Any, ...]) -> Kind:
    options = tuple(kind_of(argument) for argument in arguments)
    return Anything() if Anything() in options else Either(options)
