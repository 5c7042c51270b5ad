from __future__ import annotations

import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest

from ppmm import types
from ppmm.config import LoaderSection
from ppmm.config.kinds import kind_of


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        (int, "int"), (None, "null"), (int | None, "int or null"), (list[str], "list of str"), (list, "list"),
        (typing.List, "list"), (Sequence[int], "list of int"), (Mapping[str, int], "mapping of int"),  # noqa: UP006
        (tuple[int, float], "list of 2 (int, float)"), (tuple[int, ...], "list of int"), (tuple, "list"),
        (dict[str, float], "mapping of float"), (dict, "mapping"), (Literal["a", 3], "'a' or 3"), (Any, "anything"),
        (object, "anything"), (Any | None, "anything"), (Path, "path"), (types.Fusion, "fusion"),
        (dict[str, types.Fusion], "mapping of fusion"), (LoaderSection, "mapping"), (bytes, "bytes"),
        (dict[int, str], "dict[int, str]"), (typing.TypeVar("T"), "~T"),
        (Callable[[int], int], "collections.abc.Callable[[int], int]"),
    ],
)  # fmt: skip
def test_annotations_in_words(annotation: Any, text: str) -> None:
    assert str(kind_of(annotation)) == text
