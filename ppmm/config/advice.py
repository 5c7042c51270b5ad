"""What to write instead of a value of the wrong type."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import NoneType
from typing import Any

from ppmm.config.kinds import Choice, Either, Fixed, Items, Kind, Part, Scalar, Section, Table
from ppmm.config.scalars import CORE
from ppmm.registry import did_you_mean

__all__ = ["advise", "near"]

_BOOLEANS = {"true": True, "yes": True, "on": True, "y": True, "false": False, "no": False, "off": False, "n": False}


def near(word: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?`` or nothing, for messages that list what there is themselves."""
    advice = did_you_mean(word, known)
    return advice if "did you mean" in advice else ""


def advise(value: Any, kind: Kind) -> str:
    """Advice to append to ``expected ..., got ...``; empty where there is nothing to teach."""
    if value is None:
        return "; a key with nothing after it is null"
    options = kind.options if isinstance(kind, Either) else (kind,)
    for option in options:
        advice = _for_option(value, option)
        if advice:
            return advice
    return ""


def _for_option(value: Any, option: Kind) -> str:
    match option:
        case Scalar(type=wanted):
            return _for_scalar(value, wanted)
        case Choice(values=values):
            return near(str(value), [str(choice) for choice in values])
        case Items():
            return _for_list(value, 1)
        case Fixed(of=of):
            return _for_list(value, len(of))
        case Table() | Part() | Section():
            return _for_mapping(value, option)
    return ""


def _for_scalar(value: Any, wanted: type) -> str:
    if wanted in (str, Path) and isinstance(value, bool | int | float):
        shown = str(value).lower() if isinstance(value, bool) else value
        return f"; to make it text, quote it: '{shown}'"
    if wanted is int and isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return f"; write {int(value)}"
    if wanted is bool:
        return _for_bool(value)
    if wanted in (int, float) and isinstance(value, str):
        return _for_number(value, wanted)
    if wanted is NoneType and isinstance(value, str) and value.lower() in ("none", "nil", "null", "~"):
        return "; write null"
    return ""


def _for_bool(value: Any) -> str:
    meant = _BOOLEANS.get(value.lower()) if isinstance(value, str) else None
    if meant is None:
        return "; write true or false"
    quoted = ", without quotes" if value in ("true", "false") else ""
    return f"; write {str(meant).lower()}{quoted}"


def _for_number(text: str, wanted: type) -> str:
    candidate = text.strip()
    if _is_number(candidate, wanted):
        return f"; write {candidate}, without quotes"
    if _is_number(candidate.replace("_", ""), wanted):
        return f"; write {candidate.replace('_', '')}, without underscores"
    if wanted is float and re.fullmatch(r"[-+]?[0-9]+,[0-9]+", candidate):
        return f"; write {candidate.replace(',', '.')}, with a point"
    return ""


def _is_number(text: str, wanted: type) -> bool:
    tags = ("int", "float") if wanted is float else ("int",)
    return any(CORE[f"tag:yaml.org,2002:{tag}"][0].match(text) for tag in tags)


def _for_list(value: Any, size: int) -> str:
    if isinstance(value, Mapping):
        return "; begin each item with '- '"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"; write [{', '.join([str(value)] * size)}]"
    if isinstance(value, str):
        sides = re.sub(r"(?<=\d)[xX*](?=\d)", ", ", value)  # 32x32
        return f"; write [{sides}]"
    return ""


def _for_mapping(value: Any, option: Kind) -> str:
    if isinstance(value, list) and not isinstance(option, Part):
        return "; remove the '- ' or the [ ]"
    if isinstance(value, str) and re.fullmatch(r"[^\s:]+:\S+", value):
        return "; put a space after ':'"
    if isinstance(option, Part):
        name = value if isinstance(value, str) and value in option.registry.names() else "..."
        return f"; write {{name: {name}}}"
    if isinstance(option, Table) and isinstance(option.of, Part):
        return f"; write one {option.of} per key: {{some_key: {{name: ...}}}}"
    return ""
