"""Unmodified clients of the Open Inference Protocol, and forms, get the predictor's answers."""

from __future__ import annotations

import base64
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from tritonclient.utils import InferenceServerException

from ppmm.runtime import Predictor

from served import BUNDLE, SAMPLES, TOWERS, form, serving, tensors  # isort: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Any:
    log = tmp_path_factory.mktemp("log") / "log"
    with serving(f"digits={BUNDLE}", f"scenes={TOWERS}", log=log, max_body_mb=8, max_pixels=100_000) as each:
        yield each


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(BUNDLE)


@pytest.fixture(params=["http", "grpc"])
def client(request: pytest.FixtureRequest, server: Any) -> Any:
    if request.param == "http":
        return triton_http, triton_http.InferenceServerClient(f"127.0.0.1:{server.http}")
    return triton_grpc, triton_grpc.InferenceServerClient(f"127.0.0.1:{server.grpc}")


def test_health_and_metadata(client: Any, server: Any) -> None:
    _, each = client
    assert each.is_server_live() and each.is_server_ready() and each.is_model_ready("digits")
    found = httpx.get(f"{server.url}/v2/models/digits").json()
    assert [entry["name"] for entry in found["inputs"]] == ["image", "audio", "text"]
    assert [entry["name"] for entry in found["outputs"]] == ["logits", "result"]
    assert httpx.get(f"{server.url}/healthz").json() == {"status": "alive"}
    assert httpx.get(f"{server.url}/openapi.json").json()["paths"]["/predict"]["post"]


@pytest.mark.parametrize("fields", [("image", "audio", "text"), ("text",), ("image", "audio"), ("audio",)])
def test_answers_equal_the_predictors_bit_for_bit(client: Any, predictor: Predictor, fields: tuple[str, ...]) -> None:
    module, each = client
    for sample in SAMPLES[:4]:
        part = {field: sample[field] for field in fields}
        found = each.infer("digits", tensors(module, [part]))
        np.testing.assert_array_equal(found.as_numpy("logits"), predictor.outputs([part])["logits"])
        assert json.loads(found.as_numpy("result")[0]) == predictor.predict([part])[0]
    several = each.infer("digits", tensors(module, [{f: s[f] for f in fields} for s in SAMPLES]))
    expected = predictor.outputs([{f: s[f] for f in fields} for s in SAMPLES])["logits"]
    np.testing.assert_array_equal(several.as_numpy("logits"), expected)


def test_an_output_can_be_asked_for(client: Any) -> None:
    module, each = client
    wanted = [module.InferRequestedOutput("logits")]
    found = each.infer("digits", tensors(module, SAMPLES[:1]), outputs=wanted)
    assert found.as_numpy("logits").shape == (1, 21) and found.as_numpy("result") is None
    with pytest.raises(InferenceServerException, match="no output named 'logit'"):
        each.infer("digits", tensors(module, SAMPLES[:1]), outputs=[module.InferRequestedOutput("logit")])


def test_towers(client: Any) -> None:
    module, each = client
    predictor = Predictor(TOWERS)
    (expected,) = predictor.outputs([{"text": SAMPLES[0]["text"]}], graph="text_tower").values()
    found = each.infer("scenes", tensors(module, [{"text": SAMPLES[0]["text"]}]))
    np.testing.assert_array_equal(found.as_numpy("text_embed"), expected)


def test_an_empty_element_is_an_absent_field(client: Any, predictor: Predictor) -> None:
    module, each = client
    mixed = [{"image": SAMPLES[0]["image"], "text": "yes?"}, {"image": b"", "text": SAMPLES[1]["text"]}]
    found = each.infer("digits", tensors(module, mixed)).as_numpy("logits")
    expected = predictor.outputs([mixed[0], {"text": mixed[1]["text"]}])["logits"]
    np.testing.assert_array_equal(found, expected)


