"""The pictures and tables of a statistics report."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ppmm.app.report_figures import TRAIN, Picture, format_number, matplotlib_style, to_svg
from ppmm.app.report_gallery import GalleryItem, make_cards
from ppmm.data.curate.collection import Collection
from ppmm.data.curate.spectral_hash import RATE, spectral_picture
from ppmm.data.curate.statistics import Facts, class_counts, distribution, figures_of, missing_table
from ppmm.errors import DataError

__all__ = ["spectrogram_uri", "split_sections"]

FIGURES = {
    "image": (("width", "width, pixels"), ("height", "height, pixels")),
    "audio": (("seconds", "duration, s"), ("peak_db", "peak, dB of full scale"), ("rate", "sample rate, Hz")),
    "text": (("words", "words"), ("characters", "characters")),
}
BINS, MAX_CLASSES, SPECTROGRAMS, MAX_POINTS = 40, 40, 6, 5000
MAX_SECONDS = 20.0


def split_sections(collections: Sequence[Collection], facts: Sequence[Facts], samples: int) -> list[dict[str, Any]]:
    """One section per split: ``name``, ``rows``, ``tables``, ``pictures``, ``missing``, ``cards``, ``spectra``."""
    return [_section(number, one, facts[number], samples) for number, one in enumerate(collections)]


def _section(number: int, collection: Collection, facts: Facts, samples: int) -> dict[str, Any]:
    pictures: list[Picture] = []
    table: list[tuple[str, dict[str, str]]] = []
    for column in collection.columns(*FIGURES):
        kind = collection.kinds[column]
        for name, text in FIGURES[kind]:
            values = figures_of(facts, column, name)
            if len(values):
                table.append((f"{column}: {text}", {k: format_number(v) for k, v in distribution(values).items()}))
                pictures.append(_histogram(f"{column}: {text}", values, f"s{number}h{len(pictures)}-"))
        if kind == "image" and len(figures_of(facts, column, "width")):
            pictures.append(_sizes(column, facts, f"s{number}z{len(pictures)}-"))
    for column in collection.columns("label"):
        pictures.append(_classes(column, class_counts(collection, column), f"s{number}c{len(pictures)}-"))
    columns = collection.columns("image", "audio", "text")
    missing = [
        ([column in present for column in columns], count, 100.0 * count / len(collection))
        for present, count in missing_table(collection).items()
    ]
    chosen = np.unique(np.linspace(0, len(collection) - 1, max(1, samples)).astype(int)).tolist()
    return {
        "name": collection.name, "rows": len(collection), "table": table, "pictures": pictures, "columns": columns,
        "missing": missing, "cards": _cards(collection, chosen), "spectra": _spectra(collection, chosen),
    }  # fmt: skip


def _cards(collection: Collection, chosen: Sequence[int]) -> list[Any]:
    """The gallery's cards; the labels stand as ``true``."""
    columns = collection.columns("image", "audio", "text")
    kinds = {column: collection.kinds[column] for column in columns}
    items = []
    for index in chosen:
        found = {column: collection.value(index, column) for column in columns}
        labels = [f"{c}: {collection.value(index, c)}" for c in collection.columns("label")]
        fields = {column: value for column, value in found.items() if value is not None}
        items.append(GalleryItem(collection.id(index), ", ".join(labels), "", math.nan, fields, kinds))
    return make_cards(items)


def _spectra(collection: Collection, chosen: Sequence[int]) -> list[tuple[str, str]]:
    """(caption, data URI) of the first readable recordings."""
    found: list[tuple[str, str]] = []
    for column in collection.columns("audio"):
        for index in chosen:
            value = collection.value(index, column)
            if value is None or len(found) >= SPECTROGRAMS:
                continue
            try:
                found.append((f"{column} of {collection.id(index)}", spectrogram_uri(value)))
            except DataError:
                continue  # `check` names it
    return found


def spectrogram_uri(value: Any) -> str:
    """PNG as a data URI: log power in 32 mel bands, time to the right, low tones at the bottom. Raises DataError."""
    import cv2

    from ppmm.modalities.audio_file import load_mono

    picture = spectral_picture(load_mono(value, RATE, 3600.0)[: int(MAX_SECONDS * RATE)])
    grey = np.clip((picture[::-1] + 30.0) * (255.0 / 30.0), 0, 255).astype(np.uint8)
    large = cv2.resize(grey, (480, 128), interpolation=cv2.INTER_LINEAR)
    content = bytes(cv2.imencode(".png", cv2.applyColorMap(large, cv2.COLORMAP_VIRIDIS))[1])
    return f"data:image/png;base64,{base64.b64encode(content).decode('ascii')}"


def _histogram(title: str, values: np.ndarray, prefix: str) -> Picture:
    whole = bool((values == np.rint(values)).all())
    span = float(values.max() - values.min())
    bins: Any = BINS
    if whole and span < BINS:
        bins = np.arange(values.min() - 0.5, values.max() + 1.0)
    with matplotlib_style():
        figure, axes = _axes()
        axes.hist(values, bins=bins, color=TRAIN)
        axes.set_xlabel(title)
        axes.set_ylabel("values")
        svg = to_svg(figure, f"histogram of {title}", prefix)
    parts = distribution(values)
    said = ", ".join(f"{name} {format_number(parts[name])}" for name in ("smallest", "median", "largest"))
    return Picture(title, svg, f"{len(values):,} values: {said}.")


def _sizes(column: str, facts: Facts, prefix: str) -> Picture:
    width, height = figures_of(facts, column, "width"), figures_of(facts, column, "height")
    step = max(1, len(width) // MAX_POINTS)
    with matplotlib_style():
        figure, axes = _axes()
        axes.scatter(width[::step], height[::step], s=9, color=TRAIN, alpha=0.4, linewidths=0)
        axes.set_xlabel("width, pixels")
        axes.set_ylabel("height, pixels")
        svg = to_svg(figure, f"sizes of {column}", prefix)
    shapes = len(set(zip(width.tolist(), height.tolist(), strict=True)))
    return Picture(f"{column}: sizes", svg, f"{shapes:,} different sizes of {len(width):,} images.")


def _classes(column: str, counts: Mapping[str, int], prefix: str) -> Picture:
    shown = list(counts.items())[:MAX_CLASSES]
    with matplotlib_style():
        figure, axes = _axes(max(3.1, 0.22 * len(shown) + 0.6))
        axes.barh([label[:30] for label, _ in shown], [count for _, count in shown], color=TRAIN)
        axes.invert_yaxis()
        axes.set_xlabel("rows")
        svg = to_svg(figure, f"rows by {column}", prefix)
    more = f" The {MAX_CLASSES} most frequent are shown." if len(counts) > MAX_CLASSES else ""
    return Picture(f"{column}: classes", svg, f"{len(counts):,} classes, {sum(counts.values()):,} rows.{more}")


def _axes(height: float = 3.1) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.4, height), dpi=72, layout="constrained")
    axes = figure.add_subplot()
    axes.grid(True)
    axes.set_axisbelow(True)
    return figure, axes
