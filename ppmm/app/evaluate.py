"""tools/eval.py: a checkpoint over a split, with any modalities left out."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
from tqdm import tqdm

from ppmm.app.checkpoints import Loaded, load_checkpoint, restore_objective
from ppmm.app.document import write_document
from ppmm.app.experiment import build_metrics, build_objective, build_rows, make_loader, open_experiment
from ppmm.app.picked_rows import rows_with_any
from ppmm.app.target_checks import learned_targets
from ppmm.decode.classes import softmax
from ppmm.engine.evaluator import Evaluation, evaluate
from ppmm.types import Batch, Dataset, Outputs

__all__ = ["Mistake", "Result", "evaluate_checkpoint", "evaluate_rows", "subsets"]


@dataclass(frozen=True)
class Mistake:
    """A row that was answered wrongly; classes are numbers."""

    row: int
    true: int
    predicted: int
    probability: float


@dataclass(frozen=True)
class Result:
    """An evaluation and, of a classifier, the most confident mistakes about ``target``."""

    evaluation: Evaluation
    mistakes: list[Mistake] = field(default_factory=list)
    target: str | None = None


def evaluate_checkpoint(
    weights: str,
    path: str | None = None,
    overrides: Sequence[str] = (),
    *,
    split: str = "test",
    drop: Collection[str] = (),
    every_subset: bool = False,
    out: str | None = None,
    plugins: Collection[str] = (),
) -> dict[str, Any]:
    """Print (and with ``out`` write) the figures of a checkpoint; returns what was written.

    Args:
        weights: checkpoint folder.
        path: a YAML for data and metrics; the checkpoint's own config when None.
        overrides: ``a.b.c=value``, with ``path``.
        split: key under ``data:``.
        drop: fields that every row is to lack.
        every_subset: also evaluate every other non-empty subset of the fields.
        out: path of a JSON file.
        plugins: code that the checkpoint may import.
    """
    loaded = load_checkpoint(weights, None if path is None else open_experiment(path, overrides), plugins)
    rows = build_rows(loaded.config, split)
    chosen = subsets(list(loaded.parts.fields)) if every_subset else [tuple(drop)]
    document: dict[str, Any] = {"checkpoint": weights, "split": split, "results": []}
    for without in chosen:
        evaluation = evaluate_rows(loaded, rows, without=without).evaluation
        used = [name for name in loaded.parts.fields if name not in without]
        entry = {"fields": used, "dropped": list(without), "rows": evaluation.rows, "metrics": evaluation.figures}
        document["results"].append({**entry, "details": evaluation.details})
        figures = "  ".join(f"{name} {value:.4f}" for name, value in evaluation.figures.items())
        print(f"{split} [{'+'.join(used)}] {evaluation.rows} rows: {figures}", flush=True)
    document.update({key: document["results"][0][key] for key in ("dropped", "rows", "metrics", "details")})
    write_document(out, document)
    return document


def subsets(fields: Sequence[str]) -> list[tuple[str, ...]]:
    """What to leave out so that every non-empty subset of ``fields`` is used once, the whole first."""
    return [left for size in range(len(fields)) for left in combinations(fields, size)]


def evaluate_rows(
    loaded: Loaded, rows: Dataset, *, without: Collection[str] = (), gallery: bool = False, progress: bool = True
) -> Result:
    """Figures, tables and, with ``gallery``, a classifier's most confident mistakes on ``rows``.

    Where fields are left out (``without``), rows that have no other are left out too: a model has no answer to nothing.
    """
    kept = [name for name in loaded.parts.fields if name not in without]
    rows = rows_with_any(rows, kept) if without and kept else rows
    loader = make_loader(loaded.config, rows, loaded.parts, without=without)
    metrics = build_metrics(loaded.config, loaded.parts)
    mistakes: list[Mistake] = []
    target = _classified(loaded) if gallery else None
    collect = None if target is None else _collector(mistakes, target)
    batches = with_progress(loader.epoch(), len(loader), "eval") if progress else loader.epoch()
    evaluation = evaluate(loaded.model, batches, metrics, _objective(loaded), collect)
    return Result(evaluation, sorted(mistakes, key=lambda mistake: -mistake.probability), target)


def _objective(loaded: Loaded) -> Any:
    """The objective with what it has learned; None, and a word about it, where the checkpoint does not hold that."""
    manifest = loaded.checkpoint.manifest
    objective = build_objective(
        loaded.config, loaded.parts, manifest.get("class_counts", {}), manifest.get("train_rows")
    )
    if restore_objective(loaded, objective):
        return objective
    print("no loss is given: the checkpoint does not hold what this objective learns", file=sys.stderr)
    return None


def _classified(loaded: Loaded) -> str | None:
    """The first target of the objective whose answer is one of several classes."""
    targets = loaded.parts.targets
    return next((name for name in learned_targets(loaded.config) if targets[name].kind == "label"), None)


def with_progress(batches: Iterable[Batch], total: int, what: str) -> Iterator[Batch]:
    """``batches`` behind a progress bar, where stderr is a terminal."""
    yield from tqdm(batches, total=total, desc=what, unit="batch", leave=False, disable=not sys.stderr.isatty())


def _collector(mistakes: list[Mistake], target: str) -> Any:
    def collect(batch: Batch, outputs: Outputs) -> None:
        if "logits" not in outputs:
            return
        probabilities = softmax(np.asarray(outputs["logits"]))
        best, sure = probabilities.argmax(axis=-1), probabilities.max(axis=-1)
        for row, true, guess, p in zip(batch["index"].numpy(), batch[target].numpy(), best, sure, strict=True):
            if true != guess:
                mistakes.append(Mistake(int(row), int(true), int(guess), float(p)))

    return collect
