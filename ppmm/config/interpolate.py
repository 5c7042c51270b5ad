"""``${a.b.c}`` -> the value that stands there; ``$${`` is a plain ``${``."""

from __future__ import annotations

import re
from typing import Any

from ppmm.config.node import (
    MAX_DEPTH,
    MAX_NODES,
    MAX_TEXT,
    ConfigList,
    ConfigNode,
    Place,
    Problem,
    children,
    find_key,
    join_path,
    raise_problems,
    show,
)
from ppmm.errors import ConfigError

__all__ = ["escape", "interpolate"]

_MARK = re.compile(r"(\$+)\{")
_MAX_CHAIN = 4 * MAX_DEPTH
_BROKEN = object()
"""Value of an entry that has a problem, so that references to it do not report another."""
_Path = tuple[str | int, ...]


def interpolate(root: ConfigNode) -> ConfigNode:
    """A copy of the tree without references.

    A value that is one reference becomes a copy of what it refers to, of any type; a reference inside a longer text
    becomes text.

    Args:
        root: the merged tree; not changed.

    Returns:
        The new tree; paths and origins of its parts are not set yet.

    Raises:
        ConfigError: all references to nothing, in a circle, unclosed, or of a mapping inside a text.
    """
    resolver = _Resolver(root)
    tree = resolver.resolve(root, (), Place())
    raise_problems(resolver.problems)
    assert isinstance(tree, ConfigNode)
    return tree


def escape(text: str) -> str:
    """A text that `interpolate` turns into ``text``."""
    return _MARK.sub(r"$\g<0>", text)


class _Resolver:
    """Resolves entries by their path in the raw tree, each once."""

    def __init__(self, root: ConfigNode) -> None:
        self.problems: list[Problem] = []
        self._root = root
        self._resolved: dict[_Path, Any] = {}
        self._active: dict[_Path, Place | None] = {}  # from the outermost; the place of texts only
        self._nodes = 0
        self._characters = 0

    def resolve(self, raw: Any, path: _Path, place: Place) -> Any:
        """The value of the entry at ``path``, whose raw value is ``raw``."""
        if path in self._resolved:
            return self._resolved[path]
        if path in self._active:
            return self._circle(path)
        if len(self._active) > _MAX_CHAIN:
            raise ConfigError(f"{place} {_dotted(path)}: more than {_MAX_CHAIN} references that refer to each other")
        self._active[path] = place if isinstance(raw, str) else None
        if isinstance(raw, ConfigNode | ConfigList):
            value: Any = type(raw)(origin=raw.origin, path=raw.path)
            for key, item in children(raw):
                value.put(key, self.resolve(item, (*path, key), raw.position(key)), raw.position(key))
        elif isinstance(raw, str):
            value = self._text(raw, path, place)
        else:
            value = raw
        del self._active[path]
        self._resolved[path] = value
        return value

    def _circle(self, path: _Path) -> Any:
        """Report that ``path``, which is being resolved, is needed for itself."""
        active = list(self._active)
        texts = [step for step in active[active.index(path) :] if self._active[step] is not None]
        steps = " -> ".join(_dotted(step) for step in [*texts, path])
        return self._problem(self._active[texts[-1]] or Place(), texts[-1], f"references in a circle: {steps}")

    def _text(self, raw: str, path: _Path, place: Place) -> Any:
        """Value of a text that may hold references."""
        pieces: list[str] = []
        end = 0
        for mark in _MARK.finditer(raw):
            pieces.append(raw[end : mark.start()])
            if len(mark[1]) > 1:
                pieces.append(f"{mark[1][1:]}{{")
                end = mark.end()
                continue
            close = raw.find("}", mark.end())
            if close < 0:
                return self._problem(place, path, "'${' without '}'; for the plain text '${' write '$${'")
            reference = raw[mark.end() : close].strip()
            if "${" in reference:
                return self._problem(place, path, "a '${...}' inside a '${...}'; write the whole path out")
            value = self._refer(reference, path, place)
            end = close + 1
            if mark.start() == 0 and end == len(raw):
                return value
            text = self._as_text(value, raw[mark.start() : end], path, place)
            if text is _BROKEN:
                return text
            pieces.append(text)
        return "".join([*pieces, raw[end:]])

    def _as_text(self, value: Any, reference: str, path: _Path, place: Place) -> Any:
        if value is _BROKEN:
            return value
        if isinstance(value, ConfigNode | ConfigList):
            return self._problem(place, path, f"{reference} is {show(value)}, which cannot be part of a text")
        if value is None:
            return "null"
        text = str(value).lower() if isinstance(value, bool) else str(value)
        self._spend(0, len(text), path, place)
        return text

    def _refer(self, reference: str, path: _Path, place: Place) -> Any:
        """A copy of what a reference refers to."""
        value: Any = self._root
        at: _Path = ()
        where = place
        resolved = False
        for part in reference.split("."):
            if isinstance(value, str) and not resolved:
                value, resolved = self.resolve(value, at, where), True
            if value is _BROKEN:
                return value
            try:
                key = find_key(value, part)
            except LookupError as error:
                inside = f" (in {_dotted(at)})" if at else ""
                return self._problem(place, path, f"'${{{reference}}}' refers to nothing{inside}: {error.args[0]}")
            where = value.position(key)
            value, at = value[key], (*at, key)
        return self._copy(value if resolved else self.resolve(value, at, where), path, place, len(path))

    def _copy(self, value: Any, path: _Path, place: Place, depth: int) -> Any:
        self._spend(1, len(value) if isinstance(value, str) else 0, path, place)
        if depth > MAX_DEPTH:
            raise ConfigError(f"{place} {_dotted(path)}: more than {MAX_DEPTH} levels of nesting")
        if not isinstance(value, ConfigNode | ConfigList):
            return value
        copy: Any = type(value)(origin=value.origin, path=value.path)
        for key, item in children(value):
            copy.put(key, self._copy(item, path, place, depth + 1), value.position(key))
        return copy

    def _spend(self, nodes: int, characters: int, path: _Path, place: Place) -> None:
        """Stop before references that contain references fill the memory."""
        self._nodes += nodes
        self._characters += characters
        if self._nodes > MAX_NODES or self._characters > MAX_TEXT:
            raise ConfigError(f"{place} {_dotted(path)}: references expand to more than {MAX_NODES} entries")

    def _problem(self, place: Place, path: _Path, message: str) -> Any:
        self.problems.append(Problem(place, _dotted(path), message))
        return _BROKEN


def _dotted(path: _Path) -> str:
    dotted = ""
    for key in path:
        dotted = join_path(dotted, key)
    return dotted
