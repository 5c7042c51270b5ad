"""Manifests for other platforms against the schemas that can be had offline, and the containers by a linter."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import kserve
import kubernetes.client
import numpy as np
import pytest
import yaml

from ppmm.errors import ExportError
from ppmm.runtime import Predictor
from ppmm.serving.manifests import kserve_manifest, triton_repository

from served import BUNDLE, ROOT, SAMPLES, free_port  # isort: skip


def test_every_key_of_the_manifest_is_one_of_kserve_or_kubernetes() -> None:
    document = yaml.safe_load(kserve_manifest("digits", "registry/ppmm-serve:gpu", "pvc://models/digits", gpus=1))
    predictor = document["spec"]["predictor"]
    (container,) = predictor["containers"]
    for part, known in (
        (document, kserve.V1beta1InferenceService),
        (document["spec"], kserve.V1beta1InferenceServiceSpec),
        (predictor, kserve.V1beta1PredictorSpec),
        (container, kubernetes.client.V1Container),
        (container["securityContext"], kubernetes.client.V1SecurityContext),
        (container["readinessProbe"], kubernetes.client.V1Probe),
        (container["resources"], kubernetes.client.V1ResourceRequirements),
        (container["ports"][0], kubernetes.client.V1ContainerPort),
    ):
        assert set(part) <= set(known.attribute_map.values()), known
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1" and "gpu:0" in container["args"]
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": 8080}


@pytest.mark.parametrize(
    ("name", "replicas", "words"),
    [
        ("Digits", (1, 2), "cannot name a service"),
        ("a" * 64, (1, 2), "cannot name"),
        ("digits", (3, 2), "least <= most"),
    ],
)
def test_a_bad_manifest(name: str, replicas: tuple[int, int], words: str) -> None:
    with pytest.raises(ExportError, match=words):
        kserve_manifest(name, "image:1", "pvc://a/b", replicas=replicas)


def test_the_arguments_of_the_manifest_are_the_servers() -> None:
    container = yaml.safe_load(kserve_manifest("digits", "i:1", "pvc://a/b"))["spec"]["predictor"]["containers"][0]
    done = subprocess.run(
        [sys.executable, "deploy/serve.py", *container["args"], "--http-port", str(free_port())],
        capture_output=True, text=True, cwd=ROOT, check=False,
    )  # fmt: skip
    assert "/mnt/models is not a bundle" in done.stderr


PARSE = """
import sys
from google.protobuf import json_format, text_format
from tritonclient.grpc import model_config_pb2
print(json_format.MessageToJson(text_format.Parse(open(sys.argv[1]).read(), model_config_pb2.ModelConfig())))
"""
"""In a process of its own: KServe and tritonclient have messages of one name."""


def test_tritons_schema_reads_the_config(tmp_path: Path) -> None:
    folder = triton_repository(BUNDLE, tmp_path, "digits", max_batch=8)
    command = [sys.executable, "-c", PARSE, str(folder / "config.pbtxt")]
    config = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert config["name"] == "digits" and config["backend"] == "python" and config["maxBatchSize"] == 8
    assert [(each["name"], each["optional"]) for each in config["input"]] == [
        ("image", True), ("audio", True), ("text", True),
    ]  # fmt: skip
    with pytest.raises(ExportError, match="is there already"):
        triton_repository(BUNDLE, tmp_path, "digits")
    with pytest.raises(ExportError, match="cannot name a model"):
        triton_repository(BUNDLE, tmp_path, "../digits")


def test_the_model_of_triton_answers_as_the_predictor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for Triton's own module, which is only there inside of Triton."""

    class Tensor:
        def __init__(self, name: str, array: np.ndarray) -> None:
            self.name, self.array = name, array

        def as_numpy(self) -> np.ndarray:
            return self.array

    class Response:
        def __init__(self, tensors: Any = (), error: Any = None) -> None:
            self.tensors, self.error = tensors, error

    stand_in: Any = types.ModuleType("triton_python_backend_utils")
    stand_in.Tensor, stand_in.InferenceResponse, stand_in.TritonError = Tensor, Response, str
    stand_in.get_input_tensor_by_name = lambda request, name: request.get(name)
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", stand_in)
    folder = triton_repository(BUNDLE, tmp_path, "digits")
    monkeypatch.syspath_prepend(str(folder / "1"))
    module = importlib.import_module("model")
    model = module.TritonPythonModel()
    config = json.dumps({"parameters": {"device": {"string_value": "cpu"}}})
    model.initialize({"model_config": config, "model_repository": str(folder), "model_version": "1"})
    texts = [SAMPLES[0]["text"].encode(), SAMPLES[1]["text"].encode()]
    images = [SAMPLES[0]["image"], b""]
    request = {
        "text": Tensor("text", np.array([[text] for text in texts], dtype=object)),
        "image": Tensor("image", np.array([[image] for image in images], dtype=object)),
    }
    good, bad = model.execute([request, {"image": Tensor("image", np.array([[b"no"]], dtype=object))}])
    found = [json.loads(row[0]) for row in good.tensors[0].as_numpy()]
    expected = Predictor(BUNDLE).predict(
        [{"text": SAMPLES[0]["text"], "image": images[0]}, {"text": SAMPLES[1]["text"]}]
    )
    assert found == expected
    assert "sample 0 image" in bad.error


@pytest.mark.parametrize("name", ["cpu.Dockerfile", "gpu.Dockerfile"])
def test_containers_pass_the_linter(name: str) -> None:
    linter = Path(sys.executable).with_name("hadolint")
    path = ROOT / "deploy" / "containers" / name
    done = subprocess.run([str(linter), str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    for line in path.read_text().splitlines():  # what is copied is there
        if line.startswith("COPY"):
            assert all((ROOT / each).exists() for each in line.split()[1:-1])
