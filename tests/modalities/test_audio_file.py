"""Reading recordings: formats, resampling, and files that must be refused."""

import io
import struct
import wave

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from ppmm.errors import DataError
from ppmm.modalities.audio_file import load_mono, read_recording, resample

RATE = 8000
TONE = (0.5 * np.sin(2 * np.pi * 440 * np.arange(4000) / RATE)).astype(np.float32)


def encode(samples: np.ndarray, kind: str = "WAV", rate: int = RATE, subtype: str | None = None) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=kind, subtype=subtype)
    return buffer.getvalue()


def pcm_wav(samples: list[int]) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as out:
        out.setparams((1, 2, RATE, 0, "NONE", ""))
        out.writeframes(struct.pack(f"<{len(samples)}h", *samples))
    return buffer.getvalue()


def test_pcm_samples_are_divided_by_32768():
    samples, rate = read_recording(pcm_wav([0, 16384, -32768, 32767]), 1.0)
    assert rate == RATE and samples.dtype == np.float32
    np.testing.assert_allclose(samples, [0.0, 0.5, -1.0, 32767 / 32768], atol=1e-7)


@pytest.mark.parametrize(("kind", "limit"), [("FLAC", 1e-4), ("OGG", 0.05), ("MP3", 0.2), ("AIFF", 1e-4)])
def test_formats(tmp_path, kind, limit):
    path = tmp_path / f"tone.{kind.lower()}"
    path.write_bytes(encode(TONE, kind))
    samples, rate = read_recording(path, 5.0)
    assert rate == RATE and abs(len(samples) - 4000) < 1200
    if kind != "MP3":
        assert np.abs(samples[1000:2000] - TONE[1000:2000]).max() < limit


@pytest.mark.parametrize("kind", ["NIST", "AIFF", "AU", "W64", "RF64", "WAV", "WAVEX", "CAF", "VOC", "FLAC"])
@pytest.mark.parametrize("channels", [1, 2])
def test_whole_files_are_not_called_truncated(kind, channels):
    found, _ = read_recording(encode(np.stack([TONE] * channels, axis=1), kind), 5.0)
    assert np.abs(found - TONE).max() < 1e-4


def test_stereo_is_averaged():
    stereo = np.stack([np.full(100, 0.5), np.full(100, -0.1)], axis=1)
    for value in (encode(stereo), (stereo, RATE), (stereo.astype(np.float32), RATE)):
        np.testing.assert_allclose(load_mono(value, RATE, 1.0), 0.2, atol=1e-4)


@pytest.mark.parametrize("rate", [16000, 11025, 44100, 7999])
def test_resampling_keeps_a_tone(rate):
    time = np.arange(rate) / rate
    tone = np.sin(2 * np.pi * 440 * time).astype(np.float32)
    found = resample(tone, rate, RATE)
    assert abs(len(found) - RATE) <= 1 and found.dtype == np.float32
    expected = np.sin(2 * np.pi * 440 * np.arange(len(found)) / RATE)
    # 7,999 Hz is taken for 8,000: over one second the phase drifts by 2 pi 440 / 8000 = 0.35
    limit = 0.35 if rate == 7999 else 0.01
    assert np.abs(found - expected)[200:-200].max() < limit


