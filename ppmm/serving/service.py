"""A bundle being served: admission, decoding, batching, and new versions without a failed request."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ppmm.errors import DataError, PpmmError
from ppmm.hashing import file_sha256
from ppmm.runtime.predictor import Predictor, PredictorPool
from ppmm.serving import metrics
from ppmm.serving.batcher import Answered, Arrays, Batcher
from ppmm.serving.decoder import Decoder
from ppmm.serving.refusals import BadRequest, Gone, Late, Overloaded
from ppmm.serving.settings import ServeSettings

__all__ = ["Service"]

IDLE_POLL = 0.02
RETRIES = 20


class _Version:
    """One loaded version of a bundle, until nobody needs it any more."""

    def __init__(self, folder: Path, settings: ServeSettings) -> None:
        """Load, self-test and warm up; takes seconds. Raises ExportError of a bundle that does not answer rightly."""
        self.digest = _digest(folder)
        self.predictor = Predictor(
            folder, settings.backend, settings.threads, device=settings.device  # type: ignore[arg-type]
        )  # fmt: skip
        self.predictor.warm_up(settings.max_batch)
        self.pool = PredictorPool(self.predictor, settings.replicas)
        limits = {"max_pixels": settings.max_pixels, "max_seconds": settings.max_audio_seconds}
        self.decoder = Decoder(folder, settings.decoders, settings.decode_seconds, limits)
        self.decoding = 0
        self.users = 0
        self.batcher: Batcher | None = None

    async def start(self, settings: ServeSettings, name: str) -> None:
        """Take requests from now on."""
        await self.decoder.start()
        self.batcher = Batcher(
            self._answer, settings.max_batch, settings.max_delay_ms / 1e3, settings.replicas, lambda: self.decoding
        )
        self.batcher.sizes = lambda size: metrics.BATCH.labels(name).observe(size)

    async def answer(self, samples: Sequence[Mapping[str, Any]], deadline: float) -> Answered:
        """Decode and answer the samples of a request."""
        if self.batcher is None:
            raise Gone("the model is not ready")
        self.decoding += len(samples)
        try:
            arrays = await asyncio.gather(*(self._convert(number, sample) for number, sample in enumerate(samples)))
        finally:
            self.decoding -= len(samples)
        return await self.batcher.submit(arrays, deadline)

    async def _convert(self, number: int, sample: Mapping[str, Any]) -> Arrays:
        try:
            return await self.decoder.convert(sample)
        except BadRequest as error:
            raise BadRequest(f"sample {number} {error}") from error

    def _answer(self, arrays: Sequence[Arrays]) -> Answered:
        with self.pool.take() as predictor:
            batch = predictor.collate(arrays)
            outputs = predictor.run(batch, predictor.graph_for(arrays))
            return Answered(predictor.read(batch, outputs), outputs)

    async def close(self) -> None:
        """Wait for those that still use it, then end its processes."""
        while self.users:
            await asyncio.sleep(IDLE_POLL)
        if self.batcher is not None:
            await self.batcher.close()
        await asyncio.to_thread(self.decoder.close)


class Service:
    """A named bundle.

    Args:
        name: in addresses.
        folder: of the bundle; a new export there is a new version.
        settings: of the server.
    """

    def __init__(self, name: str, folder: Path, settings: ServeSettings) -> None:
        self.name, self.folder, self.settings = name, folder, settings
        self.version: _Version | None = None
        self.pending = 0
        self.loading = asyncio.Lock()
        self.old: set[asyncio.Task[None]] = set()

    @property
    def ready(self) -> bool:
        """Whether it answers."""
        return self.version is not None

    @property
    def version_name(self) -> str:
        """Of the present version: the beginning of its hash."""
        return "" if self.version is None else self.version.digest[:12]

    @property
    def predictor(self) -> Predictor:
        """Of the present version. Raises Gone before the first."""
        if self.version is None:
            raise Gone(f"the model {self.name} is not ready")
        return self.version.predictor

    async def load(self) -> bool:
        """Load what is in the folder now, and use it once it has answered its golden samples rightly.

        Requests go on with the version before; it is given up when its last request is answered. Where the new one
        fails, the one before stays.

        Returns: whether there was a new version. Raises ExportError of a bundle that cannot be used.
        """
        async with self.loading:
            digest = _digest(self.folder)
            if self.version is not None and self.version.digest == digest:
                return False
            version = await asyncio.to_thread(_Version, self.folder, self.settings)
            try:
                await version.start(self.settings, self.name)
            except Exception:
                await asyncio.to_thread(version.decoder.close)
                raise
            before, self.version = self.version, version
            metrics.LOADS.labels(self.name).inc()
            if before is not None:
                task = asyncio.create_task(before.close())
                self.old.add(task)
                task.add_done_callback(self.old.discard)
            return True

    async def answer(self, samples: Sequence[Mapping[str, Any]], seconds: float | None = None) -> Answered:
        """The answers to one request's samples.

        Args:
            samples: raw, with bytes for files: a text is never taken for a path.
            seconds: until the client gives up; the server's own patience where None.

        Raises Refused.
        """
        version = self.version
        if version is None:
            raise Gone(f"the model {self.name} is not ready")
        self._check(version.predictor, samples)
        if self.pending + len(samples) > self.settings.queue:
            metrics.REFUSED.labels(self.name, "overloaded").inc()
            raise Overloaded(f"{self.pending} samples are waiting already; try again")
        patience = self.settings.deadline if seconds is None else min(seconds, self.settings.deadline)
        deadline = time.monotonic() + patience
        self.pending += len(samples)
        version.users += 1
        metrics.PENDING.labels(self.name).set(self.pending)
        try:
            with metrics.SECONDS.labels(self.name).time():
                answered = await asyncio.wait_for(version.answer(samples, deadline), patience)
            metrics.SAMPLES.labels(self.name).inc(len(samples))
            return answered
        except asyncio.TimeoutError as error:
            metrics.REFUSED.labels(self.name, "late").inc()
            raise Late("the deadline passed before an answer was there") from error
        finally:
            self.pending -= len(samples)
            version.users -= 1
            metrics.PENDING.labels(self.name).set(self.pending)

    async def hidden_parts(self, picture: bytes) -> list[bytes]:
        """Copies of a picture with a part hidden in each, made where pictures are decoded."""
        version = self.version
        if version is None:
            raise Gone(f"the model {self.name} is not ready")
        return await version.decoder.hidden_parts(picture)

    def _check(self, predictor: Predictor, samples: Sequence[Mapping[str, Any]]) -> None:
        if not samples:
            raise BadRequest("the request has no samples")
        if len(samples) > self.settings.max_samples:
            raise BadRequest(f"{len(samples)} samples in one request; at most {self.settings.max_samples}")
        for number, sample in enumerate(samples):
            try:
                predictor.check_sample(sample, number)
            except DataError as error:
                raise BadRequest(str(error)) from error
            for field, value in sample.items():
                if predictor.fields[field].kind in ("image", "audio") and not isinstance(value, bytes):
                    raise BadRequest(f"sample {number} {field}: send the bytes of a file")

    async def watch(self) -> None:
        """Look for new versions for ever, as often as the settings say.

        One that is refused is tried some times more: it may be a folder that is still being copied.
        """
        refused, tries = "", 0
        while self.settings.watch_seconds:
            await asyncio.sleep(self.settings.watch_seconds)
            digest = ""
            try:
                digest = _digest(self.folder)
                if digest and (digest != refused or tries < RETRIES) and await self.load():
                    metrics.LOG.info("new version", extra={"facts": {"model": self.name, "version": digest[:12]}})
            except (PpmmError, OSError) as error:
                tries = tries + 1 if digest == refused else 1
                refused = digest
                if tries == 1:
                    facts = {"model": self.name, "why": str(error)}
                    metrics.LOG.error("new version refused", extra={"facts": facts})

    async def close(self) -> None:
        """End the version and those before it."""
        if self.version is not None:
            version, self.version = self.version, None
            await version.close()
        await asyncio.gather(*self.old)


def _digest(folder: Path) -> str:
    """Of a bundle; empty where there is none."""
    path = folder / "bundle.yaml"
    return file_sha256(path) if path.is_file() else ""
