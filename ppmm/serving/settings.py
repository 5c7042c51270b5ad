"""What a server is told: addresses, limits and patience."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from ppmm.errors import ConfigError

__all__ = ["ServeSettings"]


@dataclasses.dataclass(frozen=True)
class ServeSettings:
    """How to serve.

    Args:
        host: address to listen on; 127.0.0.1 is this machine only.
        http_port: of REST and the web page.
        grpc_port: of gRPC; 0 for none.
        device: ``cpu`` or ``gpu:0``.
        backend: of the predictors; ``auto`` measures at the first start on a machine.
        threads: of the math library, for each predictor.
        replicas: predictors over the same weights that answer at the same time.
        max_batch: samples that are answered together at most.
        max_delay_ms: how long a batch waits for requests that are already being decoded.
        queue: samples that may be on their way; more are refused with 429.
        deadline: seconds after which a request is given up, where the client names none.
        decoders: processes that decode files; a core each, and one for the server.
        decode_seconds: after which one file's decoding is killed.
        max_body_mb: of a request.
        body_seconds: that a client may take to send it.
        max_samples: of a request.
        max_pixels: of a picture.
        max_audio_seconds: of a sound.
        drain_seconds: how long accepted requests may take after SIGTERM.
        watch_seconds: how often bundles are looked at for a new version; 0 for never.
        api_key: asked of every request but health checks; None for none.
        certificate: PEM file for TLS, with ``key``.
        key: PEM file.
        origins: other web pages that may call this server (CORS).
        index: folder of a vector index over a retrieval bundle; None for no search.
    """

    host: str = "127.0.0.1"
    http_port: int = 8000
    grpc_port: int = 8001
    device: str = "cpu"
    backend: str = "auto"
    threads: int = 1
    replicas: int = 1
    max_batch: int = 16
    max_delay_ms: float = 2.0
    queue: int = 256
    deadline: float = 10.0
    decoders: int = max(1, (os.cpu_count() or 1) - 1)
    decode_seconds: float = 5.0
    max_body_mb: int = 32
    body_seconds: float = 20.0
    max_samples: int = 64
    max_pixels: int = 50_000_000
    max_audio_seconds: float = 60.0
    drain_seconds: float = 30.0
    watch_seconds: float = 0.0
    api_key: str | None = None
    certificate: Path | None = None
    key: Path | None = None
    origins: tuple[str, ...] = ()
    index: Path | None = None

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            zero = field.name in ("grpc_port", "watch_seconds", "max_delay_ms")
            if isinstance(value, int | float) and (value < 0 or (value == 0 and not zero)):
                raise ConfigError(f"--{field.name.replace('_', '-')} must be {'at least 0' if zero else 'positive'}")
        if (self.certificate is None) != (self.key is None):
            raise ConfigError("TLS needs both --certificate and --key")
        for path in (self.certificate, self.key):
            if path is not None and not path.is_file():
                raise ConfigError(f"{path} is not there: a PEM file was named for TLS")
        if self.max_batch > self.queue:
            raise ConfigError(f"--max-batch {self.max_batch} is more than --queue {self.queue}")
