"""Files of published data sets in their real formats, tiny."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import soundfile


class Tree:
    """A folder that is filled file by file; parents are made."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __str__(self) -> str:
        return str(self.root)

    def path(self, place: str) -> Path:
        path = self.root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def text(self, place: str, text: str) -> Path:
        path = self.path(place)
        path.write_text(text, encoding="utf-8")
        return path

    def json(self, place: str, value: object) -> Path:
        return self.text(place, json.dumps(value))

    def json_lines(self, place: str, values: list) -> Path:
        return self.text(place, "\n".join(json.dumps(value) for value in values))

    def binary(self, place: str, content: bytes) -> Path:
        path = self.path(place)
        path.write_bytes(content)
        return path

    def picture(self, place: str, grey: int = 100, size: tuple[int, int] = (6, 8)) -> Path:
        """A picture of one grey value; its format is that of the suffix, .JPEG too."""
        suffix = Path(place).suffix.lower().replace(".jpeg", ".jpg")
        return self.binary(place, cv2.imencode(suffix, np.full((*size, 3), grey, np.uint8))[1].tobytes())

    def wav(self, place: str, samples: int = 400, rate: int = 8000) -> Path:
        """A RIFF recording that counts up from 0 in steps of 1 / 32768."""
        path = self.path(place)
        soundfile.write(path, np.arange(samples, dtype=np.int16), rate, subtype="PCM_16", format="WAV")
        return path

    def sphere(self, place: str, samples: int = 400, rate: int = 16000) -> Path:
        """A NIST SPHERE recording with TIMIT's header of 1,024 bytes, counting up like `wav`."""
        fields = [
            "NIST_1A", "   1024", "database_id -s5 TIMIT", "database_version -s3 1.0", "channel_count -i 1",
            f"sample_count -i {samples}", f"sample_rate -i {rate}", "sample_min -i 0", f"sample_max -i {samples - 1}",
            "sample_n_bytes -i 2", "sample_byte_format -s2 01", "sample_sig_bits -i 16", "end_head", "",
        ]  # fmt: skip
        header = "\n".join(fields).encode().ljust(1024)
        return self.binary(place, header + np.arange(samples, dtype="<i2").tobytes())


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)
