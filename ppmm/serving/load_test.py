"""A server under load: throughput against the bare predictor, tail latency, a soak, and thousands of bad requests."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ppmm.errors import ExportError
from ppmm.serving.bad_requests import bad_calls
from ppmm.serving.load_clients import run_clients

__all__ = ["test_load"]

BATCHES = (1, 2, 4, 8, 16, 32)
NAME = "model"
START_SECONDS = 120
SAMPLE_SECONDS = 5.0


class Running:
    """deploy/serve.py on a bundle."""

    def __init__(self, bundle: str, port: int, flags: Sequence[str], log: Path) -> None:
        import httpx

        script = Path(__file__).resolve().parents[2] / "deploy" / "serve.py"
        command = [
            sys.executable,
            str(script),
            f"{NAME}={bundle}",
            "--http-port",
            str(port),
            "--grpc-port",
            "0",
            *flags,
        ]
        with log.open("w") as file:
            self.process = subprocess.Popen(command, stdout=file, stderr=file)
        self.url = f"http://127.0.0.1:{port}"
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            try:
                if httpx.get(f"{self.url}/readyz").status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.2)
        self.stop()
        raise ExportError(f"the server did not start: {log.read_text(errors='replace')[-500:]}")

    def memory_mb(self) -> float:
        """Of its process and the decoders."""
        import psutil

        parent = psutil.Process(self.process.pid)
        return sum(each.memory_info().rss for each in [parent, *parent.children(recursive=True)]) / 1e6

    def stop(self) -> int:
        """Its exit code."""
        self.process.terminate()
        return self.process.wait(60)


def test_load(
    bundle: str,
    *,
    port: int,
    clients: int,
    rows: int,
    seconds: float,
    soak: float,
    malformed: int,
    flags: Sequence[str],
) -> dict[str, Any]:
    """Run every stage; prints a line for each, and returns the figures.

    Args:
        bundle: folder.
        port: for the server.
        clients: at the same time.
        rows: samples of a request.
        seconds: of each stage.
        soak: seconds of the soak; 0 for none.
        malformed: bad requests; 0 for none.
        flags: for deploy/serve.py.

    Raises ExportError of a bundle that cannot be served, or has no golden samples.
    """
    figures: dict[str, Any] = {"bundle": Path(bundle).name, "clients": clients, "rows": rows, "flags": list(flags)}
    samples, bare = _bare(bundle, flags)
    figures["bare"] = bare
    _say("bare predictor", f"{bare['samples_per_second']:.0f} samples/s at batch {bare['batch']}")
    log = Path(f"{bundle.rstrip('/')}.load_test.log")
    server = Running(bundle, port, flags, log)
    try:
        figures.update(_loaded(server, samples, clients, rows, seconds, bare["samples_per_second"]))
        if soak:
            figures["soak"] = _soak(server, samples, clients, soak)
        if malformed:
            figures["malformed"] = _malformed(server, samples[0], malformed)
    finally:
        figures["exit_code"] = server.stop()
    _say("stopped", f"exit code {figures['exit_code']}; its log is {log}")
    return figures


test_load.__test__ = False  # type: ignore[attr-defined]


def _bare(bundle: str, flags: Sequence[str]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Golden samples, and the predictor's best throughput without a server, from bytes to answers."""
    from ppmm.runtime import Predictor

    given = dict(zip(flags[::2], flags[1::2], strict=False))
    predictor = Predictor(bundle, given.get("--backend", "auto"), int(given.get("--threads", 1)))  # type: ignore[arg-type]
    golden = predictor.bundle.golden
    if golden is None:
        raise ExportError(f"{bundle} has no golden samples (export.golden: 0): there is nothing to send")
    rates = {}
    for batch in BATCHES:
        some = [golden.samples[row % len(golden.samples)] for row in range(batch)]
        predictor.predict(some)
        times: list[float] = []
        end = time.perf_counter() + 1.5
        while time.perf_counter() < end or len(times) < 3:
            began = time.perf_counter()
            predictor.predict(some)
            times.append(time.perf_counter() - began)
        rates[batch] = batch / float(np.median(times))
    best = max(rates, key=lambda batch: rates[batch])
    return golden.samples, {
        "samples_per_second": round(rates[best], 1),
        "batch": best,
        "batch_1_ms": round(1e3 / rates[1], 3),
        "backend": predictor.backend,
    }