def test_silence_and_one_sample_are_allowed():
    assert not load_mono((np.zeros(100), RATE), RATE, 1.0).any()
    assert load_mono(pcm_wav([16384]), RATE, 1.0).tolist() == [0.5]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.wav", b"", "0 bytes"),
        ("garbage.wav", b"this is no recording" * 10, "cannot be read"),
        ("header.wav", encode(TONE)[:20], "cannot be read"),
        ("cut.wav", encode(TONE)[:4000], "truncated"),
        ("cut.flac", encode(TONE, "FLAC")[:2000], "truncated|cannot be read"),
        ("cut.aiff", encode(TONE, "AIFF")[:4000], "truncated"),
        ("cut.au", encode(TONE, "AU")[:4000], "truncated"),
        ("cut.w64", encode(TONE, "W64")[:4000], "truncated"),
        ("cut.rf64", encode(TONE, "RF64")[:4000], "truncated"),
        ("cut.sph", encode(TONE, "NIST")[:4000], "truncated: 4000 samples announced, 1488 present"),
        ("none.wav", pcm_wav([]), "no samples"),
        ("nan.wav", encode(np.array([0.0, np.nan], np.float32), subtype="FLOAT"), "NaN"),
        ("inf.wav", encode(np.array([0.0, -np.inf], np.float32), subtype="FLOAT"), "NaN or infinite"),
        ("loud.wav", encode(np.array([0.0, 1e30], np.float32), subtype="FLOAT"), "reaches 1e"),
        ("long.wav", encode(np.zeros(3 * RATE)), r"lasts 3.0 s; at most 2 s \(max_seconds\)"),
        ("slow.wav", encode(np.zeros(100), rate=100), "sample rate of 100"),
        ("many.wav", encode(np.zeros((10, 40))), "40 channels"),
        ("some.raw", b"1234", "cannot be read"),
    ],
)
def test_refused_files(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        load_mono(path, RATE, 2.0)
    assert name in str(caught.value)
    if name != "some.raw":
        with pytest.raises(DataError, match=message):
            load_mono(content, RATE, 2.0)


def test_directory_and_missing_file(tmp_path):
    with pytest.raises(DataError, match="is a directory"):
        load_mono(tmp_path, RATE, 2.0)
    with pytest.raises(DataError, match=r"none\.wav' does not exist"):
        load_mono(tmp_path / "none.wav", RATE, 2.0)


def test_a_wav_of_unknown_length_is_read():
    data = bytearray(pcm_wav([1000] * 100))
    data[40:44] = b"\xff\xff\xff\xff"
    assert len(load_mono(bytes(data), RATE, 2.0)) == 100


def test_the_header_is_judged_before_samples_are_read(monkeypatch):
    monkeypatch.setattr(soundfile.SoundFile, "read", lambda *a, **k: pytest.fail("samples were read"))
    with pytest.raises(DataError, match="max_seconds"):
        load_mono(encode(np.zeros(3 * RATE)), RATE, 2.0)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "not NoneType"),
        ((np.zeros(4, np.int16), RATE), "divide int16"),
        ((np.zeros((2, 2, 2)), RATE), r"\[time, channels\]"),
        ((np.zeros((2, 4000)), RATE), r"\[time, channels\]"),
        ((np.zeros(0), RATE), "no samples"),
        ((np.array([np.nan]), RATE), "NaN"),
        ((np.array([30000.0]), RATE), "divide 16-bit"),
        ((np.zeros(RATE * 3), RATE), "3.0 s is too long"),
        ((np.zeros(4), 0), "sample rate of 0"),
        ((np.zeros(4), "8000"), "sample rate of '8000'"),
        ((np.zeros(4), True), "sample rate of True"),
        ((np.zeros(4), 2**40), "sample rate"),
        ([1.0, 2.0], "not list"),
    ],
)
def test_refused_values(value, message):
    with pytest.raises(DataError, match=message):
        load_mono(value, RATE, 2.0)


@settings(max_examples=100, deadline=None)
@given(
    kind=st.sampled_from(["WAV", "FLAC", "OGG"]), place=st.floats(0, 1, exclude_max=True), junk=st.binary(max_size=8)
)
def test_damage_gives_samples_or_a_data_error_and_nothing_else(kind, place, junk):
    data = encode(TONE, kind)
    start = int(place * len(data))
    try:
        samples = load_mono(data[:start] + junk + data[start + len(junk) :], RATE, 2.0)
    except DataError:
        return
    assert np.isfinite(samples).all() and len(samples) > 0
