"""What this machine has learned about a bundle: passed self-tests, the fastest back end. One small file for each."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import os
import platform
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ppmm import environment

__all__ = ["cache_folder", "identity", "recall", "remember"]

PACKAGES = ("paddlepaddle", "paddlepaddle-gpu", "onnxruntime", "numpy", "scipy", "opencv-python",
            "opencv-python-headless", "soundfile", "tokenizers", "paddleaudio")  # fmt: skip
"""Whose versions may change an answer."""


def cache_folder() -> Path:
    """``$XDG_CACHE_HOME/ppmm``, or ``~/.cache/ppmm``."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "ppmm"


def identity() -> dict[str, Any]:
    """Processor, its instructions and the versions of what computes: an answer may differ where these differ."""
    processor = environment.cpu()
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    flags = hashlib.sha256(" ".join(sorted(processor.flags)).encode()).hexdigest()[:16]
    return {"machine": platform.machine(), "processor": processor.model, "flags": flags, "versions": versions}


def recall(question: Mapping[str, Any]) -> dict[str, Any] | None:
    """What was remembered on a question, None where nothing was or it cannot be read."""
    try:
        found: dict[str, Any] = json.loads(_file(question).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def remember(question: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
    """Keep an answer; a folder that cannot be written costs the time of finding it again, nothing else."""
    path = _file(question)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps({**answer, "of": question}, indent=1), encoding="utf-8")
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _file(question: Mapping[str, Any]) -> Path:
    digest = hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()
    return cache_folder() / "runtime" / f"{digest[:32]}.json"
