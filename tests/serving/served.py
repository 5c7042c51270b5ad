"""A server for the checks, as a user starts it, and clients."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil

ROOT = Path(__file__).parents[2]
BUNDLE, TOWERS = (Path(os.environ[f"PPMM_TEST_{name}"]) for name in ("BUNDLE", "TOWERS"))
ROWS = json.loads(Path(os.environ["PPMM_TEST_SAMPLES"]).read_text())
SAMPLES = [{name: Path(value).read_bytes() if name != "text" else value for name, value in row.items()} for row in ROWS]
START_SECONDS = 90


class Server:
    """A running deploy/serve.py."""

    def __init__(self, process: subprocess.Popen[str], http: int, grpc: int, log: Path, scheme: str) -> None:
        self.process, self.http, self.grpc, self.log = process, http, grpc, log
        self.url = f"{scheme}://127.0.0.1:{http}"

    def lines(self) -> list[dict[str, Any]]:
        """Of the log."""
        text = self.log.read_text(errors="replace").splitlines()
        return [json.loads(line) for line in text if line.startswith("{")]

    def decoders(self) -> list[int]:
        """Process ids of the decoders."""
        found = []
        for each in psutil.Process(self.process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):  # one that has just been killed
                if any("spawn_main" in word for word in each.cmdline()):
                    found.append(each.pid)
        return found

    def stop(self, number: int = signal.SIGTERM, seconds: float = 60) -> int:
        """Ask it to stop; its exit code."""
        self.process.send_signal(number)
        return self.process.wait(seconds)


def free_port() -> int:
    with socket.socket() as each:
        each.bind(("127.0.0.1", 0))
        return int(each.getsockname()[1])


@contextlib.contextmanager
def serving(*bundles: str, log: Path, scheme: str = "http", env: Any = None, **options: Any) -> Iterator[Server]:
    """A server of these bundles that is ready; killed at the end where it still runs."""
    http, grpc = free_port(), free_port()
    given = {"http_port": http, "grpc_port": grpc, "backend": "onednn", **options}
    flags = [part for name, value in given.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "deploy/serve.py", *bundles, *flags], stdout=file, stderr=file, text=True, cwd=ROOT,
            env={**os.environ, **(env or {})},
        )  # fmt: skip
    server = Server(process, http, grpc, log, scheme)
    try:
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and process.poll() is None:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{server.url}/readyz", verify=False).status_code == 200:
                    break
            time.sleep(0.1)
        else:
            raise AssertionError(f"no server: {log.read_text()[-3000:]}")
        yield server
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def tensors(module: Any, samples: list[dict[str, Any]]) -> list[Any]:
    """Inputs of a tritonclient for samples that have the same fields."""
    inputs = []
    for name in samples[0]:
        column = [value.encode() if isinstance(value, str) else value for value in (each[name] for each in samples)]
        array = np.empty((len(samples), 1), dtype=object)
        array[:, 0] = column
        tensor = module.InferInput(name, [len(samples), 1], "BYTES")
        tensor.set_data_from_numpy(array)
        inputs.append(tensor)
    return inputs


def form(sample: dict[str, Any]) -> dict[str, Any]:
    """The same sample for httpx."""
    return {name: (None, value) if isinstance(value, str) else (f"{name}.bin", value) for name, value in sample.items()}
