"""Samples and answers as tensors of the Open Inference Protocol.

Inputs bear the names of fields: BYTES [n] or [n,1] for image, audio (the bytes of files; in JSON base64) and text
(UTF-8), FP32 [n,size] for numbers. An empty element stands for a field that its sample lacks; a field that none has may
be left out. Outputs are those of the graph, and ``result``: for each sample what `Predictor.predict` says, as JSON.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from kserve import InferInput, InferOutput, InferRequest, InferResponse

from ppmm.runtime.predictor import Predictor
from ppmm.serving.batcher import Answered
from ppmm.serving.refusals import BadRequest

__all__ = ["RESULT", "described", "response_of", "samples_of"]

RESULT = "result"
DATATYPES = {
    "float32": "FP32",
    "float64": "FP64",
    "float16": "FP16",
    "int64": "INT64",
    "int32": "INT32",
    "bool": "BOOL",
}


def described(predictor: Predictor) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Inputs and outputs for the model's metadata."""
    inputs = [
        {
            "name": name,
            "datatype": "FP32" if field.kind == "numeric" else "BYTES",
            "shape": [-1, field.specs(name)[name].shape[1]] if field.kind == "numeric" else [-1, 1],
        }
        for name, field in predictor.fields.items()
    ]
    outputs = [
        {"name": output["name"], "datatype": "FP32", "shape": [-1, -1]}
        for output in predictor.bundle.graph("main")["outputs"]
    ]
    return inputs, [*outputs, {"name": RESULT, "datatype": "BYTES", "shape": [-1]}]


def samples_of(request: InferRequest, predictor: Predictor) -> list[dict[str, Any]]:
    """Raw samples of a request. Raises BadRequest that names the input."""
    columns: dict[str, list[Any]] = {}
    for tensor in request.inputs:
        if tensor.name not in predictor.fields:
            names = ", ".join(predictor.fields)
            raise BadRequest(f"no input named '{tensor.name}'; there is {names}")
        if tensor.name in columns:
            raise BadRequest(f"input '{tensor.name}' is there twice")
        columns[tensor.name] = _column(tensor, predictor.fields[tensor.name].kind)
    sizes = {name: len(column) for name, column in columns.items()}
    if len(set(sizes.values())) > 1:
        raise BadRequest(f"inputs have different numbers of samples: {sizes}")
    rows = range(next(iter(sizes.values()), 0))
    return [{name: column[row] for name, column in columns.items() if column[row] is not None} for row in rows]


def response_of(answered: Answered, request: InferRequest, name: str, version: str) -> InferResponse:
    """Outputs of a request; those that it asks for, where it names any."""
    wanted = {output.name for output in request.request_outputs or []}
    arrays: dict[str, np.ndarray] = {**answered.outputs, RESULT: _results(answered)}
    unknown = wanted - set(arrays)
    if unknown:
        raise BadRequest(f"no output named '{min(unknown)}'; there is {', '.join(arrays)}")
    outputs = []
    for key, array in arrays.items():
        if not wanted or key in wanted:
            datatype = "BYTES" if array.dtype == object else DATATYPES[str(array.dtype)]
            tensor = InferOutput(key, list(array.shape), datatype)
            tensor.set_data_from_numpy(array, binary_data=_binary(request, key))
            outputs.append(tensor)
    return InferResponse(
        request.id or "", name, outputs, model_version=version, use_binary_outputs=request.use_binary_outputs,
        requested_outputs=request.request_outputs,
    )  # fmt: skip


def _results(answered: Answered) -> np.ndarray:
    texts = np.empty(len(answered.results), dtype=object)
    texts[:] = [json.dumps(result, ensure_ascii=False).encode() for result in answered.results]
    return texts


def _binary(request: InferRequest, name: str) -> bool:
    """Whether an output goes as bytes behind the JSON: always in gRPC, in REST where it was asked for."""
    if request.from_grpc:
        return True
    for output in request.request_outputs or []:
        if output.name == name and output.binary_data is not None:
            return bool(output.binary_data)
    return bool(request.use_binary_outputs)


def _column(tensor: InferInput, kind: str) -> list[Any]:
    """One value a sample, None for an absent one."""
    if kind == "numeric":
        return _numbers(tensor)
    if tensor.datatype != "BYTES":
        raise BadRequest(f"input '{tensor.name}' must be BYTES, not {tensor.datatype}")
    if len(tensor.shape) not in (1, 2) or (len(tensor.shape) == 2 and tensor.shape[1] != 1):
        raise BadRequest(f"input '{tensor.name}' must have the shape [n] or [n,1], not {list(tensor.shape)}")
    values = _values(tensor)
    return [_text(tensor, value) if kind == "text" else _file(tensor, value) for value in values]


def _numbers(tensor: InferInput) -> list[Any]:
    if tensor.datatype == "BYTES" or len(tensor.shape) != 2:
        raise BadRequest(f"input '{tensor.name}' must be numbers of shape [n,size], not {tensor.datatype}")
    try:
        array = np.asarray(tensor.as_numpy(), dtype=np.float64).reshape(tensor.shape)
    except (ValueError, TypeError) as error:
        raise BadRequest(f"input '{tensor.name}': {error}") from error
    return list(array)


def _values(tensor: InferInput) -> list[Any]:
    try:
        values = np.asarray(tensor.as_numpy(), dtype=object).ravel().tolist()
    except Exception as error:  # whatever the protocol's library stumbles over is the request's fault
        raise BadRequest(f"input '{tensor.name}': its data cannot be read") from error
    if len(values) != tensor.shape[0]:
        raise BadRequest(f"input '{tensor.name}' has {len(values)} elements and the shape {list(tensor.shape)}")
    return values


def _text(tensor: InferInput, value: Any) -> str | None:
    if isinstance(value, bytes):
        try:
            value = value.decode("utf-8")
        except UnicodeDecodeError as error:
            raise BadRequest(f"input '{tensor.name}' is not UTF-8") from error
    if not isinstance(value, str):
        raise BadRequest(f"input '{tensor.name}' must be texts, not {type(value).__name__}")
    return value or None


def _file(tensor: InferInput, value: Any) -> bytes | None:
    if isinstance(value, str):
        try:
            value = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError) as error:
            raise BadRequest(f"input '{tensor.name}': in JSON the bytes of a file are given in base64") from error
    if not isinstance(value, bytes):
        raise BadRequest(f"input '{tensor.name}' must be the bytes of files, not {type(value).__name__}")
    return value or None


def parameters_seconds(parameters: Mapping[str, Any] | None) -> float | None:
    """``timeout`` (microseconds, as Triton counts it) of a request's parameters, in seconds."""
    value = (parameters or {}).get("timeout")
    value = getattr(value, "int64_param", value)
    return value / 1e6 if isinstance(value, int) and value > 0 else None
