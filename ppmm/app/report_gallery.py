"""Cards of a report's gallery: what a row showed to the model, made small enough to travel inside the page."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ppmm.errors import DataError

__all__ = ["Card", "GalleryItem", "Part", "make_cards", "make_parts", "read_pixels"]

MAX_CARDS = 48
MEDIA_BYTES = 1_600_000  # of all cards; base64 makes 4 bytes of 3
MAX_SIDE, SMALL_SIDE, LEAST_SIDE = 320, 64, 48  # pixels
MAX_FILE_BYTES, MAX_PIXELS, MAX_SECONDS = 64_000_000, 50_000_000, 600.0
MIN_RATE, MAX_RATE = 8_000, 16_000  # Hz
WAVE_COLUMNS, WAVE_HEIGHT = 160, 40
MAX_CHARACTERS, MAX_NUMBERS = 1_000, 16


@dataclass(frozen=True)
class GalleryItem:
    """One row with what the model said of it.

    Args:
        id: the row's name.
        true: what is right.
        predicted: what the model says.
        probability: that it gives to its prediction, 0..1.
        fields: raw values by field: Path, bytes, uint8 [H,W] or [H,W,3], (waveform float [T], rate in Hz) or str;
            an absent field is missing.
        kinds: kind of each field of the task: image, text, audio or numeric.
    """

    id: str
    true: str
    predicted: str
    probability: float
    fields: dict[str, Any]
    kinds: dict[str, str]


@dataclass(frozen=True)
class Part:
    """What a card shows of one field; ``form`` (image, audio, text, note) tells which of the rest are filled.

    Attributes:
        source: data URI.
        text: the text, or what is to be said of the value.
        width: of the picture, in pixels; 0 otherwise.
        height: likewise.
        small: whether the picture should be enlarged with sharp pixels.
        wave: SVG path of a waveform in a box of `WAVE_COLUMNS` x `WAVE_HEIGHT`.
    """

    field: str
    form: str
    text: str = ""
    source: str = ""
    width: int = 0
    height: int = 0
    small: bool = False
    wave: str = ""


@dataclass(frozen=True)
class Card:
    """One entry of the gallery; ``probability`` is ready to read, ``percent`` is the length of its bar, 0..100."""

    id: str
    true: str
    predicted: str
    right: bool
    probability: str
    percent: float
    parts: list[Part] = field(default_factory=list)


def make_cards(items: Sequence[GalleryItem]) -> list[Card]:
    """The cards in their order: errors before right answers, the most confident first, at most `MAX_CARDS`.

    A value that cannot be read becomes a note. The media share `MEDIA_BYTES`; what one does not need is left to the
    next, and large ones are reduced.
    """
    chosen = sorted(items, key=lambda item: (item.true == item.predicted, -_probability(item)))[:MAX_CARDS]
    cards = []
    for item, shown in zip(chosen, make_parts(chosen), strict=True):
        known = _probability(item) >= 0
        percent = 100.0 * min(max(_probability(item), 0.0), 1.0)
        probability = f"{percent:.1f} %" if known else "unknown"
        cards.append(Card(item.id, item.true, item.predicted, item.true == item.predicted, probability, percent, shown))
    return cards


def make_parts(items: Sequence[GalleryItem]) -> list[list[Part]]:
    """What is shown of each item, in their order: the fields of the task, then the others."""
    media = _encode_media(items)
    return [
        [
            media[i, name] if (i, name) in media else _make_plain_part(item, name)
            for name in (*item.kinds, *(name for name in item.fields if name not in item.kinds))
        ]
        for i, item in enumerate(items)
    ]


def _probability(item: GalleryItem) -> float:
    """Its probability, -1 where it is none."""
    value = item.probability
    return float(value) if isinstance(value, int | float | np.integer | np.floating) and math.isfinite(value) else -1.0


def _encode_media(items: Sequence[GalleryItem]) -> dict[tuple[int, str], Part]:
    """Pictures and recordings by (item, field). Pictures come first and leave at least half to recordings, if any."""
    wanted: dict[str, list[tuple[int, str]]] = {"image": [], "audio": []}
    for i, item in enumerate(items):
        for name, kind in item.kinds.items():
            if kind in wanted and name in item.fields:
                wanted[kind].append((i, name))
    parts: dict[tuple[int, str], Part] = {}
    kept_back = MEDIA_BYTES // 2 if wanted["audio"] else 0
    left = MEDIA_BYTES - kept_back
    for kind, encode in (("image", _image_part), ("audio", _audio_part)):
        for done, (i, name) in enumerate(wanted[kind]):
            part = _try(encode, name, items[i].fields[name], left // (len(wanted[kind]) - done))
            left -= len(part.source) * 3 // 4
            parts[i, name] = part
        left += kept_back
    return parts


def _try(encode: Any, name: str, value: Any, share: int) -> Part:
    """The part, or a note of what is wrong with the value."""
    try:
        part: Part = encode(value, share)
        return replace(part, field=name)
    except DataError as error:
        return Part(name, "note", f"cannot be shown: {error}")
    except Exception as error:  # a report of bad rows must survive whatever a bad row does to a decoder
        return Part(name, "note", f"cannot be shown: {type(error).__name__}: {_cut(str(error), 200)}")


def _make_plain_part(item: GalleryItem, name: str) -> Part:
    """A field that needs no share of the budget: absent, text, numbers."""
    if name not in item.fields:
        return Part(name, "note", "absent")
    return _try(_numeric_part if item.kinds.get(name) == "numeric" else _text_part, name, item.fields[name], 0)


def _text_part(value: Any, share: int) -> Part:
    from ppmm.modalities.file_source import read_file

    if isinstance(value, Path):
        value = read_file(value, "text", MAX_FILE_BYTES)
    if isinstance(value, bytes | bytearray):
        value = bytes(value).decode("utf-8", "replace")
    return Part("", "text", _cut(str(value), MAX_CHARACTERS))


def _numeric_part(value: Any, share: int) -> Part:
    numbers = np.asarray(value).reshape(-1)
    shown = ", ".join(
        f"{number:.5g}" if numbers.dtype.kind in "fiu" else str(number) for number in numbers[:MAX_NUMBERS]
    )
    return Part("", "text", shown + (f", … ({len(numbers)} values)" if len(numbers) > MAX_NUMBERS else ""))


def _image_part(value: Any, share: int) -> Part:
    pixels = read_pixels(value)
    content, kind, (height, width) = _fit_picture(pixels, share)
    text = f"{pixels.shape[1]} × {pixels.shape[0]} pixels"
    small = max(pixels.shape[:2]) <= SMALL_SIDE
    return Part("", "image", text, _data_uri(content, f"image/{kind}"), width, height, small)


def read_pixels(value: Any) -> np.ndarray:
    """uint8 [H,W] or RGB [H,W,3]. Raises DataError."""
    from ppmm.modalities.file_source import read_file
    from ppmm.modalities.image_file import decode_image

    if isinstance(value, str | Path):
        return decode_image(read_file(value, "image", MAX_FILE_BYTES), f"'{value}'", MAX_PIXELS)
    if isinstance(value, bytes | bytearray | memoryview):
        return decode_image(bytes(value), f"of {len(value):,} bytes", MAX_PIXELS)
    if not isinstance(value, np.ndarray) or value.dtype != np.uint8:
        kind = value.dtype if isinstance(value, np.ndarray) else type(value).__name__
        raise DataError(f"an image must be a path, bytes or a uint8 array, not {kind}")
    pixels = value[:, :, 0] if value.ndim == 3 and value.shape[2] == 1 else value
    if pixels.size == 0 or (pixels.ndim != 2 and not (pixels.ndim == 3 and pixels.shape[2] == 3)):
        raise DataError(f"an image array must be [height, width] or [height, width, 3], not {value.shape}")
    return pixels


def _fit_picture(pixels: np.ndarray, share: int) -> tuple[bytes, str, tuple[int, int]]:
    """Without loss where it fits into ``share`` bytes, else as JPEG, else smaller. Returns (file, kind, (H, W))."""
    import cv2

    pixels = _shrink(pixels, min(1.0, MAX_SIDE / max(pixels.shape[:2])))
    while True:
        stored = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
        content = b""
        for kind, options in (
            ("png", [cv2.IMWRITE_PNG_COMPRESSION, 9]),
            ("jpeg", [cv2.IMWRITE_JPEG_QUALITY, 88]),
            ("jpeg", [cv2.IMWRITE_JPEG_QUALITY, 70]),
        ):
            content = bytes(cv2.imencode(f".{kind}", np.ascontiguousarray(stored), options)[1])
            if len(content) <= share:
                return content, kind, (pixels.shape[0], pixels.shape[1])
        if max(pixels.shape[:2]) <= LEAST_SIDE:
            return content, "jpeg", (pixels.shape[0], pixels.shape[1])
        pixels = _shrink(pixels, 0.75)


def _shrink(pixels: np.ndarray, factor: float) -> np.ndarray:
    if factor >= 1.0:
        return pixels
    import cv2

    height, width = (max(1, round(side * factor)) for side in pixels.shape[:2])
    return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)


def _audio_part(value: Any, share: int) -> Part:
    from ppmm.modalities.audio_file import load_mono, read_recording

    if isinstance(value, str | Path | bytes | bytearray):
        samples, rate = read_recording(value, MAX_SECONDS)
    elif isinstance(value, tuple | list) and len(value) == 2:
        rate = int(value[1])
        samples = load_mono((np.asarray(value[0]), rate), rate, MAX_SECONDS)
    else:
        raise DataError(f"audio must be a path, bytes or (waveform, rate), not {type(value).__name__}")
    seconds = len(samples) / rate
    content, kept = _fit_recording(samples, rate, share)
    text = f"{seconds:.2f} s" if kept >= seconds - 0.005 else f"the first {kept:.2f} s of {seconds:.2f} s"
    return Part(
        "", "audio", text, _data_uri(content, "audio/wav"), wave=_draw_wave(samples[: max(1, round(kept * rate))])
    )


def _fit_recording(samples: np.ndarray, rate: int, share: int) -> tuple[bytes, float]:
    """16-bit WAV of at most ``share`` bytes: a lower rate first, then a shorter piece. Returns (file, seconds kept)."""
    import soundfile

    from ppmm.modalities.audio_file import resample

    room = max((share - 44) // 2, 1)  # a header of 44 bytes, 2 bytes per sample
    wanted = min(max(rate, MIN_RATE), MAX_RATE)
    if len(samples) * wanted / rate > room:
        wanted = MIN_RATE
    played = resample(samples[: math.ceil((room + 1) * rate / wanted)], rate, wanted)[:room]
    peak = float(np.abs(played).max())
    buffer = io.BytesIO()
    soundfile.write(buffer, played / max(peak, 1.0), wanted, format="WAV", subtype="PCM_16")
    return buffer.getvalue(), len(played) / wanted


def _draw_wave(samples: np.ndarray) -> str:
    """Lowest and highest value of each column as vertical strokes, scaled to the loudest."""
    columns = np.array_split(samples, min(WAVE_COLUMNS, len(samples)))
    scale = WAVE_HEIGHT / 2 / max(float(np.abs(samples).max()), 1e-9)
    stroke, middle, step = [], WAVE_HEIGHT / 2, WAVE_COLUMNS / len(columns)
    for i, column in enumerate(columns):
        top, bottom = middle - scale * float(column.max()), middle - scale * float(column.min())
        stroke.append(f"M{(i + 0.5) * step:.4g} {top - 0.3:.1f}V{bottom + 0.3:.1f}")
    return "".join(stroke)


def _data_uri(content: bytes, mime: str) -> str:
    return f"data:{mime};base64,{base64.b64encode(content).decode('ascii')}"


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}…"
