"""What is counted for Prometheus, and the log: one JSON object a line, never anything that a user has sent."""

from __future__ import annotations

import json
import logging
import sys
import time

from prometheus_client import Counter, Gauge, Histogram

__all__ = ["BATCH", "LOADS", "LOG", "PENDING", "REFUSED", "SAMPLES", "SECONDS", "log_to_stderr"]

SAMPLES = Counter("ppmm_samples", "Samples answered", ["model"])
REFUSED = Counter("ppmm_refused", "Requests refused", ["model", "reason"])
PENDING = Gauge("ppmm_pending_samples", "Samples accepted and not yet answered", ["model"])
LOADS = Counter("ppmm_loads", "Versions loaded", ["model"])
SECONDS = Histogram(
    "ppmm_answer_seconds", "From acceptance to answer", ["model"],
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
)  # fmt: skip
BATCH = Histogram("ppmm_batch_samples", "Samples answered together", ["model"], buckets=(1, 2, 4, 8, 16, 32, 64))
LOG = logging.getLogger("ppmm.serving")


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        facts = getattr(record, "facts", {})
        entry = {
            "time": round(time.time(), 3),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **facts,
        }
        return json.dumps(entry, ensure_ascii=False, default=str)


def log_to_stderr() -> None:
    """Let the log go to stderr, from information upwards."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json())
    LOG.handlers[:] = [handler]
    LOG.setLevel(logging.INFO)
    LOG.propagate = False
