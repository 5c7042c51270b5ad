"""Curves of a report, and how its pictures become SVG that takes its colours from the page."""

from __future__ import annotations

import html
import io
import math
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from ppmm.errors import PpmmError

__all__ = ["INK", "VAL", "Picture", "curve_pictures", "format_number", "matplotlib_style", "to_svg"]

MAX_POINTS = 300
MAX_MAGNITUDE = 1e30  # beyond it the axes overflow; a loss of that size says no more than NaN
# Matplotlib knows no CSS: it draws in these colours, and the SVG is given the page's in their place.
INK, TRAIN, VAL = "#010203", "#010204", "#010205"
PAGE_COLOURS = {INK: "currentColor", TRAIN: "var(--train)", VAL: "var(--val)"}
STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "ppmm",
    "text.parse_math": False,
    "font.size": 11,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": INK,
    "grid.alpha": 0.15,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


class Picture(NamedTuple):
    """``svg`` is markup, made safe here; ``title`` and ``caption`` are plain text."""

    title: str
    svg: str
    caption: str


class _Line(NamedTuple):
    """One curve: ``values`` [N] at ``steps`` [N], NaN where they were not finite."""

    label: str
    colour: str
    steps: np.ndarray
    values: np.ndarray


def format_number(value: Any) -> str:
    """Four significant digits; whole numbers are kept; ``not finite``, and a dash for None."""
    if not isinstance(value, int | float | np.integer | np.floating) or isinstance(value, bool):
        return "–" if value is None else str(value)
    number = float(value)
    if not math.isfinite(number):
        return "not finite"
    if number.is_integer() and abs(number) < 1e9:
        return str(int(number))
    return f"{number:.4f}" if 0.1 <= abs(number) < 1 else f"{number:.4g}"


def curve_pictures(history: Sequence[Mapping[str, Any]]) -> list[Picture]:
    """Training and validation values by step: ``loss``, then every other figure, then the learning rate.

    Args:
        history: lines as `ppmm.engine.history.History` writes them; figures that are not numbers are passed over.
    """
    groups = [line.get(split) for line in history for split in ("val", "train")]
    names = dict.fromkeys(["loss", *(name for group in groups if isinstance(group, Mapping) for name in group)])
    charts = []
    for name in names:
        train = _line("training", TRAIN, _points(history, "train", name))
        val = _line("validation", VAL, _points(history, "val", name))
        charts.append((str(name), [line for line in (train, val) if len(line.steps)]))
    rate = _line("learning rate", TRAIN, [(line.get("step"), line.get("learning_rate")) for line in history])
    charts.append(("learning rate", [rate] if len(rate.steps) else []))
    return [_draw_curves(name, lines, f"c{i}-") for i, (name, lines) in enumerate(charts) if lines]


def _points(history: Sequence[Mapping[str, Any]], split: str, name: str) -> list[tuple[Any, Any]]:
    """(step, value) of the lines that have figures of ``split``."""
    return [(line.get("step"), line[split].get(name)) for line in history if isinstance(line.get(split), Mapping)]


def _line(label: str, colour: str, points: Iterable[tuple[Any, Any]]) -> _Line:
    """The (step, value) that are numbers; what is not finite becomes a gap."""
    known = [(s, v) for s, v in points if isinstance(s, int | float) and isinstance(v, int | float)]
    steps = np.array([step for step, _ in known], dtype=float)
    values = np.array([value if abs(value) < MAX_MAGNITUDE else math.nan for _, value in known], dtype=float)
    return _Line(label, colour, steps, values)


def _thin(line: _Line) -> _Line:
    """At most `MAX_POINTS` points, each the mean of its neighbours; a NaN among them stays visible as a gap."""
    if len(line.steps) <= MAX_POINTS:
        return line
    steps, values = (np.array_split(part, MAX_POINTS) for part in (line.steps, line.values))
    return line._replace(
        steps=np.array([part.mean() for part in steps]), values=np.array([part.mean() for part in values])
    )


def _draw_curves(name: str, lines: Sequence[_Line], prefix: str) -> Picture:
    with matplotlib_style():
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator

        figure = Figure(figsize=(5.4, 3.1), dpi=72, layout="constrained")
        axes = figure.add_subplot()
        for line in map(_thin, lines):
            marker = "o" if len(line.steps) <= 40 else None
            look: dict[str, Any] = {"color": line.colour, "marker": marker, "markersize": 3.5, "linewidth": 1.8}
            axes.plot(line.steps, line.values, label=line.label, **look)
        axes.set_xlabel("step")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.grid(True)
        if len(lines) > 1:
            axes.legend(frameon=False)
        svg = to_svg(figure, f"{name} by step", prefix)
    return Picture(name, svg, " ".join(map(_describe, lines)))


def _describe(line: _Line) -> str:
    """What a reader of the curve would say of it, in one sentence."""
    finite = np.isfinite(line.values)
    lost = int((~finite).sum())
    gaps = f" Not finite: {lost} of {len(finite)} values." if lost else ""
    if not finite.any():
        return f"{line.label}:{gaps}"
    low, high = int(np.nanargmin(line.values)), int(np.nanargmax(line.values))
    last, lowest, highest = (format_number(line.values[i]) for i in (-1, low, high))
    return (
        f"{line.label}: last {last}, lowest {lowest} at step {line.steps[low]:.0f}, "
        f"highest {highest} at step {line.steps[high]:.0f}.{gaps}"
    )


@contextmanager
def matplotlib_style() -> Iterator[None]:
    """Our style, whatever matplotlibrc says; restored at the end. Raises PpmmError without Matplotlib."""
    try:
        import matplotlib
    except ImportError as error:
        raise PpmmError("a report needs Matplotlib: pip install 'matplotlib<3.11'") from error
    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        # The reader's fonts show the text; that Matplotlib's own font lacks a Chinese glyph does not matter.
        warnings.filterwarnings("ignore", message=".*Glyph .* missing from")
        yield


def to_svg(figure: Any, label: str, prefix: str) -> str:
    """The figure as an ``<svg>`` element whose ids are its own in a page of several."""
    buffer = io.StringIO()
    no_metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(buffer, format="svg", transparent=True, metadata=no_metadata)
    root = re.search(r'<svg [^>]*viewBox="0 0 ([\d.]+) ([\d.]+)"[^>]*>(.*)</svg>', buffer.getvalue(), re.DOTALL)
    assert root is not None, "Matplotlib wrote no svg element"
    body = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>|<!--.*?-->", "", root[3], flags=re.DOTALL)
    # Texts hold no bare '<', so that only the tags of Matplotlib match.
    body = re.sub(r"<[^>]*>", lambda tag: _adapt_tag(tag[0], prefix), body)
    width, height = round(float(root[1])), round(float(root[2]))
    size = f'viewBox="0 0 {root[1]} {root[2]}" width="{width}" height="{height}"'
    return f'<svg class="plot" role="img" aria-label="{html.escape(label)}" {size}>{body.strip()}</svg>'


def _adapt_tag(tag: str, prefix: str) -> str:
    """Ids made unique in the page, colours made the page's."""
    tag = re.sub(r'\b(id="|xlink:href="#|url\(#)', lambda found: found[0] + prefix, tag).replace("xlink:href", "href")
    for drawn, wanted in PAGE_COLOURS.items():
        tag = tag.replace(drawn, wanted)
    return tag
