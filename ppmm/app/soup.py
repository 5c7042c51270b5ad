"""tools/soup.py: the mean of several checkpoints' weights as one checkpoint (Wortsman et al. 2022, "Model soups")."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ppmm.app.checkpoints import CONFIG, MODEL, OBJECTIVE, Loaded, load_checkpoint
from ppmm.app.evaluate import evaluate_rows
from ppmm.app.experiment import build_rows
from ppmm.config import changes, loads
from ppmm.engine.checkpoint import MANIFEST, Checkpoint, read_checkpoint, write_checkpoint
from ppmm.engine.weights import load_model
from ppmm.errors import CheckpointError
from ppmm.models.layers.replace import has_mergeable

__all__ = ["make_soup", "mean_of"]

SAME = ("model", "fields", "targets")
"""Sections of the config in which all must agree."""
STATE = ("state.safetensors", "state.json")
"""Of a run, which a soup is not."""
Arrays = Mapping[str, np.ndarray]


def make_soup(
    weights: Sequence[str],
    out: str,
    *,
    method: Literal["greedy", "uniform"] = "greedy",
    split: str = "val",
    plugins: Collection[str] = (),
) -> dict[str, Any]:
    """Write the checkpoint ``out``; returns what its manifest says about it.

    The greedy soup (algorithm 1 of the paper) begins with the best checkpoint, goes through the others from good to
    bad, and keeps each with which the mean is not worse on ``split`` by the figure that their trainer monitors. The
    uniform one is the mean of all. Batch statistics are averaged like the weights.

    Args:
        weights: two or more checkpoints of one architecture, vocabulary and set of labels, fine-tuned from one start.
        out: folder of the new checkpoint, which has no state to resume from.
        method: which of the two; the other's figure is told as well.
        split: whose rows decide.
        plugins: code that the checkpoints may import.

    Raises CheckpointError when the checkpoints cannot be mixed.
    """
    if len({Path(path).resolve() for path in weights}) < 2:
        raise CheckpointError(f"a soup takes at least two different checkpoints, got {', '.join(weights)}")
    _check_place(Path(out), weights)
    first = load_checkpoint(weights[0], plugins=plugins)
    if has_mergeable(first.model):
        raise CheckpointError(f"{weights[0]} has LoRA layers: the mean of their factors is not the mean of the weights")
    found = [first.checkpoint, *(read_checkpoint(Path(path)) for path in weights[1:])]
    for other in found[1:]:
        _check_alike(first, other)
    arrays = [checkpoint.arrays(MODEL) for checkpoint in found]
    taste = _Taste(first, split)
    figures = [taste(own, str(checkpoint.folder)) for own, checkpoint in zip(arrays, found, strict=True)]
    order = sorted(range(len(found)), key=lambda number: taste.sign * -figures[number])
    greedy = _greedy([arrays[number] for number in order], figures[order[0]], taste)
    soups = {"greedy": [order[number] for number in greedy], "uniform": list(range(len(found)))}
    results = {name: taste(mean_of([arrays[i] for i in members]), name) for name, members in soups.items()}
    members = soups[method]
    document = {
        "method": method, "split": split, "metric": taste.monitor, "value": results[method],
        "ingredients": [{"checkpoint": str(found[i].folder), taste.monitor: figures[i]} for i in members],
        "left_out": [str(found[i].folder) for i in order if i not in members],
    }  # fmt: skip
    mean = mean_of([arrays[number] for number in members])
    _write(Path(out), found[members[0]], mean, [found[number] for number in members], document)
    print(f"{method} soup of {len(members)} of {len(found)}: {taste.monitor} {results[method]:.4f}\ncheckpoint: {out}")
    return document


class _Taste:
    """The monitored figure of given weights, printed as it is measured.

    Attributes:
        monitor: its name.
        sign: 1 where more is better, else -1.
    """

    def __init__(self, loaded: Loaded, split: str) -> None:
        trainer = loaded.config["trainer"]
        self.loaded, self.split = loaded, split
        self.monitor: str = trainer.get("monitor", "accuracy")
        self.sign = 1.0 if trainer.get("mode", "max") == "max" else -1.0
        self.rows = build_rows(loaded.config, split)

    def __call__(self, arrays: Arrays, name: str) -> float:
        load_model(self.loaded.model, arrays, name)
        value = evaluate_rows(self.loaded, self.rows, progress=False).evaluation.figures[self.monitor]
        print(f"{self.split} {self.monitor} {value:.4f}  {name}", file=sys.stderr, flush=True)
        return value


def _greedy(arrays: Sequence[Arrays], best: float, taste: _Taste) -> list[int]:
    """Which of ``arrays``, sorted from good to bad, make the greedy soup; ``best`` is the figure of the first."""
    members = [0]
    for number in range(1, len(arrays)):
        tried = [*members, number]
        value = taste(mean_of([arrays[member] for member in tried]), f"with number {number + 1}")
        if taste.sign * value >= taste.sign * best:
            members, best = tried, value
    return members


def mean_of(ingredients: Sequence[Arrays]) -> dict[str, np.ndarray]:
    """The mean of each floating-point array, summed in float64; of others, the first."""
    mean = {}
    for name, array in ingredients[0].items():
        if np.issubdtype(array.dtype, np.floating):
            total = sum(own[name].astype(np.float64) for own in ingredients)
            mean[name] = np.asarray(total / len(ingredients)).astype(array.dtype)
        else:
            mean[name] = array
    return mean


def _check_place(out: Path, weights: Sequence[str]) -> None:
    """Raises CheckpointError where writing would delete something else than an older soup."""
    if out.resolve() in {Path(path).resolve() for path in weights}:
        raise CheckpointError(f"--out {out} is one of the checkpoints; choose a new folder")
    if out.exists() and not (out / MANIFEST).is_file():
        raise CheckpointError(f"--out {out} exists and is not a checkpoint; choose a new folder")


def _check_alike(first: Loaded, other: Checkpoint) -> None:
    """Raises CheckpointError when the weights of ``other`` mean something else than those of ``first``."""
    one = first.checkpoint
    ours = loads(one.text(CONFIG), file=str(one.folder / CONFIG))
    theirs = loads(other.text(CONFIG), file=str(other.folder / CONFIG))
    differing = [
        change.key for section in SAME for change in changes(ours[section], theirs[section], section)
        if "augment" not in change.key
    ]  # fmt: skip
    if differing:
        raise CheckpointError(f"{other.folder} differs from {one.folder} in {', '.join(differing)}: no mean of them")
    for key in ("labels", "transforms"):
        if one.manifest.get(key) != other.manifest.get(key):
            raise CheckpointError(f"{other.folder} has other {key} than {one.folder}: no mean of them")
    texts = {name for name in one.manifest["files"] if not name.endswith(".safetensors")} - {CONFIG, *STATE}
    for name in sorted(texts):
        if one.manifest["files"][name] != other.manifest["files"].get(name):
            raise CheckpointError(f"{other.folder} has another vocabulary than {one.folder} ({name}): no mean of them")
    load_model(first.model, other.arrays(MODEL), str(other.folder))


def _write(
    out: Path, base: Checkpoint, mean: Arrays, members: Sequence[Checkpoint], document: Mapping[str, Any]
) -> None:
    texts = {
        name: base.text(name)
        for name in base.manifest["files"]
        if not name.endswith(".safetensors") and name not in STATE
    }
    learned = [member.arrays(OBJECTIVE) for member in members if OBJECTIVE in member.manifest["files"]]
    arrays: dict[str, Arrays] = {MODEL: mean}
    if len(learned) == len(members):
        arrays[OBJECTIVE] = mean_of(learned)
    kept = {key: value for key, value in base.manifest.items() if key not in ("format", "files", "averaged")}
    metrics = {document["metric"]: document["value"]}
    write_checkpoint(out, arrays, texts, {**kept, "metrics": metrics, "soup": dict(document)})
