"""Many clients of a server at once, by locust."""

from __future__ import annotations

import struct
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ppmm.errors import ExportError

__all__ = ["run_clients"]

LENGTH = "inference-header-content-length"


def run_clients(
    url: str,
    model: str,
    samples: Sequence[Mapping[str, Any]],
    clients: int,
    rows: int,
    seconds: float,
    rate: float | None = None,
) -> dict[str, float]:
    """Ask without pause, or ``rate`` requests a second in all at random times, over the Open Inference Protocol.

    Args:
        url: of the server.
        model: its name.
        samples: raw, sent in turn.
        clients: at the same time.
        rows: samples of a request.
        seconds: how long.
        rate: requests a second; None for as many as go.

    Returns: ``requests_per_second``, ``samples_per_second``, ``p50_ms``, ``p90_ms``, ``p99_ms``.
    Raises ExportError where a request is not answered with 200.
    """
    import gevent
    from locust import FastHttpUser, task
    from locust.env import Environment

    bodies = [_body([samples[(start + row) % len(samples)] for row in range(rows)]) for start in range(len(samples))]
    times: list[float] = []

    rng = np.random.default_rng(0)

    def pause() -> float:
        """Seconds between two requests of one client: their times are those of a Poisson process."""
        return float(rng.exponential(clients / rate)) if rate else 0.0

    class Client(FastHttpUser):
        host = url

        def on_start(self) -> None:
            self.number = 0
            self.next = time.monotonic() + pause()

        def wait_time(self) -> float:
            self.next += pause()
            return max(0.0, self.next - time.monotonic())

        @task
        def ask(self) -> None:
            body, headers = bodies[self.number % len(bodies)]
            self.number += 1
            self.client.post(f"/v2/models/{model}/infer", data=body, headers=headers)

    environment = Environment(user_classes=[Client])
    environment.events.request.add_listener(lambda response_time, **_: times.append(response_time))
    runner = environment.create_local_runner()
    runner.start(clients, spawn_rate=clients)
    gevent.sleep(min(2.0, seconds / 4))
    began = len(times)
    gevent.sleep(seconds)
    counted = times[began:]
    runner.quit()
    failed = environment.stats.total.num_failures
    if failed or not counted:
        errors = "; ".join(str(each.error) for each in environment.stats.errors.values()) or "no answer"
        raise ExportError(f"{failed} of {len(times)} requests failed: {errors}")
    return _figures(counted, seconds, rows)


def _figures(times: Sequence[float], seconds: float, rows: int) -> dict[str, float]:
    """Rates and percentiles of the milliseconds of requests."""
    p50, p90, p99 = (float(value) for value in np.percentile(times, (50, 90, 99)))
    per_second = len(times) / seconds
    return {
        "requests_per_second": round(per_second, 1),
        "samples_per_second": round(per_second * rows, 1),
        "p50_ms": round(p50, 3),
        "p90_ms": round(p90, 3),
        "p99_ms": round(p99, 3),
    }


def _body(samples: Sequence[Mapping[str, Any]]) -> tuple[bytes, dict[str, str]]:
    """A request in the protocol's binary form; a field that some samples lack is left empty there."""
    import json

    inputs, tensors = [], b""
    for name in dict.fromkeys(name for sample in samples for name in sample):
        values = [sample.get(name, b"") for sample in samples]
        if not all(isinstance(value, bytes | str) for value in values):
            raise ExportError(f"the field '{name}' is neither text nor a file: this test does not send numbers")
        encoded = [value.encode() if isinstance(value, str) else value for value in values]
        data = b"".join(struct.pack("<I", len(value)) + value for value in encoded)
        inputs.append(
            {
                "name": name,
                "shape": [len(values), 1],
                "datatype": "BYTES",
                "parameters": {"binary_data_size": len(data)},
            }
        )
        tensors += data
    head = json.dumps({"inputs": inputs}).encode()
    return head + tensors, {"content-type": "application/octet-stream", LENGTH: str(len(head))}
