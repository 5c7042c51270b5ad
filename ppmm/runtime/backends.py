"""Which back end computes what, and where: the names that users give, checked before anything is loaded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from ppmm.errors import ExportError
from ppmm.registry import did_you_mean

__all__ = ["BACKENDS", "CPU", "Backend", "Device", "backends_of", "check_precision", "parse_device"]

Backend = Literal["onednn", "plain", "onnx", "cuda", "tensorrt"]
BACKENDS: tuple[Backend, ...] = ("onednn", "plain")
"""Those of Paddle Inference on every CPU, under which each float32 bundle is tested."""
ON_GPU: tuple[Backend, ...] = ("cuda", "tensorrt")
ALL: tuple[Backend, ...] = (*BACKENDS, "onnx", *ON_GPU)


class Device(NamedTuple):
    """``cpu``, or ``gpu`` and its number."""

    kind: Literal["cpu", "gpu"]
    number: int = 0


CPU = Device("cpu")


def parse_device(text: str) -> Device:
    """``cpu`` | ``gpu`` | ``gpu:N``. Raises ExportError of anything else."""
    found = re.fullmatch(r"(cpu|gpu)(?::(\d{1,3}))?", text)
    if found is None or (found[1] == "cpu" and found[2]):
        raise ExportError(f"no device '{text}'; there is cpu, gpu, gpu:0, gpu:1, ...")
    return Device("cpu") if found[1] == "cpu" else Device("gpu", int(found[2] or 0))


def backends_of(graph: Mapping[str, Any], device: Device = CPU) -> tuple[Backend, ...]:
    """The back ends that can compute a graph of ``bundle.yaml`` on a device, the usual one first.

    Raises ExportError of a precision that none knows.
    """
    precision = graph["precision"]
    if precision not in ("fp32", "bf16", "int8"):
        raise ExportError(f"this version of ppmm computes in fp32, bf16 and int8, not in '{precision}'")
    if device.kind == "gpu":
        if precision == "int8":  # INT8 operators of a GPU are TensorRT's
            return ("tensorrt",) if "tensorrt" in graph else ()
        return ("cuda", "tensorrt") if "tensorrt" in graph else ("cuda",)
    paddle: tuple[Backend, ...] = BACKENDS if precision == "fp32" else ("onednn",)
    return (*paddle, "onnx") if "onnx" in graph else paddle


def check_backend(name: str | None, graph: Mapping[str, Any], device: Device) -> Backend:
    """The back end of that name, or the usual one. Raises ExportError that says why it cannot be had."""
    possible = backends_of(graph, device)
    where = f"on a {device.kind.upper()}"
    if name is None:
        if not possible:
            raise ExportError(f"a graph of precision {graph['precision']} has no back end {where}; see --tensorrt")
        return possible[0]
    for each in possible:
        if each == name:
            return each
    if name not in ALL:
        raise ExportError(f"no back end named '{name}'{did_you_mean(name, ALL)}; there is {', '.join(ALL)}, auto")
    reasons = {
        "onnx": "this bundle has no ONNX graph; export it with --onnx",
        "tensorrt": "this bundle was not laid out for TensorRT; export it with --tensorrt",
    }
    if (name in ON_GPU) != (device.kind == "gpu"):
        why = f"it needs the device {'gpu' if name in ON_GPU else 'cpu'}"
    else:
        why = reasons.get(name, f"a graph of precision {graph['precision']} needs {', '.join(possible) or 'another'}")
    raise ExportError(f"the back end {name} cannot compute this bundle {where}: {why}")


def check_precision(wanted: str | None, graph: Mapping[str, Any], device: Device) -> str:
    """What is computed in: the bundle's precision, or on a GPU fp16 or bf16 of a float32 graph.

    Raises ExportError of another one: nothing was tested in it.
    """
    own: str = graph["precision"]
    if wanted is None or wanted == own:
        return own
    if device.kind == "gpu" and own == "fp32" and wanted in ("fp16", "bf16"):
        return wanted
    raise ExportError(
        f"this bundle was exported and tested in {own}, not in {wanted}; "
        f"make one with deploy/export.py --precision {wanted if wanted in ('fp32', 'bf16', 'int8') else 'bf16'}"
    )
