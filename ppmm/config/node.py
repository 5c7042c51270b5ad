"""The tree of a config: mappings and lists that know where each of their entries was written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from ppmm.errors import ConfigError
from ppmm.registry import did_you_mean

__all__ = [
    "MAX_DEPTH",
    "MAX_NODES",
    "MAX_TEXT",
    "NOWHERE",
    "ConfigList",
    "ConfigNode",
    "Place",
    "Problem",
    "as_tree",
    "children",
    "find_key",
    "join_path",
    "locate",
    "plain",
    "raise_problems",
    "show",
]

MAX_DEPTH = 64
"""Levels of mappings and lists. Far more than a person writes, far fewer than Python's own recursion limit."""
MAX_NODES = 100_000
"""Entries that a config may have once its aliases are expanded, and again once its references are."""
MAX_TEXT = 1 << 22
"""Characters that its texts may have then, all together."""


class Place(NamedTuple):
    """Where an entry was written: a file and its line, or an override (``-o a.b``, which has no line)."""

    file: str = ""
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


NOWHERE = Place()


class Problem(NamedTuple):
    """One thing that is wrong, at a place of a file and a dotted path of the tree."""

    place: Place
    path: str
    message: str

    def __str__(self) -> str:
        place = str(self.place)
        # The place of an override is its path: naming it twice would only make the line longer.
        path = "" if place == f"-o {self.path}" else self.path
        where = " ".join(part for part in (place, path) if part)
        return f"{where}: {self.message}" if where else self.message

    def order(self) -> tuple[bool, str, int]:
        """Sort key: by file and line, overrides last."""
        return self.place.file.startswith("-o"), self.place.file, self.place.line


def raise_problems(problems: Iterable[Problem]) -> None:
    """Raise one ConfigError that lists all ``problems`` in the order of the files; do nothing when there are none."""
    lines = [str(problem) for problem in sorted(problems, key=Problem.order)]
    if lines:
        raise ConfigError(list(dict.fromkeys(lines)))


class _Placed:
    """What mappings and lists share: their own place and path, and the place of each entry."""

    def __init__(self, origin: Place, path: str) -> None:
        self.origin = origin
        self.path = path
        self._places: dict[str | int, Place] = {}

    def position(self, key: str | int) -> Place:
        """Where ``key`` was written; for an absent key, where the whole was."""
        return self._places.get(key, self.origin)

    def place(self, key: str | int) -> str:
        """`position` as text: ``quickstart.yaml:9``, or ``-o model.dim`` for an override."""
        return str(self.position(key))


class ConfigNode(_Placed, dict[str, Any]):
    """A mapping of a config.

    Args:
        items: its entries.
        origin: where the mapping itself was written (the line of its key).
        path: its dotted path from the root, ``""`` for the root.
    """

    def __init__(self, items: Mapping[str, Any] | None = None, origin: Place = NOWHERE, path: str = "") -> None:
        _Placed.__init__(self, origin, path)
        dict.__init__(self, items or {})

    def put(self, key: str, value: Any, place: Place) -> None:
        """Set an entry together with its place."""
        self[key] = value
        self._places[key] = place


class ConfigList(_Placed, list[Any]):
    """A list of a config; arguments as for `ConfigNode`."""

    def __init__(self, items: Iterable[Any] = (), origin: Place = NOWHERE, path: str = "") -> None:
        _Placed.__init__(self, origin, path)
        list.__init__(self, items)

    def put(self, index: int, value: Any, place: Place) -> None:
        """Set an entry, or append one when ``index`` is the length, together with its place."""
        self[index : index + 1] = [value]
        self._places[index] = place


def join_path(path: str, key: str | int) -> str:
    """Dotted path of an entry."""
    return f"{path}.{key}" if path else str(key)


def children(container: ConfigNode | ConfigList) -> Iterator[tuple[Any, Any]]:
    """Keys (or indices) and values."""
    return iter(container.items()) if isinstance(container, ConfigNode) else enumerate(container)


def locate(container: ConfigNode | ConfigList) -> None:
    """Tell every mapping and list below ``container`` its path and origin, after entries were merged or moved."""
    for key, value in children(container):
        if isinstance(value, ConfigNode | ConfigList):
            value.origin = container.position(key)
            value.path = join_path(container.path, key)
            locate(value)


def as_tree(value: Any) -> Any:
    """``value`` with plain mappings and lists (of a JSON file, of a test) copied into config ones; a tree as it is."""
    if _is_tree(value):
        return value
    tree = _wrap(value)
    locate(tree)
    return tree


def _is_tree(value: Any) -> bool:
    if isinstance(value, ConfigNode | ConfigList):
        return all(_is_tree(item) for _, item in children(value))
    return not isinstance(value, Mapping | list | tuple)


def _wrap(value: Any) -> Any:
    if not isinstance(value, Mapping | list | tuple):
        return value
    known = value if isinstance(value, ConfigNode | ConfigList) else _Placed(NOWHERE, "")
    if isinstance(value, Mapping):
        node = ConfigNode(origin=known.origin, path=known.path)
        for key, item in value.items():
            node.put(str(key), _wrap(item), known.position(key))
        return node
    items = ConfigList(origin=known.origin, path=known.path)
    for index, item in enumerate(value):
        items.put(index, _wrap(item), known.position(index))
    return items


def plain(value: Any) -> Any:
    """A deep copy made of plain dicts and lists."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def find_key(container: Any, part: str) -> str | int:
    """The key, or the index, that one part of a dotted path names in ``container``.

    Raises:
        LookupError: there is none; the message says what there is instead.
    """
    if isinstance(container, ConfigNode):
        if part in container:
            return part
        raise LookupError(f"no key '{part}'{did_you_mean(part, container)}")
    if isinstance(container, ConfigList):
        if re.fullmatch(r"[0-9]{1,6}", part) and int(part) < len(container):
            return int(part)
        size = len(container)
        has = f"items 0 to {size - 1}" if size else "no items"
        raise LookupError(f"no item '{part}' in a list that has {has}")
    raise LookupError(f"no key '{part}' in {show(container)}, which is not a mapping")


def show(value: Any) -> str:
    """A value as messages write it: ``'wide' (str)``, ``3.0 (float)``, ``null``, ``a mapping``."""
    if value is None:
        return "null"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    text = text if len(text) <= 60 else f"{text[:45]}...{text[-10:]}"
    return f"{text} ({type(value).__name__})"
