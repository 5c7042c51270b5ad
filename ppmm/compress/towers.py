"""The parts of a multimodal model that a figure is told for: its encoders by field, and what is beside them."""

from __future__ import annotations

__all__ = ["tower_of"]


def tower_of(name: str) -> str:
    """The field of an encoder's layer or parameter (``encoders.image.stem.weight``: image), else its first part."""
    parts = name.split(".")
    return parts[1] if parts[0] == "encoders" and len(parts) > 1 else parts[0]
