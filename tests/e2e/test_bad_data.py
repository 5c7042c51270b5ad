"""Rows that cannot become samples end training with one clear error that names the row and the field."""

from __future__ import annotations

import json
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from ppmm.app.train import train
from ppmm.errors import DataError

BAD = 3
"""The row (counted from 1) that is spoiled."""


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and has next to no data."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(b"\0" * 100))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data + chunk(b"IEND", b"")


def missing_file(folder: Path, row: dict[str, Any]) -> str:
    (folder / row["image"]).unlink()
    return "image.*does not exist"


def empty_file(folder: Path, row: dict[str, Any]) -> str:
    (folder / row["image"]).write_bytes(b"")
    return "image.*empty"


def truncated_png(folder: Path, row: dict[str, Any]) -> str:
    path = folder / row["image"]
    path.write_bytes(path.read_bytes()[:-40])
    return "image.*(truncated|damaged|broken|cut)"


def empty_wav(folder: Path, row: dict[str, Any]) -> str:
    (folder / row["audio"]).write_bytes(b"")
    return "audio.*empty"


def nan_samples(folder: Path, row: dict[str, Any]) -> str:
    soundfile.write(folder / row["audio"], np.array([0.1, np.nan, 0.2] * 500, "float32"), 8000, subtype="FLOAT")
    return "audio.*(NaN|not finite|not a number)"


def huge_header(folder: Path, row: dict[str, Any]) -> str:
    (folder / row["image"]).write_bytes(png_header(100_000, 100_000))
    return r"image.*claims 10,000,000,000 pixels in its header: too many pixels, at most 50,000,000 are read"


def unknown_label(folder: Path, row: dict[str, Any]) -> str:
    row["answer"] = "yess"
    return "answer.*did you mean 'yes'"


def no_label(folder: Path, row: dict[str, Any]) -> str:
    row["answer"] = None
    return "the row has no 'answer'"


def no_modality(folder: Path, row: dict[str, Any]) -> str:
    row.update({"image": None, "audio": None, "question": ""})
    return "the row has none of the fields image, audio, text"


SPOIL: list[Callable[[Path, dict[str, Any]], str]] = [
    missing_file, empty_file, truncated_png, empty_wav, nan_samples, huge_header, unknown_label, no_label, no_modality,
]  # fmt: skip


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("spoil", SPOIL, ids=lambda spoil: spoil.__name__)
def test_bad_row(
    spoil: Callable[[Path, dict[str, Any]], str], workers: int, digits: Path, write_config: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "spoiled"
    shutil.copytree(digits, folder)
    rows = [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]
    expected = spoil(folder, rows[BAD - 1])
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = write_config()
    config.write_text(config.read_text().replace(str(digits), str(folder)))
    with pytest.raises(DataError, match=rf"train\.jsonl:{BAD}.*{expected}") as raised:
        train(str(config), [f"loader.workers={workers}"])
    assert "\n" not in str(raised.value)
