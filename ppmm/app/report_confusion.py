"""The confusion matrix of a report: as a picture, and as a list of the most frequent errors."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ppmm.app.report_figures import INK, Picture, matplotlib_style, to_svg

__all__ = ["Confusion", "confusion_picture", "shorten", "top_confusions"]

MAX_COUNTED, MAX_LABELLED, MAX_PICTURED = 30, 60, 500
RIGHT_RGB, WRONG_RGB = (37, 99, 235), (194, 65, 12)


class Confusion(NamedTuple):
    """``rows`` rows of class ``true``, the part ``share`` of them, were taken for ``predicted``."""

    true: str
    predicted: str
    rows: int
    share: float


def confusion_picture(labels: Sequence[str], counts: np.ndarray) -> Picture | None:
    """The matrix with true classes as rows; None for more classes than a screen has room for.

    Args:
        labels: names of the C classes.
        counts: [true, predicted] of shape [C, C].
    """
    size = len(labels)
    if not 0 < size <= MAX_PICTURED:
        return None
    names = [shorten(label) for label in labels]
    texts = [[_short_count(int(count)) for count in row] for row in counts]
    digits = max(len(text) for row in texts for text in row)
    cell = max(24.0, 7.0 * digits + 9) if size <= MAX_COUNTED else (14.0 if size <= MAX_LABELLED else 760 / size)
    side = cell * size
    margin = 5.8 * max(map(_width, names)) + 34 if size <= MAX_LABELLED else 64
    with matplotlib_style():
        from matplotlib.figure import Figure

        total = side + margin + 10
        figure = Figure(figsize=(total / 72, total / 72), dpi=72)
        axes = figure.add_axes((margin / total, margin / total, side / total, side / total))
        alpha = _shade(counts)
        axes.imshow(_cells(alpha), interpolation="none", aspect="equal")
        _label_axes(axes, names)
        _outline_diagonal(axes, size)
        if size <= MAX_COUNTED:
            _write_counts(axes, texts, alpha)
        svg = to_svg(figure, f"Confusion matrix of {size} classes", "m-")
    right, rows = int(np.trace(counts)), int(counts.sum())
    caption = (
        f"Rows are the true class, columns the predicted one. {right} of {rows} right (outlined diagonal). "
        "Depth of colour: square root of the share of the row."
    )
    return Picture("Confusion matrix", svg, caption)


def top_confusions(labels: Sequence[str], counts: np.ndarray, limit: int = 12) -> list[Confusion]:
    """The most frequent errors, most frequent first; ``counts`` is [true, predicted]."""
    wrong = np.array(counts)
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:limit]
    pairs = [(int(i), int(j)) for i, j in zip(*np.unravel_index(order, wrong.shape), strict=True) if wrong[i, j] > 0]
    totals = np.asarray(counts).sum(axis=1)
    return [Confusion(labels[i], labels[j], int(wrong[i, j]), float(wrong[i, j] / totals[i])) for i, j in pairs]


def _shade(counts: np.ndarray) -> np.ndarray:
    """Opacity 0..1 of each cell: the root of its share of the row, so that few errors among many rows are seen."""
    rows = counts.sum(axis=1, keepdims=True)
    return np.sqrt(np.divide(counts, rows, out=np.zeros(counts.shape), where=rows > 0))


def _cells(alpha: np.ndarray) -> np.ndarray:
    """uint8 RGBA [C,C,4]: what is right in one hue, what is wrong in another."""
    size = len(alpha)
    cells = np.empty((size, size, 4), dtype=np.uint8)
    cells[..., :3] = WRONG_RGB
    cells[np.arange(size), np.arange(size), :3] = RIGHT_RGB
    cells[..., 3] = np.rint(alpha * 255)
    return cells


def _label_axes(axes: Any, names: Sequence[str]) -> None:
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    for spine in axes.spines.values():
        spine.set(visible=True, alpha=0.4)
    if len(names) <= MAX_LABELLED:
        # Anchored at its end, a label stays in place in the reader's font, whatever its width there.
        turned = {"rotation": 90, "rotation_mode": "anchor", "ha": "right", "va": "center"}
        axes.set_xticks(range(len(names)), names, fontsize=9, **turned)
        axes.set_yticks(range(len(names)), names, fontsize=9)
    axes.tick_params(length=0 if len(names) <= MAX_LABELLED else 3)


def _outline_diagonal(axes: Any, size: int) -> None:
    if size > MAX_LABELLED:
        axes.plot([-0.5, size - 0.5], [-0.5, size - 0.5], color=INK, linewidth=0.5, alpha=0.3)
        return
    from matplotlib.patches import Rectangle

    for i in range(size):
        axes.add_patch(Rectangle((i - 0.5, i - 0.5), 1, 1, fill=False, edgecolor=INK, linewidth=0.8, alpha=0.7))


def _write_counts(axes: Any, texts: Sequence[Sequence[str]], alpha: np.ndarray) -> None:
    """Counts other than 0; white on cells that are dark in the light and in the dark page."""
    for i, row in enumerate(texts):
        for j, text in enumerate(row):
            if text != "0":
                colour = "white" if alpha[i, j] > 0.8 else INK
                axes.text(j, i, text, ha="center", va="center_baseline", fontsize=10, color=colour)


def _short_count(count: int) -> str:
    """At most four characters: 9999, 12k, 3M."""
    if count < 10_000:
        return str(count)
    return f"{count // 1_000}k" if count < 1_000_000 else f"{count // 1_000_000}M"


def shorten(label: str, limit: int = 18) -> str:
    """One line without control characters, cut where it is long."""
    line = " ".join("".join(char if char.isprintable() else " " for char in str(label)).split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def _width(text: str) -> int:
    """Columns that the text takes; CJK characters take two."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)