def test_json_has_files_in_base64(server: Any, predictor: Predictor) -> None:
    sample = SAMPLES[0]
    inputs = [
        {"name": "image", "shape": [1, 1], "datatype": "BYTES", "data": [[base64.b64encode(sample["image"]).decode()]]},
        {"name": "text", "shape": [1], "datatype": "BYTES", "data": [sample["text"]]},
    ]
    answer = httpx.post(f"{server.url}/v2/models/digits/infer", json={"id": "7", "inputs": inputs})
    body = answer.json()
    assert answer.status_code == 200 and body["id"] == "7"
    outputs = {entry["name"]: entry for entry in body["outputs"]}
    expected = predictor.outputs([{"image": sample["image"], "text": sample["text"]}])["logits"]
    np.testing.assert_array_equal(np.float32(outputs["logits"]["data"]).reshape(1, 21), expected)


def test_forms_with_any_subset(server: Any, predictor: Predictor) -> None:
    for fields in (("image", "audio", "text"), ("image",), ("text",)):
        part = {field: SAMPLES[3][field] for field in fields}
        answer = httpx.post(f"{server.url}/predict?model=digits", files=form(part))
        assert answer.status_code == 200, answer.text
        assert answer.json()["result"] == predictor.predict([part])[0]


def test_requests_of_different_lengths_and_fields_are_answered_together(server: Any, predictor: Predictor) -> None:
    parts = [{f: s[f] for f in kept} for s in SAMPLES for kept in (("image", "audio", "text"), ("text",), ("audio",))]
    expected = [predictor.outputs([part])["logits"] for part in parts]
    batches = _batches(server)
    barrier = threading.Barrier(12)

    def ask(start: int) -> list[np.ndarray]:
        each = triton_http.InferenceServerClient(f"127.0.0.1:{server.http}")
        barrier.wait(30)
        chosen = parts[start::12]
        return [each.infer("digits", tensors(triton_http, [part])).as_numpy("logits") for part in chosen]

    with ThreadPoolExecutor(12) as executor:
        found = list(executor.map(ask, range(12)))
    for start, rows in enumerate(found):
        for row, want in zip(rows, expected[start::12], strict=True):
            np.testing.assert_allclose(row, want, atol=1e-5)
    count, total = (after - before for after, before in zip(_batches(server), batches, strict=True))
    assert total == len(parts) and count < total


def _batches(server: Any) -> tuple[float, float]:
    """Batches and samples so far."""
    values = {}
    for line in httpx.get(f"{server.url}/metrics").text.splitlines():
        if line.startswith(("ppmm_batch_samples_count", "ppmm_batch_samples_sum")) and 'model="digits"' in line:
            values[line.split("{")[0]] = float(line.rsplit(" ", 1)[1])
    return values.get("ppmm_batch_samples_count", 0.0), values.get("ppmm_batch_samples_sum", 0.0)


