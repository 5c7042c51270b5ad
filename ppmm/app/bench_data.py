"""tools/bench.py data: how much of the bare decoders' speed is left in batches."""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ppmm import environment
from ppmm.config import build
from ppmm.data.loader import Loader
from ppmm.data.prepared import Prepared
from ppmm.registry import AUGMENTATIONS
from ppmm.types import Field, Sample

__all__ = ["bench_data"]

GOAL = 0.85
EPOCHS = 3
DISTINCT = 128
"""Files made; a longer epoch has them again, so that making them takes seconds."""
GROWTH_MB = 16.0
"""Resident memory may vary by so much between epochs: allocators keep what they once had."""
SIZE = (375, 500)
RATE, SECONDS = 16000, 4.0
IMAGE: dict[str, Any] = {
    "name": "image",
    "size": [224, 224],
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
}
AUDIO: dict[str, Any] = {"name": "waveform", "sample_rate": RATE, "augment": [{"name": "audio_gain", "decibels": 6}]}


class _Rows:
    """Encoded files held in memory, so that the disk plays no part."""

    def __init__(self, field: str, files: Sequence[bytes]) -> None:
        self.field, self.files = field, files

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Sample:
        return {"id": str(index), self.field: self.files[index]}


def bench_data(images: int = 1024, clips: int = 1024, workers: int = 2, out: Path | None = None) -> dict[str, Any]:
    """Decode the same bytes bare and through the loader with the standard augmentation of training; print the ratios.

    Returns:
        For ``image``, ``wav`` and ``flac``: ``bare`` and ``field`` (decode and augment, in one process) and ``loader``
        (``workers`` processes) in samples/s per core, by the clock and by CPU time; ``ratio`` and ``cpu_ratio`` of
        loader to bare; ``resident_mb`` of all processes after each epoch.
    """
    environment.set_threads(1)
    cv2.setNumThreads(1)
    rng = np.random.default_rng(0)
    jpegs = _repeated(_jpegs(min(images, DISTINCT), rng), images)
    waves = [_clip(rng) for _ in range(min(clips, DISTINCT))]
    image = _image_node()
    document: dict[str, Any] = {
        "goal": GOAL, "workers": workers, "cores": len(os.sched_getaffinity(0)), "load": os.getloadavg()[0],
        "image_bytes": sum(map(len, jpegs)) // max(1, len(jpegs)), "image_field": image, "audio_field": AUDIO,
    }  # fmt: skip
    for name, node, files, decode in (
        ("image", image, jpegs, _decode_image),
        ("wav", AUDIO, _repeated([_encoded(wave, "WAV") for wave in waves], clips), _decode_audio),
        ("flac", AUDIO, _repeated([_encoded(wave, "FLAC") for wave in waves], clips), _decode_audio),
    ):
        document[name] = _measure(name, build(node, Field), files, decode, workers)
    if out is not None:
        out.write_text(json.dumps(document, indent=2), encoding="utf-8")
    return document


def _measure(
    name: str, field: Field, files: Sequence[bytes], decode: Callable[[bytes], Any], workers: int
) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    loader = Loader(Prepared(_Rows(name, files), {name: field}, {}, training=True), 32, workers, shuffle=True)
    next(iter(loader.arrays(EPOCHS)))  # imports and first-time work are not what is measured
    _clocked(decode, files[:16])
    alone = _clocked(lambda file: field(file, rng), files)
    epochs, resident = [], []
    decoded = [_clocked(decode, files)]  # before and after each epoch, since others may use the machine too
    for epoch in range(EPOCHS):
        epochs.append(_clocked_epoch(loader, epoch, workers))
        resident.append(_resident())
        decoded.append(_clocked(decode, files))
    bare = _medians(decoded)
    made = _medians(epochs)
    found = {
        "bare": bare, "field": alone, "loader": made, "ratio": made["clock"] / bare["clock"],
        "cpu_ratio": made["cpu"] / bare["cpu"], "resident_mb": resident,
        "grows": resident[-1] - resident[0] > GROWTH_MB,
    }  # fmt: skip
    sizes = ", ".join(f"{size:.0f}" for size in resident)
    print(
        f"{name:<6} per core: bare {bare['clock']:.0f}/s, decode + augment {alone['clock']:.0f}/s, "
        f"loader with {workers} workers {made['clock']:.0f}/s; ratio {found['ratio']:.2f} by the clock, "
        f"{found['cpu_ratio']:.2f} by CPU time (goal {GOAL}); resident MB after epochs {sizes}",
        flush=True,
    )
    return found


