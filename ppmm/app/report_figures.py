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

__all__ = [
    "INK",
    "RUNS",
    "VAL",
    "Curve",
    "Picture",
    "curve_of",
    "curve_pictures",
    "draw_curves",
    "format_number",
    "matplotlib_style",
    "points_of",
    "to_svg",
]

MAX_POINTS = 300
MAX_MAGNITUDE = 1e30  # beyond it the axes overflow; a loss of that size says no more than NaN
# Matplotlib knows no CSS: it draws in these colours, and the SVG is given the page's in their place.
INK, TRAIN, VAL = "#010203", "#010204", "#010205"
RUNS = tuple(f"#0103{number:02x}" for number in range(8))
"""Colours of runs that are compared: the page's ``--run-0`` ... ``--run-7``."""
PAGE_COLOURS = {INK: "currentColor", TRAIN: "var(--train)", VAL: "var(--val)"} | {
    colour: f"var(--run-{number})" for number, colour in enumerate(RUNS)
}
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


class Curve(NamedTuple):
    """One curve: ``values`` [N] at ``places`` [N] (steps, say), NaN where they were not finite."""

    label: str
    colour: str
    places: np.ndarray
    values: np.ndarray
    style: str = "-"


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
        train = curve_of("training", TRAIN, points_of(history, "train", name))
        val = curve_of("validation", VAL, points_of(history, "val", name))
        charts.append((str(name), [curve for curve in (train, val) if len(curve.places)]))
    rate = curve_of("learning rate", TRAIN, points_of(history, None, "learning_rate"))
    charts.append(("learning rate", [rate] if len(rate.places) else []))
    return [draw_curves(name, curves, f"c{i}-") for i, (name, curves) in enumerate(charts) if curves]


def points_of(
    history: Iterable[Mapping[str, Any]], split: str | None, name: str, across: str = "step"
) -> list[tuple[Any, Any]]:
    """(place, value) of the lines that have the figure, in ``split`` or, with None, in the line itself.

    History writes null for what is not finite: it is NaN here.
    """
    groups = [(line.get(across), line if split is None else line.get(split)) for line in history]
    found = [(place, group[name]) for place, group in groups if isinstance(group, Mapping) and name in group]
    return [(place, math.nan if value is None else value) for place, value in found]


def curve_of(label: str, colour: str, points: Iterable[tuple[Any, Any]], style: str = "-") -> Curve:
    """The (place, value) that are numbers; what is not finite becomes a gap."""
    known = [(s, v) for s, v in points if isinstance(s, int | float) and isinstance(v, int | float)]
    places = np.array([place for place, _ in known], dtype=float)
    values = np.array([value if abs(value) < MAX_MAGNITUDE else math.nan for _, value in known], dtype=float)
    return Curve(label, colour, places, values, style)


def _thin(curve: Curve) -> Curve:
    """At most `MAX_POINTS` points, each the mean of its neighbours; a NaN among them stays visible as a gap."""
    if len(curve.places) <= MAX_POINTS:
        return curve
    places, values = (np.array_split(part, MAX_POINTS) for part in (curve.places, curve.values))
    return curve._replace(
        places=np.array([part.mean() for part in places]), values=np.array([part.mean() for part in values])
    )


def draw_curves(
    name: str, curves: Sequence[Curve], prefix: str, *, across: str = "step", legend: bool | None = None
) -> Picture:
    """One chart.

    Args:
        name: its title.
        curves: at least one.
        prefix: of the ids in the SVG, which must differ from those of other pictures of the page.
        across: what the places are; ``step`` is counted, anything else measured.
        legend: whether the curves are named in the picture; None names them where there are several.
    """
    with matplotlib_style():
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator

        figure = Figure(figsize=(5.4, 3.1), dpi=72, layout="constrained")
        axes = figure.add_subplot()
        for curve in map(_thin, curves):
            marker = "o" if len(curve.places) <= 40 else None
            look: dict[str, Any] = {"color": curve.colour, "marker": marker, "markersize": 3.5, "linewidth": 1.8}
            axes.plot(curve.places, curve.values, label=curve.label, linestyle=curve.style, **look)
        axes.set_xlabel(across)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=across == "step"))
        axes.grid(True)
        if len(curves) > 1 if legend is None else legend:
            axes.legend(frameon=False)
        svg = to_svg(figure, f"{name} by {across}", prefix)
    return Picture(name, svg, " ".join(_describe(curve, across) for curve in curves))


def _describe(curve: Curve, across: str) -> str:
    """What a reader of the curve would say of it, in one sentence."""
    finite = np.isfinite(curve.values)
    lost = int((~finite).sum())
    gaps = f" Not finite: {lost} of {len(finite)} values." if lost else ""
    if not finite.any():
        return f"{curve.label}:{gaps}"
    low, high = int(np.nanargmin(curve.values)), int(np.nanargmax(curve.values))
    last, lowest, highest = (format_number(curve.values[i]) for i in (-1, low, high))
    where = [
        f"{across} {curve.places[i]:.0f}" if across == "step" else f"{curve.places[i]:.4g} {across}"
        for i in (low, high)
    ]
    return f"{curve.label}: last {last}, lowest {lowest} at {where[0]}, highest {highest} at {where[1]}.{gaps}"


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
