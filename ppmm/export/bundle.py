"""Bundle folders: graph, preprocessing, labels and parity report, each file with its hash, written atomically."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ppmm.config import dump
from ppmm.errors import ExportError
from ppmm.export.graph import save_graph
from ppmm.hashing import file_sha256, seal
from ppmm.types import Field, FieldSpec

__all__ = ["FORMAT", "GraphWriter", "graph_entry", "write_bundle"]

GraphWriter = Callable[[Any, Mapping[str, FieldSpec], Path, str], dict[str, Any]]
"""(model, inputs, folder, name) -> that graph's entry of bundle.yaml, its files written into the folder."""

FORMAT = 2
GRAPH_SUFFIXES = (".json", ".pdmodel")
WEIGHTS_SUFFIX = ".pdiparams"


def graph_entry(
    model: Any,
    specs: Mapping[str, FieldSpec],
    folder: Path,
    name: str = "main",
    precision: str = "fp32",
    old_ir: bool = False,
    portable: bool = False,
) -> dict[str, Any]:
    """Write one graph into ``folder``; returns its entry for ``graphs:`` of bundle.yaml.

    Args:
        precision: what the runtime computes in; the files are float32 all the same.
        old_ir: write the old format, which quantisation reads.
        portable: with operators only that converters to ONNX know.
    """
    outputs = save_graph(model, specs, folder / name, old_ir, portable)
    graphs = [f"{name}{suffix}" for suffix in GRAPH_SUFFIXES if (folder / f"{name}{suffix}").is_file()]
    if len(graphs) != 1 or not (folder / f"{name}{WEIGHTS_SUFFIX}").is_file():
        raise ExportError(f"this version of Paddle wrote {sorted(path.name for path in folder.iterdir())}: not a graph")
    return {
        "files": [graphs[0], f"{name}{WEIGHTS_SUFFIX}"],
        "precision": precision,
        "ir": "pir" if graphs[0].endswith(".json") else "old",
        "inputs": [{"name": key, "shape": list(spec.shape), "dtype": spec.dtype} for key, spec in specs.items()],
        "outputs": [{"name": output} for output in outputs],
        "state": [],
    }


def write_bundle(
    out: Path,
    models: Mapping[str, Any],
    fields: Mapping[str, Field],
    document: Mapping[str, Any],
    gate: Callable[[Path], Mapping[str, Any]],
    write_graph: GraphWriter = graph_entry,
    add: Callable[[Path], None] = lambda folder: None,
    card: Callable[[Path], str] | None = None,
) -> None:
    """Write a bundle to ``out`` once ``gate`` has accepted it.

    Args:
        out: a folder that does not exist, or a bundle, which is replaced.
        models: the trained model as ``main``, and parts of it that are graphs of their own; one that reads some fields
            only has ``fields``.
        fields: what ``main`` reads, in the order of its inputs.
        document: preprocessing, targets, versions and history for bundle.yaml.
        gate: given the folder of the finished bundle, returns the parity report or raises ExportError.
        write_graph: writes one of them.
        add: writes what else the folder shall have before the gate: golden samples.
        card: the text of README.md, given the folder of the accepted bundle.

    Raises ExportError; ``out`` is then as it was.
    """
    if out.exists() and not (out / "bundle.yaml").is_file() and (not out.is_dir() or any(out.iterdir())):
        raise ExportError(f"{out} exists and is not a bundle; choose another --out")
    temporary = out.with_name(f".{out.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        temporary.mkdir(parents=True)
        for field in fields.values():
            field.save_assets(temporary)
        graphs = {
            name: write_graph(model, _specs(fields, getattr(model, "fields", tuple(fields))), temporary, name)
            for name, model in models.items()
        }
        add(temporary)
        _write_manifest(temporary, {"format": FORMAT, "graphs": graphs, **document})
        report = gate(temporary)
        (temporary / "parity.json").write_text(json.dumps(report, indent=2), encoding="utf-8")
        if card is not None:
            _write_manifest(temporary, {"format": FORMAT, "graphs": graphs, **document})
            (temporary / "README.md").write_text(card(temporary), encoding="utf-8")
        _write_manifest(temporary, {"format": FORMAT, "graphs": graphs, **document})
        _replace(temporary, out)
    except OSError as error:
        raise ExportError(f"cannot write the bundle {out}: {error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _specs(fields: Mapping[str, Field], names: Sequence[str]) -> dict[str, FieldSpec]:
    """Inputs of a graph that reads some fields, in the order of all."""
    return {key: spec for name, field in fields.items() if name in names for key, spec in field.specs(name).items()}


def _write_manifest(folder: Path, document: Mapping[str, Any]) -> None:
    files = {path.name: file_sha256(path) for path in _files(folder)}
    text = dump({**document, "files": files})
    (folder / "bundle.yaml").write_text(seal(text), encoding="utf-8")


def _files(folder: Path) -> Sequence[Path]:
    return sorted(path for path in folder.iterdir() if path.name != "bundle.yaml")


def _replace(new: Path, out: Path) -> None:
    previous = out.with_name(f".{out.name}.{uuid.uuid4().hex[:8]}.old")
    if out.exists():
        out.rename(previous)
    new.rename(out)
    shutil.rmtree(previous, ignore_errors=True)
