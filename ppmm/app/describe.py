"""tools/data.py describe: what the data of a YAML holds, in figures and on a sheet of samples."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ppmm.app.document import write_document
from ppmm.app.experiment import build_rows, open_experiment
from ppmm.app.report import GalleryItem, render_page, write_page
from ppmm.app.report_gallery import WAVE_COLUMNS, WAVE_HEIGHT, make_parts, read_pixels
from ppmm.config import ConfigNode, build
from ppmm.errors import DataError
from ppmm.types import Dataset, Field, Sample

__all__ = ["add_arguments", "describe", "run"]

SHEET_ROWS = 48
MEASURED_ROWS = 64
SHOWN_CLASSES = 1000
SHOWN_PROBLEMS = 5
MAX_SECONDS = 600.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``describe``."""
    parser.add_argument("-c", "--config", required=True, help="YAML whose data section names the splits")
    parser.add_argument("-o", "--override", nargs="+", action="extend", default=[], metavar="a.b.c=value")
    parser.add_argument("--json", type=Path, metavar="F", help="write figures to F, and F's name with .html as a sheet")


def run(args: argparse.Namespace) -> None:
    """Describe the data and print it."""
    describe(args.config, args.override, args.json)


def describe(path: str, overrides: Sequence[str] = (), out: Path | None = None) -> dict[str, Any]:
    """Read every row of every split once, without decoding more than a sample.

    A split that cannot be opened, such as a test part that is not there, is reported with its error.

    Args:
        path: the YAML.
        overrides: ``a.b=value``.
        out: file of the figures; the sheet of samples goes next to it.

    Returns:
        ``{"config", "kinds": {field: kind}, "splits": {split: ...}}``; see `describe_split`.

    Raises:
        ConfigError: the YAML is wrong.
        DataError: no split can be opened.
    """
    config = open_experiment(path, overrides)
    fields: dict[str, Field] = build(config["fields"], dict[str, Field])
    kinds = {name: field.kind for name, field in fields.items()}
    splits: dict[str, Any] = {}
    samples: list[tuple[str, Sample]] = []
    share = max(1, SHEET_ROWS // max(1, len(config["data"])))
    for split in config["data"]:
        try:
            rows = build_rows(config, split)
        except DataError as error:
            splits[split] = {"rows": 0, "problem": str(error)}
            continue
        splits[split] = describe_split(rows, kinds, list(config["targets"]))
        samples += [(split, sample) for sample in _spread(rows, share)]
    if all("problem" in figures for figures in splits.values()):
        raise DataError("\n".join(f"{split}: {figures['problem']}" for split, figures in splits.items()))
    figures = {"config": str(path), "kinds": kinds, "splits": splits}
    print(_text(figures))
    if out is not None:
        _write(out, config, figures, samples)
    return figures


def describe_split(rows: Dataset, kinds: Mapping[str, str], targets: Sequence[str]) -> dict[str, Any]:
    """Figures of one split.

    Returns:
        ``rows``; ``found`` (what the reader says); ``fields`` {field: {kind, present, missing, sizes}}, the sizes of
        up to 64 rows as {unit: [least, median, most]}; ``targets`` {target: {missing, classes, counts}}, the most
        frequent first; ``groups``; ``unreadable`` and the first few ``problems``.
    """
    present: Counter[str] = Counter()
    counts: dict[str, Counter[str]] = {target: Counter() for target in targets}
    groups: set[str] = set()
    problems: list[str] = []
    unreadable = 0
    for index in range(len(rows)):
        try:
            row = rows[index]
        except DataError as error:
            unreadable += 1
            problems += [str(error)] if len(problems) < SHOWN_PROBLEMS else []
            continue
        present.update(name for name in (*kinds, *targets) if name in row)
        for target in targets:
            value = row.get(target)
            values = value if isinstance(value, list | tuple) else [] if value is None else [value]
            counts[target].update(str(one) for one in values)
        if "group" in row:
            groups.add(str(row["group"]))
    total = len(rows) - unreadable
    sampled = _spread(rows, MEASURED_ROWS)
    return {
        "rows": len(rows),
        "found": getattr(rows, "found", None),
        "fields": {
            name: {
                "kind": kind, "present": present[name], "missing": total - present[name],
                "sizes": _sizes(kind, [row[name] for row in sampled if name in row], problems),
            }
            for name, kind in kinds.items()
        },
        "targets": {
            target: {
                "missing": total - present[target], "classes": len(found),
                "counts": dict(found.most_common(SHOWN_CLASSES)),
            }
            for target, found in counts.items()
        },
        "groups": len(groups) or None,
        "unreadable": unreadable,
        "problems": problems[:SHOWN_PROBLEMS],
    }  # fmt: skip


def _spread(rows: Dataset, count: int) -> list[Sample]:
    """Up to ``count`` rows at equal distances; those that cannot be read are left out."""
    found = []
    for index in np.unique(np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int)):
        try:
            found.append(rows[int(index)])
        except DataError:
            continue
    return found


