"""Requests that a server must refuse: broken files, wrong shapes, half bodies. Made from good ones, by a seed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

__all__ = ["BadCall", "bad_calls"]


class BadCall(NamedTuple):
    """One of them.

    Attributes:
        kind: for the report.
        path: to post to.
        body: raw bytes.
        headers: with the content type.
        may_pass: whether the damage may leave something that can be read: then 200 is right, too.
    """

    kind: str
    path: str
    body: bytes
    headers: dict[str, str]
    may_pass: bool


def bad_calls(model: str, sample: Mapping[str, Any], count: int, most_bytes: int, seed: int = 0) -> Iterator[BadCall]:
    """So many bad requests, of every kind in turn.

    Args:
        model: its name.
        sample: a good raw sample, with bytes for files.
        count: how many.
        most_bytes: of a body that the server takes.
        seed: of the damage.
    """
    rng = np.random.default_rng(seed)
    infer, predict = f"/v2/models/{model}/infer", f"/predict?model={model}"
    files = {name: value for name, value in sample.items() if isinstance(value, bytes)}
    makers = [
        lambda: _form("damaged file", predict, {name: _damaged(value, rng) for name, value in files.items()}, True),
        lambda: _form("cut file", predict, {name: _cut(value, rng) for name, value in files.items()}, True),
        lambda: _form("noise for a file", predict, {name: rng.bytes(int(rng.integers(1, 4000))) for name in files}),
        lambda: _form("unknown field", predict, {f"x{rng.integers(1000)}": b"value"}),
        lambda: BadCall("half a form", predict, b"--b\r\ncontent-disposition: form-data; na", _multipart("b"), False),
        lambda: BadCall("noise for JSON", infer, rng.bytes(int(rng.integers(1, 400))), JSON, False),
        lambda: BadCall("wrong shape", infer, _tensor(rng), JSON, False),
        lambda: BadCall("wrong types", infer, _mistyped(rng), JSON, False),
        lambda: BadCall("wrong length", infer, b'{"inputs": []}', {**JSON, LENGTH: f"{rng.integers(15, 9**6)}"}, False),
        lambda: BadCall("too large", predict, b"x" * (most_bytes + 1), _multipart("b"), False),
        lambda: BadCall("unknown model", f"/v2/models/m{rng.integers(1000)}/infer", b'{"inputs": []}', JSON, False),
    ]  # fmt: skip
    rare = {9: 50}  # tens of megabytes each
    for number in range(count):
        which = number % len(makers)
        if number // len(makers) % rare.get(which, 1) == 0:
            yield makers[which]()


JSON = {"content-type": "application/json"}
LENGTH = "inference-header-content-length"


def _multipart(boundary: str) -> dict[str, str]:
    return {"content-type": f"multipart/form-data; boundary={boundary}"}


def _form(kind: str, path: str, files: Mapping[str, bytes], may_pass: bool = False) -> BadCall:
    parts = [
        b"--b\r\ncontent-disposition: form-data; name=%s; filename=f\r\n\r\n%s\r\n" % (name.encode(), value)
        for name, value in files.items()
    ]
    return BadCall(kind, path, b"".join(parts) + b"--b--\r\n", _multipart("b"), may_pass)


def _damaged(value: bytes, rng: np.random.Generator) -> bytes:
    """Some bytes changed."""
    content = bytearray(value)
    for place in rng.integers(0, len(content), max(1, len(content) // 50)):
        content[place] = int(rng.integers(256))
    return bytes(content)


def _cut(value: bytes, rng: np.random.Generator) -> bytes:
    """Its beginning."""
    return value[: int(rng.integers(1, max(2, len(value) // 2)))]


def _tensor(rng: np.random.Generator) -> bytes:
    shape = [int(side) for side in rng.integers(-3, 10**9, int(rng.integers(0, 5)))]
    entry = {"name": "text", "shape": shape, "datatype": "BYTES", "data": ["a"] * int(rng.integers(2, 5))}
    return json.dumps({"inputs": [entry]}).encode()


def _mistyped(rng: np.random.Generator) -> bytes:
    values: list[Any] = [None, 3, "x", [], {}, [[]], True, 1e300, "\ud800", [{"name": 5}], [{"name": "text"}]]
    picked = values[int(rng.integers(len(values)))]
    inner = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["a"]}
    key = str(rng.choice(["inputs", "shape", "datatype", "data", "name"]))
    document: Any = {"inputs": picked} if key == "inputs" else {"inputs": [{**inner, key: picked}]}
    if document == {"inputs": [inner]} or (key == "name" and picked == "x"):
        document = []
    return json.dumps(document).encode()
