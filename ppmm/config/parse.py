"""YAML text -> tree. PyYAML finds the syntax; types, places, limits and messages are ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import yaml

from ppmm.config.node import (
    MAX_DEPTH,
    MAX_NODES,
    MAX_TEXT,
    ConfigList,
    ConfigNode,
    Place,
    Problem,
    join_path,
    raise_problems,
)
from ppmm.config.scalars import CORE, MERGE_TAG, SCALAR_TAGS, read_scalar
from ppmm.config.syntax import explain
from ppmm.errors import ConfigError

__all__ = ["parse"]

_MAP_TAG = "tag:yaml.org,2002:map"
_SEQ_TAG = "tag:yaml.org,2002:seq"


def parse(text: str, file: str, *, numbered: bool = True) -> Any:
    """Read one YAML document.

    Args:
        text: the document.
        file: what messages call it.
        numbered: whether places have line numbers; the value of an override has none.

    Returns:
        A `ConfigNode`, a `ConfigList` or a scalar; None for a document without content.

    Raises:
        ConfigError: bad syntax, or everything that is wrong in a syntactically good text.
    """
    loader: _Loader | None = None
    try:
        loader = _Loader(text)
        document = loader.get_single_node()
    except yaml.YAMLError as error:
        line, message = explain(error, text)
        raise ConfigError(str(Problem(Place(file, line if numbered else 0), "", message))) from error
    except _TooDeepError as error:
        place = Place(file, error.line if numbered else 0)
        raise ConfigError(str(Problem(place, "", f"more than {MAX_DEPTH} levels of nesting"))) from error
    finally:
        if loader is not None:
            loader.dispose()
    if document is None:
        return None
    reader = _Reader(file, numbered)
    value = reader.value(document, "")
    raise_problems(reader.problems)
    return value


class _TooDeepError(Exception):
    def __init__(self, line: int) -> None:
        super().__init__(line)
        self.line = line


class _Loader(yaml.SafeLoader):
    """Composes nodes with the scalars of YAML 1.2, and stops before deep nesting exhausts Python's stack."""

    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _TooDeepError(1 if parent is None else parent.start_mark.line + 1)
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        return node


_Loader.yaml_implicit_resolvers = {}  # instead of those of YAML 1.1
for _tag, (_pattern, _first) in CORE.items():
    _Loader.add_implicit_resolver(_tag, _pattern, _first)


class _Reader:
    """YAML nodes -> tree; collects what is wrong in ``problems``."""

    def __init__(self, file: str, numbered: bool) -> None:
        self.problems: list[Problem] = []
        self._file = file
        self._numbered = numbered
        self._nodes = 0
        self._text = 0
        self._open: list[yaml.Node] = []

    def value(self, node: yaml.Node, path: str) -> Any:
        """Value of a node; None after a problem."""
        self._nodes += 1
        self._text += len(node.value) if isinstance(node, yaml.ScalarNode) else 0
        if self._nodes > MAX_NODES or self._text > MAX_TEXT:
            raise ConfigError(f"{self._file}: more than {MAX_NODES} entries once its aliases (*name) are expanded")
        if isinstance(node, yaml.MappingNode) and node.tag == _MAP_TAG:
            with self._inside(node, path):
                return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode) and node.tag == _SEQ_TAG:
            with self._inside(node, path):
                return self._sequence(node, path)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        self._unknown_tag(node, path)
        return None

    @contextmanager
    def _inside(self, node: yaml.Node, path: str) -> Iterator[None]:
        """Notice an alias that contains itself, and aliases that nest too deep."""
        if any(node is outer for outer in self._open):
            self._stop(node, path, "an alias (*name) inside the value that it stands for")
        if len(self._open) >= MAX_DEPTH:
            self._stop(node, path, f"more than {MAX_DEPTH} levels of nesting")
        self._open.append(node)
        yield
        self._open.pop()

    def _mapping(self, node: yaml.MappingNode, path: str) -> ConfigNode:
        result = ConfigNode(origin=self._place(node), path=path)
        sources: list[yaml.Node] = []
        for key_node, value_node in node.value:
            if key_node.tag == MERGE_TAG:
                sources.append(value_node)
                continue
            key = self._key(key_node, path)
            if key is None:
                continue
            if key in result:
                first = result.position(key).line
                where = f", first on line {first}" if self._numbered else ""
                self._problem(key_node, join_path(path, key), f"this key is written twice{where}; remove one")
                continue
            result.put(key, self.value(value_node, join_path(path, key)), self._place(key_node))
        for source in sources:
            self._merge(result, source, path)
        return result

    def _merge(self, result: ConfigNode, source: yaml.Node, path: str) -> None:
        """Add the entries of ``<<: *source`` (or a list of them) that ``result`` does not have itself."""
        if isinstance(source, yaml.SequenceNode):
            for item in source.value:
                self._merge(result, item, path)
            return
        merged = self.value(source, path)
        if not isinstance(merged, ConfigNode):
            self._problem(source, join_path(path, "<<"), "'<<' takes a mapping, such as *name of an earlier &name")
            return
        for key, value in merged.items():
            if key not in result:
                result.put(key, value, merged.position(key))

    def _key(self, node: yaml.Node, path: str) -> str | None:
        key = self.value(node, path) if isinstance(node, yaml.ScalarNode) else node
        if isinstance(key, str):
            return key
        if isinstance(key, int) and not isinstance(key, bool):
            return str(key)
        text = f"'{node.value}'" if isinstance(node, yaml.ScalarNode) else "a list or mapping"
        advice = "; put it in quotes" if isinstance(node, yaml.ScalarNode) else "; put text with [ or { in quotes"
        self._problem(node, path, f"a key must be text, got {text}{advice}")
        return None

    def _sequence(self, node: yaml.SequenceNode, path: str) -> ConfigList:
        result = ConfigList(origin=self._place(node), path=path)
        for index, item in enumerate(node.value):
            result.put(index, self.value(item, join_path(path, index)), self._place(item))
        return result

    def _scalar(self, node: yaml.ScalarNode, path: str) -> Any:
        if node.tag not in SCALAR_TAGS:
            self._unknown_tag(node, path)
            return None
        try:
            return read_scalar(node.tag, node.value)
        except ValueError as error:
            self._problem(node, path, str(error))
            return None

    def _unknown_tag(self, node: yaml.Node, path: str) -> None:
        if node.tag == MERGE_TAG:
            self._problem(node, path, "'<<' is a value here; put it in quotes if it is text")
            return
        tag = node.tag.replace("tag:yaml.org,2002:", "!!")
        self._problem(node, path, f"'{tag}' is a YAML tag, which configs do not use; put text with '!' in quotes")

    def _place(self, node: yaml.Node) -> Place:
        return Place(self._file, node.start_mark.line + 1 if self._numbered else 0)

    def _problem(self, node: yaml.Node, path: str, message: str) -> None:
        self.problems.append(Problem(self._place(node), path, message))

    def _stop(self, node: yaml.Node, path: str, message: str) -> NoReturn:
        raise ConfigError(str(Problem(self._place(node), path, message)))