def _medians(runs: Sequence[dict[str, float]]) -> dict[str, float]:
    return {key: float(np.median([run[key] for run in runs])) for key in runs[0]}


def _clocked(work: Callable[[bytes], Any], files: Sequence[bytes]) -> dict[str, float]:
    """Files per second by the clock and per second of CPU time, in this process."""
    clock, cpu = time.perf_counter(), time.process_time()
    for file in files:
        work(file)
    return {
        "clock": len(files) / (time.perf_counter() - clock), "cpu": len(files) / max(1e-9, time.process_time() - cpu),
    }  # fmt: skip


def _clocked_epoch(loader: Loader, epoch: int, workers: int) -> dict[str, float]:
    clock, cpu = time.perf_counter(), _cpu_seconds()
    rows = sum(len(batch["index"]) for batch in loader.arrays(epoch))
    seconds = time.perf_counter() - clock
    return {"clock": rows / seconds / max(1, workers), "cpu": rows / max(1e-9, _cpu_seconds() - cpu)}


def _family() -> Iterable[int]:
    return [os.getpid(), *(process.pid for process in multiprocessing.active_children() if process.pid is not None)]


def _cpu_seconds() -> float:
    """CPU time of this process and its workers."""
    ticks = 0
    for pid in _family():
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _resident() -> float:
    """MB of this process and its workers; what they share counts once (PSS)."""
    total = 0
    for pid in _family():
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def _image_node() -> dict[str, Any]:
    """The standard augmentation of training at 224 pixels: random resized crop and flip, where they are registered."""
    known = AUGMENTATIONS.names()
    node = dict(IMAGE)
    if "image_random_resized_crop" in known:
        node["random_crop"] = {"name": "image_random_resized_crop"}
    if "image_flip" in known:
        node["augment"] = [{"name": "image_flip"}]
    return node


def _repeated(files: list[bytes], count: int) -> list[bytes]:
    return [files[number % len(files)] for number in range(count)]


def _jpegs(count: int, rng: np.random.Generator) -> list[bytes]:
    """Pictures of about the size and entropy of photographs: blobs of several scales and some noise."""
    files = []
    for _ in range(count):
        pixels = np.zeros((*SIZE, 3), dtype=np.float32)
        for scale in (4, 16, 64):
            blobs = rng.normal(0.0, 30.0, (scale, scale, 3)).astype(np.float32)
            pixels += cv2.resize(blobs, SIZE[::-1], interpolation=cv2.INTER_CUBIC)
        pixels += rng.normal(128.0, 6.0, pixels.shape)
        encoded = cv2.imencode(".jpg", np.clip(pixels, 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 90])[1]
        files.append(encoded.tobytes())
    return files


def _clip(rng: np.random.Generator) -> np.ndarray:
    time_axis = np.arange(int(RATE * SECONDS)) / RATE
    tones = sum(np.sin(2 * np.pi * pitch * time_axis) for pitch in rng.uniform(80, 2000, 4))
    return (0.1 * tones + rng.normal(0.0, 0.01, len(time_axis))).astype(np.float32)


def _encoded(wave: np.ndarray, kind: str) -> bytes:
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, wave, RATE, format=kind, subtype="PCM_16")
    return buffer.getvalue()


def _decode_image(file: bytes) -> Any:
    return cv2.imdecode(np.frombuffer(file, dtype=np.uint8), cv2.IMREAD_COLOR)


def _decode_audio(file: bytes) -> Any:
    import soundfile

    return soundfile.read(io.BytesIO(file), dtype="float32")