def _loaded(
    server: Running, samples: Sequence[Mapping[str, Any]], clients: int, rows: int, seconds: float, bare: float
) -> dict[str, Any]:
    one = run_clients(server.url, NAME, samples, 1, 1, seconds / 2)
    _say("one client", f"p50 {one['p50_ms']:.2f} ms, p99 {one['p99_ms']:.2f} ms")
    full = run_clients(server.url, NAME, samples, clients, rows, seconds)
    full["of_bare"] = round(full["samples_per_second"] / bare, 3)
    _say(
        f"{clients} clients", f"{full['samples_per_second']:.0f} samples/s, {full['of_bare']:.2f} of the bare predictor"
    )
    rate = 0.7 * full["requests_per_second"]
    most = run_clients(server.url, NAME, samples, clients, rows, seconds, rate)
    most["p99_of_one_client"] = round(most["p99_ms"] / one["p50_ms"], 2)
    _say(
        "at 70 % load",
        f"p50 {most['p50_ms']:.2f} ms, p99 {most['p99_ms']:.2f} ms, {most['p99_of_one_client']:.1f} x one client",
    )
    return {"one_client": one, "full_load": full, "at_70_percent": most}


def _soak(server: Running, samples: Sequence[Mapping[str, Any]], clients: int, seconds: float) -> dict[str, Any]:
    """Memory over time under load; its growth from the end of the first fifth to the end."""
    process = subprocess.Popen(
        [sys.executable, "-c", SOAK, server.url, NAME, str(clients), str(seconds)], stdin=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(json.dumps(_packed(samples)))
    process.stdin.close()
    memory = []
    while process.poll() is None:
        time.sleep(SAMPLE_SECONDS)
        memory.append(server.memory_mb())
    if process.returncode:
        raise ExportError("the soak failed: a request was not answered")
    settled, last = memory[len(memory) // 5], float(np.median(memory[-3:]))
    growth = last / settled - 1
    _say("soak", f"{seconds:.0f} s: {settled:.0f} MB after a fifth, {last:.0f} MB at the end ({100 * growth:+.1f} %)")
    return {"seconds": seconds, "settled_mb": round(settled, 1), "last_mb": round(last, 1), "growth": round(growth, 4)}


SOAK = """
import json, sys, base64
from ppmm.serving.load_clients import run_clients
read = lambda value: base64.b64decode(value["b"]) if isinstance(value, dict) else value
rows = [{name: read(value) for name, value in row.items()} for row in json.load(sys.stdin)]
run_clients(sys.argv[1], sys.argv[2], rows, int(sys.argv[3]), 1, float(sys.argv[4]))
"""


def _packed(samples: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Samples for JSON."""

    def packed(value: Any) -> Any:
        return {"b": base64.b64encode(value).decode()} if isinstance(value, bytes) else value

    return [{name: packed(value) for name, value in row.items()} for row in samples]


def _malformed(server: Running, sample: Mapping[str, Any], count: int) -> dict[str, Any]:
    """Statuses by kind of bad request; and whether the server answers a good one as before."""
    import httpx

    def good() -> Any:
        files = {n: (f"{n}.bin", v) if isinstance(v, bytes) else (None, v) for n, v in sample.items()}
        return httpx.post(f"{server.url}/predict?model={NAME}", files=files, timeout=30).json()["result"]

    before = good()
    codes: dict[str, Counter[str]] = {}
    wrong = 0
    with httpx.Client(timeout=60) as client:
        for call in bad_calls(NAME, sample, count, 32 << 20):
            answer = client.post(server.url + call.path, content=call.body, headers=call.headers)
            codes.setdefault(call.kind, Counter())[str(answer.status_code)] += 1
            fine = 400 <= answer.status_code < 500 or (call.may_pass and answer.status_code == 200)
            wrong += not fine
    same = good() == before
    sent = sum(sum(each.values()) for each in codes.values())
    _say("bad requests", f"{sent}, {wrong} not refused with 4xx; the server answers as before: {same}")
    return {"sent": sent, "wrong": wrong, "same_answer_after": same, "codes": {k: dict(v) for k, v in codes.items()}}


def _say(stage: str, words: str) -> None:
    print(f"{stage:>16}: {words}", flush=True)
