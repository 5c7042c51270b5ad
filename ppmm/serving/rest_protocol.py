"""The infer call of the Open Inference Protocol over REST, with tensors as bytes behind the JSON.

KServe's own reader of such bodies turns every BYTES tensor into UTF-8 text and so refuses pictures and sound (kserve
0.21.0, `InferRequest.from_bytes`); the tensors' types are its own all the same.
"""

from __future__ import annotations

import math
from typing import Any

import orjson
from kserve import InferInput, InferRequest, InferResponse
from kserve.protocol.infer_type import RequestedOutput

from ppmm.serving.refusals import BadRequest

__all__ = ["JSON_LENGTH", "read_request", "write_response"]

JSON_LENGTH = "inference-header-content-length"
DATATYPES = ("BOOL", "UINT8", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64", "BYTES")


def read_request(body: bytes, json_length: str | None, model: str) -> InferRequest:
    """The request in a body.

    Args:
        body: JSON, and behind it the tensors that are not in it.
        json_length: bytes of the JSON, as the header says; None where there is nothing else.
        model: its name.

    Raises BadRequest that says what is wrong.
    """
    try:
        length = len(body) if json_length is None else int(json_length)
        if not 0 <= length <= len(body):
            raise BadRequest(f"{JSON_LENGTH} is {length}, the body has {len(body)} bytes")
        document = orjson.loads(body[:length])
        inputs, place = [], length
        for entry in _list(document, "inputs"):
            tensor, place = _input(entry, body, place)
            inputs.append(tensor)
        wanted = _list(document, "outputs", [])
        outputs = [RequestedOutput(_text(entry, "name"), _mapping(entry, "parameters")) for entry in wanted]
        request_id = document.get("id")
        if request_id is not None and not isinstance(request_id, str):
            raise BadRequest("'id' must be a text")
        parameters = _mapping(document, "parameters")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadRequest(f"not a request of the Open Inference Protocol: {error}") from error
    if place != len(body):
        raise BadRequest(f"the tensors end at byte {place}, the body has {len(body)}")
    return InferRequest(model, inputs, request_id, parameters=parameters, request_outputs=outputs or None)


def write_response(response: InferResponse) -> tuple[bytes, dict[str, str]]:
    """Body and headers of an answer."""
    body, length = response.to_rest()
    if isinstance(body, bytes):
        return body, {"content-type": "application/octet-stream", JSON_LENGTH: str(length)}
    return orjson.dumps(body), {"content-type": "application/json"}


def _input(entry: Any, body: bytes, place: int) -> tuple[InferInput, int]:
    """A tensor, and where the next one begins."""
    name, shape, parameters = _text(entry, "name"), entry["shape"], _mapping(entry, "parameters") or {}
    datatype = _text(entry, "datatype").upper()
    if datatype not in DATATYPES:
        raise BadRequest(f"input '{name}': no datatype '{datatype}'; there is {', '.join(DATATYPES)}")
    if not isinstance(shape, list) or not all(type(side) is int and 0 <= side <= 2**31 for side in shape) or not shape:
        raise BadRequest(f"input '{name}': its shape must be a list of whole numbers")
    tensor = InferInput(name, shape, datatype, parameters=parameters)
    size = parameters.get("binary_data_size")
    if size is not None:
        if type(size) is not int or not 0 <= size <= len(body) - place:
            raise BadRequest(f"input '{name}': binary_data_size {size} is more than the body has")
        tensor._raw_data = body[place : place + size]
        return tensor, place + size
    data = _flat(entry["data"]) if "data" in entry else None
    if data is None or len(data) != math.prod(shape):
        raise BadRequest(f"input '{name}': 'data' must have the {math.prod(shape)} elements of its shape")
    tensor.data = data
    return tensor, place


def _flat(data: Any) -> list[Any]:
    if not isinstance(data, list):
        raise BadRequest("'data' must be a list")
    flat: list[Any] = []
    stack = [iter(data)]
    while stack:  # no recursion: the depth is the client's
        for item in stack[-1]:
            if isinstance(item, list):
                stack.append(iter(item))
                break
            flat.append(item)
        else:
            stack.pop()
    return flat


def _list(document: Any, key: str, default: Any = None) -> list[Any]:
    if not isinstance(document, dict):
        raise BadRequest("the body must be a JSON object")
    value = document.get(key, default)
    if not isinstance(value, list):
        raise BadRequest(f"'{key}' must be a list")
    return value


def _text(entry: Any, key: str) -> str:
    if not isinstance(entry, dict) or not isinstance(entry.get(key), str):
        raise BadRequest(f"every input and output needs a '{key}', a text")
    return str(entry[key])


def _mapping(entry: Any, key: str) -> dict[str, Any] | None:
    value = entry.get(key)
    if value is not None and not isinstance(value, dict):
        raise BadRequest(f"'{key}' must be an object")
    return value
