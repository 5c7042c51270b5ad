"""Rows <-> the JSON tasks of Label Studio, without loss in either direction.

Formats (labelstud.io/guide/tasks, .../guide/export, .../guide/predictions): a task has ``data``, ``annotations`` and
``predictions``; each of the latter a list of results ``{from_name, to_name, type, value}``. What a row holds travels in
``data`` under ``ppmm`` and comes back unchanged.
"""

from __future__ import annotations

import html
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

from ppmm.data.curate.collection import MEDIA, Collection
from ppmm.errors import DataError

__all__ = ["KEEP", "Project", "from_tasks", "labelling_config", "to_tasks"]

LOCAL_FILES = "/data/local-files/?d="
KEEP = "label_studio"
"""Column that keeps a task's annotations whole, for who worked on it when and how they differ."""
TAGS = {"image": "Image", "audio": "Audio", "text": "Text"}


@dataclass(frozen=True)
class Project:
    """What annotators see and say.

    Args:
        target: column to be filled.
        shown: columns that are shown, the first is the one that is judged.
        classes: choices of a classification; None asks for free text (captions, transcripts).
        prefix: put before a path to make it a URL that Label Studio serves.
    """

    target: str
    shown: tuple[str, ...]
    classes: tuple[str, ...] | None = None
    prefix: str = LOCAL_FILES

    def result(self, value: str, score: float | None = None) -> dict[str, Any]:
        """One value in Label Studio's words."""
        kind = "textarea" if self.classes is None else "choices"
        inner = {"text": [value]} if self.classes is None else {"choices": [value]}
        entry = {"from_name": self.target, "to_name": self.shown[0], "type": kind, "value": inner}
        return entry if score is None else {**entry, "score": score}


def labelling_config(project: Project, kinds: Mapping[str, str]) -> str:
    """The XML that a project of Label Studio is set up with."""
    lines = ["<View>"]
    for column in project.shown:
        name = html.escape(column)
        lines.append(f'  <{TAGS[kinds[column]]} name="{name}" value="${name}"/>')
    target, judged = html.escape(project.target), html.escape(project.shown[0])
    if project.classes is None:
        lines.append(f'  <TextArea name="{target}" toName="{judged}" rows="3" maxSubmissions="1" editable="true"/>')
    else:
        lines.append(f'  <Choices name="{target}" toName="{judged}" choice="single" showInline="true">')
        lines += [f'    <Choice value="{html.escape(name)}"/>' for name in project.classes]
        lines.append("  </Choices>")
    return "\n".join([*lines, "</View>", ""])


def to_tasks(
    collection: Collection,
    project: Project,
    predictions: Mapping[int, tuple[str, float]] | None = None,
    model: str = "ppmm",
    indices: Sequence[int] | None = None,
) -> list[dict[str, Any]]:
    """Tasks of the rows.

    Args:
        collection: the rows.
        project: what is asked.
        predictions: row index -> (value, score 0..1), as pre-annotations.
        model: name of what predicted.
        indices: rows to export, in this order; None for all.

    Raises:
        DataError: a cell that JSON cannot hold.
    """
    tasks = []
    for index in range(len(collection)) if indices is None else indices:
        row = collection.rows[index]
        data = {column: _shown(collection, index, column, project.prefix) for column in project.shown}
        data["ppmm"] = {"id": collection.id(index), "row": row.line, "cells": _json(row.cells, collection.id(index))}
        kept = _kept(row.cells.get(KEEP))
        label = collection.value(index, project.target)
        annotations = kept if kept else [] if label is None else [{"result": [project.result(str(label))]}]
        task: dict[str, Any] = {"data": data, "annotations": annotations, "predictions": []}
        if predictions is not None and index in predictions:
            value, score = predictions[index]
            task["predictions"] = [{"model_version": model, "score": score, "result": [project.result(value, score)]}]
        tasks.append(task)
    return tasks


