"""``report.html``: one file that shows what a run did, needs no network, and can be sent by mail."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ppmm.app.report_confusion import confusion_picture, top_confusions
from ppmm.app.report_details import detail_pictures, without_curves
from ppmm.app.report_figures import curve_pictures, format_number
from ppmm.app.report_gallery import WAVE_COLUMNS, WAVE_HEIGHT, GalleryItem, make_cards
from ppmm.errors import DataError, PpmmError

__all__ = ["GalleryItem", "read_history", "render_page", "write_page", "write_report"]

MAX_CLASSES = 300
MAX_CHARACTERS = 200_000
DRAWN_DETAILS = ("confusion_matrix", "class_report")
# What HTML allows in no document, even escaped.
FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufdd0-\ufdef\ufffe\uffff]")


def write_report(
    path: Path,
    title: str,
    *,
    config_text: str,
    history: Sequence[Mapping[str, Any]],
    figures: Mapping[str, Mapping[str, float]],
    details: Mapping[str, Any],
    gallery: Sequence[GalleryItem],
    facts: Mapping[str, str],
) -> None:
    """Write the page to ``path``, whole or not at all.

    Args:
        path: the HTML file; its folder is made.
        title: heading.
        config_text: the resolved config, as YAML.
        history: lines of ``history.jsonl``, as `read_history` returns them; may be empty.
        figures: metrics by split.
        details: tables of the metrics, such as ``confusion_matrix`` and ``class_report``.
        gallery: rows to show; those that are wrong with the greatest confidence come first.
        facts: what else is worth knowing of the run: steps, epochs, time, parameters, versions.

    Raises:
        PpmmError: Matplotlib or Jinja2 is missing.
    """
    page = render_page(
        "report.html.j2",
        title=title.strip() or "Report",
        facts=facts,
        splits=list(figures),
        figure_rows=_figure_rows(figures),
        curves=curve_pictures(history),
        **_confusion(details.get("confusion_matrix")),
        **_class_table(details.get("class_report")),
        detail_pictures=detail_pictures(details),
        other_details={
            name: _as_json(without_curves(name, value)) for name, value in details.items() if name not in DRAWN_DETAILS
        },
        cards=make_cards(gallery),
        gallery_size=len(gallery),
        wave_box=f"0 0 {WAVE_COLUMNS} {WAVE_HEIGHT}",
        config_text=config_text[:MAX_CHARACTERS],
    )
    write_page(path, page)


def read_history(path: Path) -> list[dict[str, Any]]:
    """The lines of a ``history.jsonl``; none where there is no such file.

    A last line that a kill has cut is left out.

    Raises:
        DataError: another line is not a JSON object.
    """
    if not path.exists():
        return []
    lines = [line for line in path.read_text(encoding="utf-8", errors="replace").split("\n") if line.strip()]
    history: list[dict[str, Any]] = []
    for number, line in enumerate(lines, start=1):
        try:
            entry = json.loads(line)
        except ValueError as error:
            if number == len(lines):
                break
            raise DataError(f"{path}: line {number} is not JSON; remove it") from error
        if not isinstance(entry, dict):
            raise DataError(f"{path}: line {number} is not a JSON object; remove it")
        history.append(entry)
    return history


def render_page(template: str, **values: Any) -> str:
    """A template of this folder with ``values``, each escaped unless the template says that it is markup."""
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ImportError as error:
        raise PpmmError("a report needs Jinja2: pip install jinja2") from error
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = format_number
    return environment.get_template(template).render(**values)


def _figure_rows(figures: Mapping[str, Mapping[str, float]]) -> list[tuple[str, list[float | None]]]:
    """Each metric with its value in every split, None where the split lacks it."""
    names = dict.fromkeys(name for split in figures.values() for name in split)
    return [(name, [split.get(name) for split in figures.values()]) for name in names]


def _confusion(detail: Mapping[str, Any] | None) -> dict[str, Any]:
    """``confusion``: the picture or None; ``confusions``: the most frequent errors; ``confusion_target``."""
    if detail is None:
        return {"confusion": None, "confusions": [], "confusion_target": ""}
    labels = [str(label) for label in detail["labels"]]
    counts = np.asarray(detail["counts"], dtype=np.int64).reshape(len(labels), len(labels))
    return {
        "confusion": confusion_picture(labels, counts),
        "confusions": top_confusions(labels, counts),
        "confusion_target": str(detail["target"]),
    }


def _class_table(detail: Mapping[str, Any] | None) -> dict[str, Any]:
    """``classes``: (label, figures) in the order of the labels, or the weakest where there are very many."""
    classes = list(detail["classes"].items()) if detail is not None else []
    total = len(classes)
    if total > MAX_CLASSES:
        classes = sorted(classes, key=lambda entry: (entry[1]["rows"] == 0, entry[1]["f1"]))[:MAX_CLASSES]
    return {"classes": classes, "class_count": total}


def _as_json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)[:MAX_CHARACTERS]


def write_page(path: Path, page: str) -> None:
    """Write under a temporary name, then rename: a kill leaves the previous report. Raises DataError."""
    content = FORBIDDEN.sub("\ufffd", page).encode("utf-8", "replace")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_bytes(content)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(f"'{path}' cannot be written: {error.strerror or error}") from error
