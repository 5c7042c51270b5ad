"""JSON files of hundreds of megabytes, one item at a time: what the caller does not keep is gone at once."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ppmm.data.text_file import read_text
from ppmm.errors import DataError

__all__ = ["Item", "need", "read_items"]

SPACE = re.compile(r"[ \t\r\n]*")


class Item(NamedTuple):
    """An entry of a list at the top of the file: ``list`` its key, ``place`` (``annotations[7]``) for messages."""

    list: str
    place: str
    value: dict[str, Any]


def read_items(path: Path, *lists: str) -> Iterator[Item]:
    """The objects of the wanted lists of a file ``{"info": ..., "images": [...], "annotations": [...]}``.

    They come in the order of the file. Memory: the text of the file and one item.

    Raises:
        DataError: missing, not UTF-8, not JSON (with the line), no object at the top, a wanted list that is absent
            or no list of objects.
    """
    text = read_text(path)
    found = set()
    try:
        for name, number, value in _walk(text):
            if name not in lists:
                continue
            found.add(name)
            if number is None and value == []:
                continue
            if number is None or not isinstance(value, dict):
                raise DataError(f"{path} {name}: expected a list of objects, found {type(value).__name__}")
            yield Item(name, f"{name}[{number}]", value)
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{error.lineno}: not JSON: {error.msg}") from error
    except ValueError as error:  # numbers of thousands of digits
        raise DataError(f"{path}: not JSON: {error}") from error
    except RecursionError as error:
        raise DataError(f"{path}: JSON nested too deeply") from error
    missing = [name for name in lists if name not in found]
    if missing:
        raise DataError(f"'{path}' has no list '{missing[0]}'; is it another file of the data set?")


def need(item: Item, key: str, kind: type[Any] | tuple[type[Any], ...], path: Path) -> Any:
    """``item.value[key]``. Raises DataError naming file and place where it is absent or of another type."""
    value = item.value.get(key)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise DataError(f"{path} {item.place}: '{key}' is {'absent' if key not in item.value else ascii(value)[:40]}")
    return value


def _walk(text: str) -> Iterator[tuple[str, int | None, Any]]:
    """(key, number, value) of each entry of the object's lists, (key, None, value) of what else it holds.

    An empty list is of the latter kind. Raises JSONDecodeError.
    """
    decoder = json.JSONDecoder()
    position = _expect(text, 0, "{")
    more = text[position : position + 1] != "}"
    position += not more
    while more:
        name, position = decoder.raw_decode(text, position)
        if not isinstance(name, str):
            raise json.JSONDecodeError("Expecting a key in double quotes", text, position)
        position = _expect(text, position, ":")
        inside = _space(text, position + 1)
        if text[position : position + 1] == "[" and text[inside : inside + 1] != "]":
            position, number, entries = inside, 0, True
            while entries:
                value, position = decoder.raw_decode(text, position)
                yield name, number, value
                number += 1
                position, entries = _next(text, position, "]")
        else:
            value, position = decoder.raw_decode(text, position)
            yield name, None, value
        position, more = _next(text, position, "}")
    if _space(text, position) < len(text):
        raise json.JSONDecodeError("Extra data", text, position)


def _next(text: str, position: int, end: str) -> tuple[int, bool]:
    """(position of the next entry, True) behind a comma, (position behind ``end``, False) at the end."""
    position = _space(text, position)
    if text[position : position + 1] == end:
        return position + 1, False
    return _expect(text, position, ","), True


def _expect(text: str, position: int, mark: str) -> int:
    """The position behind ``mark`` and white space. Raises JSONDecodeError where something else stands."""
    position = _space(text, position)
    if text[position : position + 1] != mark:
        raise json.JSONDecodeError(f"Expecting '{mark}'", text, position)
    return _space(text, position + 1)


def _space(text: str, position: int) -> int:
    found = SPACE.match(text, position)
    assert found is not None
    return found.end()
