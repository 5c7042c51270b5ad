"""Tree -> YAML text that every loader reads back the same."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

from ppmm.config.interpolate import escape
from ppmm.config.node import plain
from ppmm.config.scalars import CORE, STR_TAG

__all__ = ["dump"]

_BREAKS = re.compile("[\n\r\x85\u2028\u2029]")


def dump(node: Mapping[str, Any]) -> str:
    """YAML text of a resolved tree, in block style, with its order and its characters kept.

    Text that YAML 1.1 (PyYAML and many others) or YAML 1.2 (ours) would read as something else is quoted. The one
    difference between the two readings is a text with ``${``: it is written ``$${``, which only `loads` turns back.

    Args:
        node: a tree, or plain mappings, lists and scalars.
    """
    return yaml.dump(
        _escaped(plain(node)),
        Dumper=_Dumper,
        allow_unicode=True,
        default_flow_style=False,
        sort_keys=False,
        width=1 << 30,  # no folding: a folded line is hard to search, and PyYAML folds some spaces wrongly
    )


def _escaped(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _escaped(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_escaped(item) for item in value]
    return escape(value) if isinstance(value, str) else value


class _Dumper(yaml.SafeDumper):
    """Quotes what YAML 1.1 or YAML 1.2 resolves to anything but text."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write an object that occurs twice twice; no anchors."""
        return True


def _represent_str(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # Escapes in double quotes are the only form of a line break that no loader folds or strips.
    return dumper.represent_scalar(STR_TAG, text, style='"' if _BREAKS.search(text) else None)


_Dumper.add_representer(str, _represent_str)
# PyYAML quotes what its own resolvers (most of YAML 1.1) would not read as text; add the rest of both standards.
for _tag, (_pattern, _first) in CORE.items():
    _Dumper.add_implicit_resolver(_tag, _pattern, _first)
_Dumper.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"[yYnN]\Z"), list("yYnN"))