def png(width: int, height: int) -> bytes:
    import cv2

    return bytes(cv2.imencode(".png", np.zeros((height, width), np.uint8))[1])


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "none of the fields"),
        ({"imgae": ("a.png", b"x")}, "no field named 'imgae'; did you mean 'image'"),
        ({"image": (None, "/etc/passwd")}, "send the bytes of a file"),
        ({"audio": (None, "../../secret.wav")}, "send the bytes of a file"),
        ({"image": ("a.png", b"not a picture")}, "sample 0 image:"),
        ({"image": ("a.png", SAMPLES[0]["image"][:60])}, "sample 0 image:"),
        ({"audio": ("a.wav", b"RIFF" + bytes(40))}, "sample 0 audio:"),
        ({"text": ("a.txt", b"\xff\xfe\x00")}, "text is a file, and a text is wanted"),
        ({"text": (None, "   ")}, "sample 0 text:"),
        ({"image": ("a.png", png(1000, 1000))}, "100,000"),
    ],
)
def test_bad_forms(server: Any, files: Any, words: str) -> None:
    sent = {"files": files} if files else {"data": {}}
    answer = httpx.post(f"{server.url}/predict?model=digits", **sent)
    assert answer.status_code == 400 and words in answer.json()["error"], answer.text


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "not a request"),
        (b"[]", "must be a JSON object"),
        (b"{}", "'inputs' must be a list"),
        (b'{"inputs": []}', "no samples"),
        (b'{"inputs": [1]}', "needs a 'name'"),
        (b'{"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES"}]}', "must have the 1 elements"),
        (b'{"inputs": [{"name": "text", "shape": [2], "datatype": "BYTES", "data": ["a"]}]}', "the 2 elements"),
        (b'{"inputs": [{"name": "text", "shape": [-1], "datatype": "BYTES", "data": []}]}', "whole numbers"),
        (b'{"inputs": [{"name": "text", "shape": [1], "datatype": "STRING", "data": ["a"]}]}', "no datatype 'STRING'"),
        (b'{"inputs": [{"name": "text", "shape": [1], "datatype": "FP32", "data": [1]}]}', "must be BYTES"),
        (b'{"inputs": [{"name": "txt", "shape": [1], "datatype": "BYTES", "data": ["a"]}]}', "no input named 'txt'"),
        (b'{"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "data": ["%%%"]}]}', "base64"),
        (b'{"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": [' + b"[" * 5000 + b"]}]}", "not a"),
    ],
)
def test_bad_requests(server: Any, body: bytes, words: str) -> None:
    answer = httpx.post(f"{server.url}/v2/models/digits/infer", content=body)
    assert answer.status_code == 400 and words in answer.json()["error"], answer.text


@pytest.mark.parametrize("length", ["-1", "99999", "abc", "5"])
def test_a_wrong_length_of_the_json(server: Any, length: str) -> None:
    headers = {"inference-header-content-length": length}
    answer = httpx.post(f"{server.url}/v2/models/digits/infer", content=b'{"inputs": []}', headers=headers)
    assert answer.status_code == 400, answer.text


def test_bad_tensors_over_grpc(server: Any) -> None:
    client = triton_grpc.InferenceServerClient(f"127.0.0.1:{server.grpc}")
    (tensor,) = tensors(triton_grpc, [{"text": "which digit?"}])
    tensor._raw_content = b"\xff\xff\xff\xff"
    with pytest.raises(InferenceServerException, match="INVALID_ARGUMENT"):
        client.infer("digits", [tensor])
    with pytest.raises(InferenceServerException, match=r"NOT_FOUND.*no model 'none'"):
        client.infer("none", tensors(triton_grpc, [{"text": "a"}]))


def test_what_is_not_there(server: Any) -> None:
    assert httpx.post(f"{server.url}/v2/models/none/infer", json={"inputs": []}).status_code == 404
    assert httpx.post(f"{server.url}/predict?model=none", data={}).status_code == 404
    assert httpx.post(f"{server.url}/predict", files={"text": (None, "a")}).status_code == 404  # two models, none named
    assert httpx.get(f"{server.url}/nothing").status_code == 404
    assert httpx.get(f"{server.url}/predict").status_code == 405
    assert httpx.post(f"{server.url}/v2/repository/models/digits/unload").status_code == 404
    big = httpx.post(f"{server.url}/predict?model=digits", files={"image": ("a.png", bytes(9 << 20))})
    assert big.status_code == 413 and "more than 8388608 bytes" in big.text
    many = [{"name": "text", "shape": [65], "datatype": "BYTES", "data": ["a"] * 65}]
    answer = httpx.post(f"{server.url}/v2/models/digits/infer", json={"inputs": many})
    assert answer.status_code == 400 and "at most 64" in answer.text


def test_nothing_that_was_sent_is_logged(server: Any) -> None:
    httpx.post(f"{server.url}/predict?model=digits&note=secret-note", files={"text": (None, "secret words")})
    log = server.log.read_text()
    assert "secret" not in log and "/predict" in log
    request = next(line for line in server.lines() if line.get("path") == "/predict")
    assert {"time", "level", "event", "method", "path", "status", "ms"} == set(request)
    assert (
        "access-control-allow-origin" not in httpx.get(f"{server.url}/readyz", headers={"origin": "http://x"}).headers
    )
