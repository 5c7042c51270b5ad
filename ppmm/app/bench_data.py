"""tools/bench.py data: how much of the bare decoders' speed is left in batches."""

from __future__ import annotations

import io
import itertools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from ppmm import environment
from ppmm.app.bench_bare import BareLoops, Timing, cpu_seconds, resident_mb, timed
from ppmm.app.bench_files import RATE, clips_like_speech, encoded_clips, photographs
from ppmm.app.document import write_document
from ppmm.config import build
from ppmm.data.loader import Loader
from ppmm.data.prepared import Prepared
from ppmm.types import Field, Sample

__all__ = ["bench_data"]

GOAL = 0.85
EPOCHS = 3
BATCH = 32
GROWTH_MB = 16.0
"""Resident memory may vary by so much between epochs: allocators keep what they once had."""
IMAGE: dict[str, Any] = {
    "name": "image",
    "size": [224, 224],
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
    "random_crop": {"name": "image_random_resized_crop"},
    "augment": [{"name": "image_flip"}],
}
AUDIO: dict[str, Any] = {"name": "waveform", "sample_rate": RATE, "augment": [{"name": "audio_gain", "decibels": 6}]}


class _Case(NamedTuple):
    """What is measured: a field, its files, and decoders of them alone; the first is the one of the goal."""

    name: str
    field: dict[str, Any]
    files: Sequence[bytes]
    decoders: dict[str, Callable[[bytes], Any]]


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

    Bare loops run in as many processes at once as the loader has workers, and before and after every epoch, so that
    whoever else uses the machine slows down both alike.

    Returns:
        For ``image``, ``wav`` and ``flac``: ``bare`` and ``loader`` in samples/s per core, by the clock and by CPU
        time of all processes; ``ratio`` and ``cpu_ratio`` of loader to bare, medians over the epochs; ``others``, the
        same of other decoders in place of ``bare``; ``resident_mb``, see there, of all processes after each epoch.
    """
    environment.set_threads(1)
    cv2.setNumThreads(1)
    rng = np.random.default_rng(0)
    pictures, waves = photographs(images, rng), clips_like_speech(clips, rng)
    cases = (
        _Case("image", IMAGE, pictures, {"cv2.imdecode": _opencv, "Pillow": _pillow}),
        _Case("wav", AUDIO, encoded_clips(waves, clips, "WAV"), {"soundfile.read": _soundfile}),
        _Case("flac", AUDIO, encoded_clips(waves, clips, "FLAC"), {"soundfile.read": _soundfile}),
    )
    document: dict[str, Any] = {
        "goal": GOAL, "workers": workers, "cores": len(os.sched_getaffinity(0)), "load": os.getloadavg()[0],
        "image_bytes": sum(map(len, pictures)) // len(pictures), "image_field": IMAGE, "audio_field": AUDIO,
    }  # fmt: skip
    for case in cases:
        document[case.name] = _measured(case, workers)
        _print(case, document[case.name], workers)
    write_document(out, document)
    return document


def _measured(case: _Case, workers: int) -> dict[str, Any]:
    field: Field = build(case.field, Field)
    loader = Loader(
        Prepared(_Rows(case.name, case.files), {case.name: field}, {}, training=True), BATCH, workers, shuffle=True
    )
    with BareLoops(case.decoders, case.files, max(1, workers)) as bare:
        _epoch(loader, EPOCHS, bare)  # imports and first-time work are not what is measured
        bare.run()
        rounds, epochs, resident = [bare.run()], [], []
        for epoch in range(EPOCHS):
            epochs.append(_epoch(loader, epoch, bare))
            resident.append(resident_mb(bare.pids))
            rounds.append(bare.run())
    first, *others = ({name: [one[name] for one in rounds]} for name in case.decoders)
    found = _compared(next(iter(first.values())), epochs)
    return {
        **found, "decoder": next(iter(first)),
        "others": {name: _compared(runs, epochs) for other in others for name, runs in other.items()},
        "resident_mb": resident, "grows": resident[-1] - resident[0] > GROWTH_MB,
    }  # fmt: skip


def _compared(bare: Sequence[Timing], epochs: Sequence[Timing]) -> dict[str, Any]:
    """Medians, and the ratio of each epoch to the mean of the bare loops before and after it."""
    means = [Timing(*(np.add(before, after) / 2)) for before, after in itertools.pairwise(bare)]
    ratios = [np.divide(epoch, mean) for epoch, mean in zip(epochs, means, strict=True)]
    ratio, cpu_ratio = np.median(ratios, axis=0)
    return {
        "bare": Timing(*np.median(means, axis=0).tolist())._asdict(),
        "loader": Timing(*np.median(epochs, axis=0).tolist())._asdict(),
        "ratio": float(ratio), "cpu_ratio": float(cpu_ratio),
    }  # fmt: skip


def _epoch(loader: Loader, epoch: int, bare: BareLoops) -> Timing:
    def work() -> int:
        return sum(len(batch["index"]) for batch in loader.arrays(epoch))

    return timed(work, max(1, loader.workers), lambda: cpu_seconds(bare.pids))


def _print(case: _Case, found: dict[str, Any], workers: int) -> None:
    others = "".join(
        f", {other['ratio']:.2f} of {name} ({other['bare']['clock']:.0f}/s)" for name, other in found["others"].items()
    )
    sizes = ", ".join(f"{size:.0f}" for size in found["resident_mb"])
    print(
        f"{case.name:<6} per core: bare {found['decoder']} {found['bare']['clock']:.0f}/s, loader with {workers} "
        f"workers {found['loader']['clock']:.0f}/s; ratio {found['ratio']:.2f} by the clock, {found['cpu_ratio']:.2f} "
        f"by CPU time (goal for images {GOAL}){others}; resident MB after epochs {sizes}",
        flush=True,
    )


def _opencv(file: bytes) -> Any:
    return cv2.imdecode(np.frombuffer(file, dtype=np.uint8), cv2.IMREAD_COLOR)


def _pillow(file: bytes) -> Any:
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(file)))


def _soundfile(file: bytes) -> Any:
    import soundfile

    return soundfile.read(io.BytesIO(file), dtype="float32")
