"""What an encoder reads, told from its signature and documentation, so that a new one needs no entry anywhere."""

from __future__ import annotations

import inspect
import re

from ppmm.registry import ENCODERS

__all__ = ["kind_of"]


def kind_of(name: str) -> str:
    """image | text | audio | waveform | numeric: from the sizes that an encoder asks for and its documented shape."""
    cls = ENCODERS.get(name)
    arguments = inspect.signature(cls).parameters
    documented = " ".join(inspect.getdoc(base) or "" for base in cls.__mro__[:-1])
    if re.search(r"\bx \[B, ?T\]", documented):
        return "waveform"
    if "in_channels" in arguments:
        return "image"
    if "vocab_size" in arguments:
        return "text"
    return "audio" if re.search(r"\bx \[B, ?T", documented) else "numeric"
