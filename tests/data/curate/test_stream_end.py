"""Cut OGG and MP3 files are noticed at every place, whole ones never."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ppmm.data.curate.audio_check import measure_audio
from ppmm.data.curate.limits import Limits
from ppmm.data.curate.stream_end import stream_is_cut

WAVE = np.random.default_rng(0).normal(0, 0.1, (40000, 2)).astype(np.float32)


def encode(kind: str, subtype: str | None = None, seconds: float = 2.5, rate: int = 16000) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, WAVE[: int(seconds * rate)], rate, format=kind, subtype=subtype)
    return buffer.getvalue()


@pytest.mark.parametrize(("kind", "subtype"), [("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", None)])
def test_whole_and_cut(kind: str, subtype: str | None, tmp_path: Path) -> None:
    whole = encode(kind, subtype)
    path = tmp_path / f"a.{kind.lower()}"
    path.write_bytes(whole)
    assert not stream_is_cut(whole) and not stream_is_cut(path) and not measure_audio(path, Limits()).problems
    assert not stream_is_cut(encode(kind, subtype, seconds=0.05))
    for share in (0.3, 0.6, 0.85):
        path.write_bytes(whole[: int(len(whole) * share)])
        assert stream_is_cut(path)
        assert [kind for kind, _ in measure_audio(path, Limits()).problems] == ["truncated"]
    tagged = b"ID3\x04\x00\x00\x00\x00\x01\x00" + bytes(128) + whole
    assert not stream_is_cut(tagged) or kind == "OGG"


def test_other_formats_and_junk() -> None:
    assert not stream_is_cut(encode("WAV")) and not stream_is_cut(b"") and not stream_is_cut(b"\xff\xfb")
    assert stream_is_cut(b"OggS")
