"""Plain YAML scalars -> Python values by the core schema of YAML 1.2.

PyYAML follows YAML 1.1, in which ``no`` is false, ``1e-4`` is text, ``1:30`` is 90, ``010`` is 8 and ``2024-01-01`` is
a date. In YAML 1.2 only ``true`` and ``false`` are booleans, ``1e-4`` is a number, ``010`` is 10, the others are text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

__all__ = ["CORE", "MERGE_TAG", "SCALAR_TAGS", "STR_TAG", "read_scalar"]

_TAG = "tag:yaml.org,2002:"
STR_TAG = f"{_TAG}str"
MERGE_TAG = f"{_TAG}merge"

CORE: dict[str, tuple[re.Pattern[str], list[str]]] = {
    f"{_TAG}null": (re.compile(r"(?:~|null|Null|NULL|)\Z"), ["~", "n", "N", ""]),
    f"{_TAG}bool": (re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z"), list("tTfF")),
    f"{_TAG}int": (re.compile(r"(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)\Z"), list("-+0123456789")),
    f"{_TAG}float": (
        re.compile(
            r"(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
            r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z"
        ),
        list("-+.0123456789"),
    ),
    MERGE_TAG: (re.compile(r"<<\Z"), ["<"]),
}
"""Tag -> the text that has it when it is not quoted, and the first letters of that text. Order matters: 3 is an int."""


_MAX_DIGITS = 1000
"""Python refuses to read or print decimal numbers of more than 4300 digits; hexadecimal ones grow when printed."""


def _int(text: str) -> int:
    base = {"0o": 8, "0x": 16}.get(text[:2], 10)
    return int(text, base)


def _float(text: str) -> float:
    return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


_READERS: dict[str, Callable[[str], Any]] = {
    STR_TAG: str,
    f"{_TAG}null": lambda text: None,
    f"{_TAG}bool": lambda text: text.lower() == "true",
    f"{_TAG}int": _int,
    f"{_TAG}float": _float,
}
SCALAR_TAGS = frozenset(_READERS)


def read_scalar(tag: str, text: str) -> Any:
    """The value of a scalar.

    Args:
        tag: one of `SCALAR_TAGS`; found from the text, or written by the user (``!!float 3``).
        text: what stands in the file, without quotes.

    Raises:
        ValueError: the text does not fit a tag that the user wrote, or is a number of thousands of digits.
    """
    if tag in CORE and not CORE[tag][0].match(text):
        raise ValueError(f"'{text}' is not of the type that its tag !!{tag.removeprefix(_TAG)} says")
    if tag in CORE and len(text) > _MAX_DIGITS:
        raise ValueError(f"a number of {len(text)} digits is too long")
    return _READERS[tag](text)