def _sizes(kind: str, values: Sequence[Any], problems: list[str]) -> dict[str, list[float]]:
    """{unit: [least, median, most]} of decoded values; what cannot be decoded goes to ``problems``."""
    measured: dict[str, list[float]] = {}
    for value in values:
        try:
            for unit, number in _measure(kind, value).items():
                measured.setdefault(unit, []).append(number)
        except DataError as error:
            problems.append(str(error))
    return {
        unit: [round(float(number), 3) for number in (min(all_), np.median(all_), max(all_))]
        for unit, all_ in measured.items()
    }


def _measure(kind: str, value: Any) -> dict[str, float]:
    """Numbers that say how large a value is. Raises DataError."""
    from ppmm.modalities.audio_file import load_mono, read_recording

    if kind == "image":
        pixels = read_pixels(value)
        return {"width": pixels.shape[1], "height": pixels.shape[0]}
    if kind == "audio":
        if isinstance(value, tuple | list):
            samples, rate = load_mono(value, int(value[1]), MAX_SECONDS), int(value[1])
        else:
            samples, rate = read_recording(value, MAX_SECONDS)
        return {"seconds": len(samples) / rate, "hertz": rate}
    return {"characters": len(value)} if isinstance(value, str) else {}


def _text(figures: Mapping[str, Any]) -> str:
    """The figures as lines for a terminal."""
    lines = [str(figures["config"])]
    for split, part in figures["splits"].items():
        if "problem" in part:
            lines.append(f"{split}: cannot be opened: {part['problem']}")
            continue
        lines.append(f"{split}: {part['rows']:,} rows" + (f" in {part['groups']:,} groups" if part["groups"] else ""))
        lines += [f"  {part['found']}"] if part["found"] else []
        for name, field in part["fields"].items():
            sizes = "; ".join(f"{unit} {low:g} to {high:g}" for unit, (low, _, high) in field["sizes"].items())
            lines.append(f"  {name:<12} {field['kind']:<8} {field['missing']:,} missing" + (f"; {sizes}" * bool(sizes)))
        for name, target in part["targets"].items():
            top = ", ".join(f"{label} {count:,}" for label, count in list(target["counts"].items())[:12])
            more = f", and {target['classes'] - 12:,} more" if target["classes"] > 12 else ""
            lines.append(
                f"  {name:<12} target   {target['missing']:,} missing; {target['classes']:,} classes: {top}{more}"
            )
        lines += [f"  unreadable: {part['unreadable']:,}"] if part["unreadable"] else []
        lines += [f"  problem: {problem}" for problem in part["problems"]]
    return "\n".join(lines)


def _write(out: Path, config: ConfigNode, figures: Mapping[str, Any], samples: Sequence[tuple[str, Sample]]) -> None:
    """The figures as JSON, and the sheet next to them."""
    sheet = out.with_suffix(".html")
    kinds, targets = figures["kinds"], list(config["targets"])
    items = [
        GalleryItem(
            str(row["id"]), "", "", 0.0,
            {key: _plain(value) if key not in kinds else value for key, value in row.items()
             if key != "id" and key not in targets},
            kinds,
        )
        for _, row in samples
    ]  # fmt: skip
    cards = [
        {"id": row["id"], "split": split, "parts": parts, "targets": {key: _plain(row.get(key, "")) for key in targets}}
        for (split, row), parts in zip(samples, make_parts(items), strict=True)
    ]
    page = render_page(
        "describe.html.j2",
        title=f"Data of {figures['config']}",
        splits=figures["splits"],
        cards=cards,
        wave_box=f"0 0 {WAVE_COLUMNS} {WAVE_HEIGHT}",
        listing=_text(figures),
    )
    write_page(sheet, page)
    write_document(out, {**figures, "sheet": sheet.name})
    print(f"figures: {out}   sheet: {sheet}")


def _plain(value: Any) -> str:
    """A value that is no field, as text."""
    return " / ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
