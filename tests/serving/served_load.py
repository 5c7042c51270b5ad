"""Under load: a full queue, deadlines, killed decoders, new versions, SIGTERM; and keys, TLS, slow clients."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
import tritonclient.grpc as triton_grpc
from tritonclient.utils import InferenceServerException

from served import BUNDLE, SAMPLES, TOWERS, form, serving, tensors  # isort: skip


class Load:
    """Requests without pause from several threads."""

    def __init__(self, server: Any, clients: int = 4) -> None:
        self.url, self.stopped = server.url, threading.Event()
        self.codes: list[int] = []
        self.versions: set[str] = set()
        self.threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(clients)]

    def _ask(self, number: int) -> None:
        with httpx.Client(timeout=60) as client:
            while not self.stopped.is_set():
                try:
                    answer = client.post(f"{self.url}/predict", files=form(SAMPLES[number]))
                except httpx.ConnectError:
                    return  # the server has ended; a request that was accepted must not be lost
                except httpx.HTTPError as error:
                    self.codes.append(-1)
                    print(repr(error))
                    return
                self.codes.append(answer.status_code)
                if answer.status_code == 200:
                    self.versions.add(answer.json()["version"])

    def __enter__(self) -> Load:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        for thread in self.threads:
            thread.join()

    def wait_for(self, count: int) -> None:
        """Until so many more were answered."""
        goal, end = len(self.codes) + count, time.monotonic() + 60
        while len(self.codes) < goal and time.monotonic() < end:
            time.sleep(0.02)
        assert len(self.codes) >= goal


def test_killed_decoders_lose_no_request(tmp_path: Path) -> None:
    with serving(f"digits={BUNDLE}", log=tmp_path / "log", decoders=2) as server, Load(server) as load:
        load.wait_for(20)
        for _ in range(3):
            before = server.decoders()
            assert before
            for pid in before[:1]:
                os.kill(pid, signal.SIGKILL)
            load.wait_for(30)
        load.stopped.set()
    assert set(load.codes) == {200}


def test_sigterm_answers_what_was_accepted(tmp_path: Path) -> None:
    with serving(f"digits={BUNDLE}", log=tmp_path / "log") as server:
        with Load(server, 8) as load:
            load.wait_for(20)
            code = server.stop()
        assert code == 0, server.log.read_text()[-2000:]
        assert set(load.codes) <= {200, 503, -1} and load.codes.count(200) >= 20
        answered = [line["status"] for line in server.lines() if line.get("path") == "/predict"]
        assert set(answered) <= {200, 503}  # -1: a connection that was closed before its next request was read
        assert answered.count(200) == load.codes.count(200)
        assert server.lines()[-1]["event"] == "stopped"


def test_new_versions(tmp_path: Path) -> None:
    folder = tmp_path / "digits"
    shutil.copytree(BUNDLE, folder)
    with serving(str(folder), log=tmp_path / "log") as server, Load(server) as load:
        load.wait_for(20)
        shutil.rmtree(folder)
        shutil.copytree(TOWERS, folder)  # another model altogether
        load_it = f"{server.url}/v2/repository/models/digits/load"
        assert httpx.post(load_it, timeout=60).status_code == 200
        load.wait_for(20)
        (folder / "main.pdiparams").write_bytes(b"broken")
        (folder / "bundle.yaml").write_text((folder / "bundle.yaml").read_text() + "\n")
        refused = httpx.post(load_it, timeout=60)
        assert refused.status_code == 503 and "was changed after the export" in refused.text
        load.wait_for(20)
    assert set(load.codes) == {200} and len(load.versions) == 2


def test_a_watched_folder(tmp_path: Path) -> None:
    folder = tmp_path / "digits"
    shutil.copytree(BUNDLE, folder)
    with serving(str(folder), log=tmp_path / "log", watch_seconds=0.2) as server:
        (folder / "bundle.yaml").write_text("format: 2\n")
        _until(lambda: any(line["event"] == "new version refused" for line in server.lines()))
        assert httpx.post(f"{server.url}/predict", files={"text": (None, "which digit?")}).status_code == 200
        shutil.rmtree(folder)
        shutil.copytree(TOWERS, folder)
        _until(lambda: any(line["event"] == "new version" for line in server.lines()))
        answer = httpx.post(f"{server.url}/predict", files={"text": (None, "which digit?")}).json()
        assert "embeddings" in answer["result"]


def _until(done: Any, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        time.sleep(0.05)
    assert done()


def test_a_full_queue_and_deadlines(tmp_path: Path) -> None:
    async def flood(url: str) -> list[httpx.Response]:
        async with httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=64)) as client:
            asked = [client.post(f"{url}/predict", files=form(SAMPLES[0])) for _ in range(60)]
            return list(await asyncio.gather(*asked))

    with serving(f"digits={BUNDLE}", log=tmp_path / "log", queue=4, max_batch=2, decoders=1) as server:
        answers = asyncio.run(flood(server.url))
        codes = [answer.status_code for answer in answers]
        assert set(codes) == {200, 429} and codes.count(200) >= 4
        refused = next(answer for answer in answers if answer.status_code == 429)
        assert refused.headers["retry-after"] == "1" and "try again" in refused.json()["error"]
        client = triton_grpc.InferenceServerClient(f"127.0.0.1:{server.grpc}")
        with pytest.raises(InferenceServerException, match="DEADLINE_EXCEEDED"):
            client.infer("digits", tensors(triton_grpc, SAMPLES[:4]), client_timeout=0.0005)
        inputs = [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["which digit?"]}]
        late = httpx.post(
            f"{server.url}/v2/models/digits/infer", json={"inputs": inputs, "parameters": {"timeout": 10}}
        )
        assert late.status_code == 504 and late.headers["retry-after"] == "1"
        _until(lambda: 'ppmm_pending_samples{model="digits"} 0.0' in httpx.get(f"{server.url}/metrics").text)
        assert httpx.post(f"{server.url}/predict", files=form(SAMPLES[0])).status_code == 200


def test_clients_that_are_slow_or_go_away(tmp_path: Path) -> None:
    with serving(f"digits={BUNDLE}", log=tmp_path / "log", body_seconds=1) as server:
        slow = socket.create_connection(("127.0.0.1", server.http))
        slow.sendall(b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nabc")
        for _ in range(20):
            gone = socket.create_connection(("127.0.0.1", server.http))
            gone.sendall(b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nabc")
            gone.close()
        assert httpx.post(f"{server.url}/predict", files=form(SAMPLES[0])).status_code == 200
        slow.settimeout(10)
        assert b" 408 " in slow.recv(100)
        assert server.stop() == 0


def test_keys(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("correct horse\n")
    with serving(f"digits={BUNDLE}", log=tmp_path / "log", api_key_file=tmp_path / "key") as server:
        files = {"text": (None, "which digit?")}
        for headers in ({}, {"authorization": "Bearer wrong"}, {"x-api-key": b"\xe9"}):
            answer = httpx.post(f"{server.url}/predict", files=files, headers=headers)
            assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer"
        for headers in ({"authorization": "Bearer correct horse"}, {"x-api-key": "correct horse"}):
            assert httpx.post(f"{server.url}/predict", files=files, headers=headers).status_code == 200
        assert httpx.get(f"{server.url}/readyz").status_code == 200
        client = triton_grpc.InferenceServerClient(f"127.0.0.1:{server.grpc}")
        assert client.is_server_ready()
        with pytest.raises(InferenceServerException, match="UNAUTHENTICATED"):
            client.infer("digits", tensors(triton_grpc, SAMPLES[:1]))
        right = {"authorization": "Bearer correct horse"}
        assert client.infer("digits", tensors(triton_grpc, SAMPLES[:1]), headers=right).as_numpy("logits") is not None


def test_tls(tmp_path: Path) -> None:
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(tmp_path / "k.pem")]
    command += ["-out", str(tmp_path / "c.pem")]
    subprocess.run(command, check=True, capture_output=True)
    files = {"certificate": tmp_path / "c.pem", "key": tmp_path / "k.pem"}
    with serving(f"digits={BUNDLE}", log=tmp_path / "log", scheme="https", **files) as server:
        import ssl

        context = ssl.create_default_context(cafile=str(tmp_path / "c.pem"))
        answer = httpx.post(f"{server.url}/predict", files={"text": (None, "which digit?")}, verify=context)
        assert answer.status_code == 200
        client = triton_grpc.InferenceServerClient(
            f"127.0.0.1:{server.grpc}", ssl=True, root_certificates=str(tmp_path / "c.pem")
        )
        assert client.is_server_ready()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"queue": 4}, "--max-batch 16 is more than --queue 4"),
        ({"threads": 0}, "--threads must be positive"),
        ({"backend": "tensorrt"}, "it needs the device gpu"),
        ({"device": "gpu:0", "backend": "auto"}, "gpu:0 is not there"),
        ({"certificate": "c.pem"}, "TLS needs both"),
    ],
)
def test_what_cannot_be_served_is_said_at_once(tmp_path: Path, options: dict[str, Any], words: str) -> None:
    with pytest.raises(AssertionError) as failed, serving(str(BUNDLE), log=tmp_path / "log", **options):
        pass
    assert words in str(failed.value) and "Traceback" not in str(failed.value)


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(AssertionError) as failed, serving(str(BUNDLE), log=tmp_path / "log", http_port=port):
            pass
    assert "is something else there?" in str(failed.value) and "Traceback" not in str(failed.value)
