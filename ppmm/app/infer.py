"""tools/infer.py: a checkpoint on single samples or on a manifest."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

import paddle

from ppmm.app.checkpoints import Loaded, load_checkpoint
from ppmm.app.evaluate import with_progress
from ppmm.app.experiment import Parts, file_fields, make_loader
from ppmm.config import build
from ppmm.data.collate import Collate
from ppmm.decode.answers import target_answers
from ppmm.decode.embeddings import embeddings, matches
from ppmm.errors import DataError
from ppmm.registry import did_you_mean
from ppmm.types import Batch, Dataset, Outputs

__all__ = ["answers", "infer_manifest", "infer_sample", "manifest_node"]


def infer_sample(weights: str, sample: Mapping[str, Any], plugins: Collection[str] = ()) -> dict[str, Any]:
    """The answer to one raw sample (field -> path, array or text; any subset of the fields)."""
    loaded = load_checkpoint(weights, plugins=plugins)
    for field in sample:
        if field not in loaded.parts.fields:
            raise DataError(f"no field named '{field}'{did_you_mean(field, loaded.parts.fields)}")
    prepared = make_loader(loaded.config, [{"id": "sample", **sample}], Parts(loaded.parts.fields, {})).dataset
    arrays = Collate(loaded.parts.fields, {})([prepared[0, 0]])
    with paddle.no_grad():
        batch = {name: paddle.to_tensor(array) for name, array in arrays.items()}
        return next(answers(loaded, batch, loaded.model(batch)))


def infer_manifest(
    weights: str, manifest: str, columns: Mapping[str, str] | None, out: str | None, plugins: Collection[str] = ()
) -> int:
    """One JSON line per row of a manifest, with its id, to ``out`` or standard output; returns the number of rows.

    Args:
        columns: field -> column; those of the training split when None.
    """
    loaded = load_checkpoint(weights, plugins=plugins)
    rows = build(manifest_node(loaded, manifest, columns), Dataset, {"file_fields": file_fields(loaded.config)})
    loader = make_loader(loaded.config, rows, Parts(loaded.parts.fields, {}))
    try:
        file: TextIO = sys.stdout if out is None else Path(out).open("w", encoding="utf-8")  # noqa: SIM115
    except OSError as error:
        raise DataError(f"cannot write {out}: {error.strerror}") from error
    try:
        with paddle.no_grad():
            for batch in with_progress(loader.epoch(), len(loader), "infer"):
                for index, answer in zip(
                    batch["index"].numpy(), answers(loaded, batch, loaded.model(batch)), strict=True
                ):
                    print(json.dumps({"id": rows[int(index)]["id"], **answer}, ensure_ascii=False), file=file)
    finally:
        if file is not sys.stdout:
            file.close()
    return len(rows)


def answers(loaded: Loaded, batch: Batch, outputs: Outputs) -> Iterator[dict[str, Any]]:
    """For each row: what the logits say of the target (see `target_answers`); else ``embeddings`` by field, of the
    fields that the row has, and ``matches`` by pair where the model answers which go together."""
    for name, target in loaded.answered().items():
        limits = getattr(target, "thresholds", None)
        yield from target_answers(name, target.kind, target.labels, outputs["logits"].numpy(), limits)
        return
    found = matches(outputs, batch)
    for number, row in enumerate(embeddings(outputs, batch)):
        yield {"embeddings": row, **({"matches": found[number]} if found else {})}


def manifest_node(loaded: Loaded, manifest: str, columns: Mapping[str, str] | None) -> dict[str, Any]:
    """The node of a manifest data set with the columns of the training split, or those given."""
    train = loaded.config["data"]["train"]
    named = columns or (train.get("columns") if train.get("name") == "manifest" else None)
    node: dict[str, Any] = {"name": "manifest", "path": manifest}
    if named:
        node["columns"] = {field: column for field, column in named.items() if field in loaded.parts.fields}
    if train.get("name") == "manifest" and "files" in train:
        node["files"] = train["files"]
    return node
