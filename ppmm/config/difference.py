"""Where two configs differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["changed_keys"]


def changed_keys(before: Any, after: Any, path: str = "") -> list[str]:
    """Dotted paths of the values that differ, or that only one side has, sorted."""
    if not (isinstance(before, Mapping) and isinstance(after, Mapping)):
        return [] if before == after and type(before) is type(after) else [path]
    changed: list[str] = []
    for key in sorted({*before, *after}, key=str):
        inner = f"{path}.{key}" if path else str(key)
        if key in before and key in after:
            changed += changed_keys(before[key], after[key], inner)
        else:
            changed.append(inner)
    return changed
