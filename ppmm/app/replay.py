"""tools/replay.py: the step at which a run diverged, once more and layer by layer."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Collection, Sequence
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ppmm.app.checkpoints import load_checkpoint, restore_training
from ppmm.app.experiment import build_rows
from ppmm.app.report_figures import format_number
from ppmm.app.train import make_trainer
from ppmm.config import ConfigNode, load
from ppmm.engine.divergence import DIVERGED, DIVERGENCE
from ppmm.engine.replay import LayerRange, Replay, RowReading, replay_step
from ppmm.errors import DataError
from ppmm.types import Dataset

__all__ = ["print_replay", "replay_run"]

SHOWN = 20
"""Rows, layers and gradients that are printed, where there are more."""


def replay_run(folder: str, plugins: Collection[str] = (), every_layer: bool = False) -> bool:
    """Rebuild the batch and the state of a run's divergence, run the step and print what came out.

    Args:
        folder: of the run.
        plugins: code outside of ppmm that its config may import.
        every_layer: print the range of all layers, not only of those around the first that is not finite.

    Returns: whether the loss or a gradient is not finite this time either.

    Raises DataError when the run has left no ``divergence.json``, CheckpointError when the state is not there.
    """
    document = _read(Path(folder))
    checkpoint = Path(folder) / "checkpoints" / DIVERGED
    loaded = load_checkpoint(checkpoint, plugins=plugins)
    rows = build_rows(loaded.config, "train")
    with TemporaryDirectory() as scratch:
        trainer = make_trainer(_dynamic(loaded.config, checkpoint), loaded.parts, rows, Path(scratch))
        restore_training(checkpoint, trainer)
        loader: Any = trainer.loader
        loader.workers = 0  # one step is not worth starting them
        state = trainer.state
        batches = list(islice(loader.epoch(state.epoch, state.batch), trainer.accumulate))
    found = replay_step(trainer.step, batches, state.step)
    if document["processes"] == 1 and [entry["row"] for entry in document["rows"]] != [row.row for row in found.rows]:
        print("the batch has other rows than in the run: the data has changed since", file=sys.stderr)
    print(f"{folder}: step {state.step}, epoch {state.epoch}, batch {state.batch}, {len(found.rows)} rows")
    print_replay(found, rows, document["terms"], every_layer)
    return not found.finite


def print_replay(found: Replay, rows: Dataset, terms: dict[str, float | None], every_layer: bool = False) -> None:
    """What a replay found, the causes before the effects."""
    for name, value in found.terms.items():
        before = terms.get(name)
        print(f"  {name} = {value:g} (in the run: {format_number(math.nan if before is None else before)})")
    if found.weights:
        print(f"not finite before the step: {_first(found.weights)}; the step before this one did it")
    _print_layers(found.layers, every_layer)
    _print_rows([row for row in found.rows if row.suspicious], len(found.rows), rows)
    if found.gradients:
        print("gradient norms, the largest first:")
        ranked = sorted(found.gradients.items(), key=lambda item: -item[1] if math.isfinite(item[1]) else -math.inf)
        for name, norm in ranked if every_layer else ranked[:SHOWN]:
            print(f"  {norm:<12g} {name}")
    if found.finite:
        print("not reproduced: the loss and its gradients are finite this time")
    else:
        print(f"reproduced: {'gradients are' if found.gradients else 'the loss is'} not finite")


def _print_layers(layers: Sequence[LayerRange], every_layer: bool) -> None:
    first = next((number for number, layer in enumerate(layers) if not layer.finite), None)
    if first is None:
        widest = sorted(layers, key=lambda layer: -max(abs(layer.low), abs(layer.high)))
        print("outputs of all layers are finite; those of the widest range:")
        shown: Sequence[LayerRange] = layers if every_layer else widest[:5]
    else:
        print(f"first layer whose output is not finite: {layers[first].name} ({layers[first].kind})")
        shown = layers if every_layer else layers[max(0, first - 3) : first + 3]
    for layer in shown:
        lost = f"  NaN {layer.nan}, infinite {layer.infinite} of {layer.size}" if not layer.finite else ""
        print(f"  {layer.name} ({layer.kind}): {layer.low:.4g} ... {layer.high:.4g}{lost}")


def _print_rows(suspicious: Sequence[RowReading], count: int, rows: Dataset) -> None:
    if not suspicious:
        print("no row stands out: inputs, outputs and losses of single rows are finite, as far as they are defined")
        return
    # Through batch normalisation one bad input spoils the outputs of every row: rows with bad inputs come first.
    ranked = sorted(suspicious, key=lambda row: (-len(row.inputs), not _is_lost(row.loss)))
    print(f"{len(suspicious)} of {count} rows are not finite:")
    for row in ranked[:SHOWN]:
        parts = [f"input {name} has {number}" for name, number in row.inputs.items()]
        parts += [f"in {row.layer}"] if row.layer else []
        parts += [f"output {name} has {number}" for name, number in row.outputs.items()]
        parts += [f"its own loss is {row.loss:g}"] if row.loss is not None and _is_lost(row.loss) else []
        print(f"  row {row.row} ({rows[row.row]['id']}): {', '.join(parts)}")
    if len(ranked) > SHOWN:
        print(f"  ... and {len(ranked) - SHOWN} more")


def _is_lost(loss: float | None) -> bool:
    return loss is not None and not math.isfinite(loss)


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _dynamic(config: ConfigNode, checkpoint: Path) -> ConfigNode:
    """The config, with layers that can be watched: a traced graph has none."""
    if not config["trainer"].get("to_static"):
        return config
    return load(checkpoint / "config.yaml", ["trainer.to_static=false"])


def _read(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise DataError(f"no run at {folder}: there is no such folder")
    path = folder / DIVERGENCE
    if not path.is_file():
        raise DataError(f"{folder} has no {DIVERGENCE}: no run in it ended because a loss or a gradient was not finite")
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        document["rows"], document["terms"], document["processes"]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    return document