def from_tasks(
    tasks: Sequence[Mapping[str, Any]], target: str, *, keep: bool = False, prefix: str = LOCAL_FILES
) -> tuple[list[dict[str, Any]], list[str]]:
    """Rows with what was annotated.

    Of several annotators of a class the majority wins; of several texts the latest. A row that nobody annotated, or
    whose annotators disagree evenly, keeps what it had. A value that says the same as before keeps its type (3, "3").

    Args:
        tasks: as Label Studio exports them (JSON), or as `to_tasks` made them.
        target: the column to fill.
        keep: put the whole annotations into the column `KEEP`.
        prefix: what `to_tasks` put before paths.

    Returns:
        Cells of each row, and the ids of rows whose annotators disagree evenly.

    Raises:
        DataError: a task of another form.
    """
    rows, disputed = [], []
    for number, task in enumerate(tasks, 1):
        data = task.get("data") if isinstance(task, Mapping) else None
        if not isinstance(data, Mapping):
            raise DataError(f"task {number} has no 'data'; export as JSON (not JSON-MIN) from Label Studio")
        own = data.get("ppmm")
        if own is not None and not (isinstance(own, Mapping) and isinstance(own.get("cells"), Mapping)):
            raise DataError(f"task {number}: data.ppmm holds no cells; leave it as export wrote it")
        cells = dict(own["cells"]) if own is not None else _plain_cells(data, prefix)
        annotations = _annotations(task, number)
        values, free = _values(annotations, target, number)
        before = cells.get(target)
        chosen = values[-1] if free and values else _majority(values)
        if chosen is not None and chosen != str(before):
            cells[target] = chosen
        elif values and chosen is None:
            disputed.append(str((own or {}).get("id") or f"task {number}"))
        if keep and annotations:
            cells[KEEP] = annotations
        rows.append(cells)
    return rows, disputed


def _shown(collection: Collection, index: int, column: str, prefix: str) -> Any:
    value = collection.rows[index].cells.get(column)
    if value is None or collection.kinds[column] not in MEDIA:
        return value
    return prefix + quote(str(value))


def _plain_cells(data: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """A task that was made elsewhere: its data, URLs of local files as paths."""
    return {
        name: unquote(value.removeprefix(prefix)) if isinstance(value, str) and value.startswith(prefix) else value
        for name, value in data.items()
    }


def _kept(cell: Any) -> list[dict[str, Any]]:
    """Annotations that an import kept; from a CSV they come as text."""
    if isinstance(cell, str) and cell.strip():
        try:
            cell = json.loads(cell)
        except ValueError as error:
            raise DataError(f"column '{KEEP}' holds no JSON: {cell[:60]!r}; leave it as import wrote it") from error
    return list(cell) if isinstance(cell, list) else []


def _annotations(task: Mapping[str, Any], number: int) -> list[dict[str, Any]]:
    found = task.get("annotations", task.get("completions", []))
    if not isinstance(found, list) or not all(isinstance(one, Mapping) for one in found):
        raise DataError(f"task {number}: 'annotations' is no list of objects")
    return [dict(one) for one in found]


def _values(annotations: Sequence[Mapping[str, Any]], target: str, number: int) -> tuple[list[str], bool]:
    """What was said of the target, the latest last, and whether it is free text. Raises DataError."""
    spoken = [one for one in annotations if not one.get("was_cancelled")]
    spoken.sort(key=lambda one: str(one.get("updated_at") or one.get("created_at") or ""))
    values, free = [], False
    for annotation in spoken:
        results = annotation.get("result") or []
        if not isinstance(results, list) or not all(isinstance(result, Mapping) for result in results):
            raise DataError(f"task {number}: the 'result' of an annotation is no list of objects")
        for result in results:
            if result.get("from_name") != target:
                continue
            value = result.get("value") or {}
            said = value.get("choices", value.get("text", [])) if isinstance(value, Mapping) else None
            if not isinstance(said, str | list):
                raise DataError(f"task {number}: '{target}' has neither 'choices' nor 'text', but {ascii(value)[:60]}")
            free = free or "text" in value
            values.extend([said] if isinstance(said, str) else [str(one) for one in said][:1])
    return values, free


def _majority(values: Sequence[str]) -> str | None:
    ranked = Counter(values).most_common(2)
    if not ranked or (len(ranked) == 2 and ranked[0][1] == ranked[1][1]):
        return None
    return ranked[0][0]


def _json(cells: Mapping[str, Any], where: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(json.dumps({k: v for k, v in cells.items() if k != KEEP}, allow_nan=False))
        return found
    except (TypeError, ValueError) as error:
        raise DataError(f"{where}: a cell cannot travel as JSON ({error}); export from a manifest of paths") from error
