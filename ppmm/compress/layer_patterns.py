"""Layers that a step is to change, named by patterns."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from fnmatch import fnmatchcase

from ppmm.errors import CompressError
from ppmm.registry import did_you_mean

__all__ = ["chosen_layers"]


def chosen_layers(
    names: Collection[str], layers: Sequence[str] | None, skip: Sequence[str], others: dict[str, str]
) -> list[str]:
    """Those of ``names`` that a pattern of ``layers`` matches (all of them when None), and none of ``skip``.

    Args:
        names: layers that the step can change.
        layers: patterns such as ``encoders.text.*``.
        skip: patterns of layers that stay as they are.
        others: layers that it cannot change, and why.

    Raises CompressError for a pattern that matches no layer, or of ``layers`` only such as cannot be changed.
    """
    for pattern in [*(layers or []), *skip]:
        if any(fnmatchcase(name, pattern) for name in names):
            continue
        stuck = [name for name in others if fnmatchcase(name, pattern)]
        if stuck and pattern in (layers or []):
            raise CompressError(f"layers: '{pattern}' names {stuck[0]}, which cannot be changed: {others[stuck[0]]}")
        if not stuck:
            key = "skip" if pattern in skip else "layers"
            near = did_you_mean(pattern.removesuffix(".*"), names)
            raise CompressError(f"{key}: '{pattern}' names no layer{near}")
    return [
        name
        for name in names
        if (layers is None or any(fnmatchcase(name, pattern) for pattern in layers))
        and not any(fnmatchcase(name, pattern) for pattern in skip)
    ]
