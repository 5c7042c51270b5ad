"""``-o a.b.c=value``: change entries of a tree from the command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ppmm.config.node import ConfigList, ConfigNode, Place, find_key, join_path
from ppmm.config.parse import parse
from ppmm.errors import ConfigError

__all__ = ["apply_overrides"]


def apply_overrides(root: ConfigNode, overrides: Sequence[str]) -> None:
    """Set entries of ``root``, in order, so that the last of two for the same key counts.

    The last key of a path may be new where its mapping exists, so that an argument which the YAML leaves to its
    default can be given; whether the argument exists is for `check` to say.

    Args:
        root: the tree before references are resolved; changed in place.
        overrides: ``a.b.c=value`` each; the value is YAML, and a number is the index of a list.

    Raises:
        ConfigError: all overrides that cannot be applied.
    """
    problems: list[str] = []
    for override in overrides:
        try:
            _apply(root, override)
        except ConfigError as error:
            problems.extend(error.problems)
    if problems:
        raise ConfigError(problems)


def _apply(root: ConfigNode, override: str) -> None:
    path, equals, text = override.partition("=")
    path = path.strip()
    if not equals:
        raise ConfigError(f"-o {override}: no '='; write -o key=value without spaces")
    parts = path.split(".")
    if not all(parts):
        raise ConfigError(f"-o {override}: '{path}' has an empty key; write -o a.b=value")
    place = Place(f"-o {path}")
    value = _value(text, place)
    try:
        _set(root, parts, value, place)
    except LookupError as error:
        raise ConfigError(f"{place}: {error.args[0]}") from error


def _value(text: str, place: Place) -> Any:
    try:
        return parse(text, place.file, numbered=False)
    except ConfigError as error:
        # The shell splits at spaces and eats quotes and braces, which is the usual reason for half a value.
        advice = f" (the value is {text!r}; in a shell, put the whole override in single quotes)"
        raise ConfigError([problem + advice for problem in error.problems]) from error


def _set(root: ConfigNode, parts: list[str], value: Any, place: Place) -> None:
    """Walk to the mapping or list that holds the last part, and set it there. Raises LookupError."""
    container: Any = root
    path = ""
    for depth, part in enumerate(parts[:-1]):
        key = _find_parent(container, part, path, parts[depth + 1 :])
        container, path = container[key], join_path(path, key)
    last = parts[-1]
    if isinstance(container, ConfigNode):
        container.put(last, value, place)
        return
    try:
        index = find_key(container, last)
    except LookupError as error:
        raise LookupError(f"{path}: {error.args[0]}{_reference_advice(container, [last])}") from error
    if isinstance(container, ConfigList) and isinstance(index, int):
        container.put(index, value, place)


def _find_parent(container: Any, part: str, path: str, rest: list[str]) -> str | int:
    try:
        return find_key(container, part)
    except LookupError as error:
        where = f"{path}: " if path else ""
        advice = _reference_advice(container, [part, *rest])
        if isinstance(container, ConfigNode) and "did you mean" not in error.args[0]:
            advice = f"; to add it whole, write -o '{join_path(path, part)}={{{rest[0]}: ...}}'"
        raise LookupError(f"{where}{error.args[0]}{advice}") from error


def _reference_advice(container: Any, parts: list[str]) -> str:
    """Where to override instead, when the path runs into ``${a.b}``, which is resolved only after the overrides."""
    if isinstance(container, str) and container.startswith("${") and container.endswith("}"):
        return f"; override {'.'.join([container[2:-1].strip(), *parts])} instead"
    return ""
