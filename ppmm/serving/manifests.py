"""A bundle for other platforms: a KServe InferenceService, and a Triton model repository around the same predictor."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ppmm.config import dump
from ppmm.errors import ExportError
from ppmm.runtime.bundle import Bundle, read_bundle

__all__ = ["kserve_manifest", "triton_repository"]

NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def kserve_manifest(name: str, image: str, bundle_uri: str, gpus: int = 0, replicas: tuple[int, int] = (1, 4)) -> str:
    """YAML of an InferenceService that runs deploy/serve.py from an image of deploy/containers.

    Args:
        name: of the service; lower-case letters, digits and '-'.
        image: with tag or digest.
        bundle_uri: where KServe's storage initialiser finds the bundle: ``pvc://claim/path``, ``s3://...``.
        gpus: for each replica.
        replicas: least and most.

    Raises ExportError of a name that Kubernetes does not take, or replicas that are not in order.
    """
    if not NAME.fullmatch(name):
        raise ExportError(f"'{name}' cannot name a service: lower-case letters, digits and '-', 63 at most")
    least, most = replicas
    if not 0 <= least <= most or most < 1:
        raise ExportError(f"replicas must be 0 <= least <= most, got {least} and {most}")
    flags = [f"{name}=/mnt/models", "--host", "0.0.0.0", "--http-port", "8080", "--grpc-port", "9000"]
    if gpus:
        flags += ["--device", "gpu:0"]
    limits = {"cpu": "2", "memory": "4Gi", **({"nvidia.com/gpu": str(gpus)} if gpus else {})}
    probes = {
        f"{kind}Probe": {"httpGet": {"path": path, "port": 8080}, "periodSeconds": 5, "failureThreshold": tries}
        for kind, path, tries in (("readiness", "/readyz", 1), ("liveness", "/healthz", 3), ("startup", "/readyz", 60))
    }
    container = {
        "name": "kserve-container",
        "image": image,
        "args": flags,
        "env": [{"name": "STORAGE_URI", "value": bundle_uri}],
        "ports": [{"name": "http1", "containerPort": 8080, "protocol": "TCP"}],
        "resources": {"requests": {"cpu": "1", "memory": "2Gi"}, "limits": limits},
        "securityContext": {"allowPrivilegeEscalation": False, "runAsNonRoot": True, "capabilities": {"drop": ["ALL"]}},
        **probes,
    }
    scale = {"minReplicas": least, "maxReplicas": most, "terminationGracePeriodSeconds": 60}
    return dump(
        {
            "apiVersion": "serving.kserve.io/v1beta1",
            "kind": "InferenceService",
            "metadata": {"name": name},
            "spec": {"predictor": {**scale, "containers": [container]}},
        }
    )


def triton_repository(bundle: Path, out: Path, name: str, max_batch: int = 16, gpu: bool = False) -> Path:
    """Write ``out/name``: config.pbtxt, and version 1 with the bundle and a model of Triton's Python back end.

    Preprocessing is the bundle's own, on the server. The Python of Triton needs ppmm and what `requirements-serve.txt`
    has of Paddle. Returns the folder. Raises ExportError where it is there already, or the bundle is not whole.
    """
    if not re.fullmatch(r"[\w.-]{1,128}", name):
        raise ExportError(f"'{name}' cannot name a model: letters, digits, '-', '_' and '.' only")
    folder = out / name
    if folder.exists():
        raise ExportError(f"{folder} is there already; choose another --out or --name")
    whole = read_bundle(bundle)
    (folder / "1").mkdir(parents=True)
    shutil.copytree(bundle, folder / "1" / "bundle")
    (folder / "1" / "model.py").write_text(MODEL, encoding="utf-8")
    (folder / "config.pbtxt").write_text(_config(whole, name, max_batch, gpu), encoding="utf-8")
    return folder


def _config(bundle: Bundle, name: str, max_batch: int, gpu: bool) -> str:
    inputs = []
    for field, part in bundle.fields.items():
        numeric = part.kind == "numeric"
        size = part.specs(field)[field].shape[1] if numeric else 1
        kind = "TYPE_FP32" if numeric else "TYPE_STRING"
        inputs.append({"name": field, "data_type": kind, "dims": [size], "optional": True})
    outputs = [{"name": "result", "data_type": "TYPE_STRING", "dims": [1]}]
    lines = [f"name: {json.dumps(name)}", 'backend: "python"', f"max_batch_size: {max_batch}"]
    lines += [f"input {_message(each)}" for each in inputs] + [f"output {_message(each)}" for each in outputs]
    lines.append("dynamic_batching { max_queue_delay_microseconds: 2000 }")
    lines.append(f"instance_group [{{ kind: {'KIND_GPU' if gpu else 'KIND_CPU'} count: 1 }}]")
    device = "gpu:0" if gpu else "cpu"
    lines.append(f'parameters {{ key: "device" value {{ string_value: "{device}" }} }}')
    return "\n".join(lines) + "\n"


def _message(entry: Mapping[str, Any]) -> str:
    """A message of protobuf's text form."""

    def value(item: Any) -> str:
        if isinstance(item, bool):
            return str(item).lower()
        if isinstance(item, Sequence) and not isinstance(item, str):
            return "[" + ", ".join(map(str, item)) + "]"
        return item if str(item).startswith("TYPE_") else json.dumps(item)

    return "{ " + " ".join(f"{key}: {value(item)}" for key, item in entry.items()) + " }"


MODEL = '''"""A bundle of ppmm in Triton's Python back end. Inputs are fields; an empty element: it is absent."""

import json
import os

import numpy as np
import triton_python_backend_utils as triton

from ppmm.errors import PpmmError
from ppmm.runtime import Predictor


class TritonPythonModel:
    def initialize(self, args):
        config = json.loads(args["model_config"])
        folder = os.path.join(args["model_repository"], args["model_version"], "bundle")
        self.predictor = Predictor(folder, device=config["parameters"]["device"]["string_value"])
        self.predictor.warm_up()

    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        try:
            results = self.predictor.predict(self.samples(request))
        except PpmmError as error:
            return triton.InferenceResponse(error=triton.TritonError(str(error)))
        texts = np.array([[json.dumps(result, ensure_ascii=False).encode()] for result in results], dtype=object)
        return triton.InferenceResponse([triton.Tensor("result", texts)])

    def samples(self, request):
        columns = {}
        for name, field in self.predictor.fields.items():
            tensor = triton.get_input_tensor_by_name(request, name)
            if tensor is not None:
                columns[name] = [self.value(field.kind, row) for row in tensor.as_numpy()]
        rows = range(max(map(len, columns.values()), default=0))
        return [{name: column[row] for name, column in columns.items() if column[row] is not None} for row in rows]

    @staticmethod
    def value(kind, row):
        if kind == "numeric":
            return row
        content = row.reshape(-1)[0]
        if not content:
            return None
        return content.decode("utf-8", errors="replace") if kind in ("text", "tokens") else bytes(content)
'''
