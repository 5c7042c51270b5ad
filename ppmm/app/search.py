"""tools/index.py: embed a manifest with a bundle, and search it by picture, sound or text."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ppmm.app.document import write_lines
from ppmm.data.datasets.manifest import Manifest
from ppmm.errors import DataError, PpmmError
from ppmm.hashing import file_sha256
from ppmm.index import VectorIndex
from ppmm.index.vector_index import Kind
from ppmm.registry import did_you_mean
from ppmm.runtime import Predictor

__all__ = ["build_index", "embed", "search_manifest", "search_sample"]

RECALL_QUERIES = 500


def build_index(
    bundle: str, manifest: str, field: str, out: str, *, column: str | None = None, kind: Kind = "hnsw", batch: int = 32
) -> VectorIndex:
    """Embed one field of every row and write the index; equal values (a picture with five captions) once.

    Args:
        bundle: of a model that gives ``<field>_embed``.
        manifest: table of the collection.
        field: what is indexed.
        out: folder of the index.
        column: of the manifest; named as the field when None.
        kind: ``hnsw`` or ``exact``.
        batch: rows embedded at a time.

    Prints the recall of the index against exact search, with up to 500 of its own vectors, disturbed, as queries.
    """
    predictor = Predictor(bundle)
    _check_field(predictor, field, bundle)
    items = _items(_rows(predictor, manifest, field, column), field)
    vectors = embed(predictor, field, [item["value"] for item in items], batch)
    index = VectorIndex.build(vectors, items, {"field": field, "bundle": _identity(bundle)}, kind)
    index.save(Path(out))
    rng = np.random.default_rng(0)
    picked = vectors[rng.permutation(len(vectors))[:RECALL_QUERIES]]
    noisy = (
        picked
        + rng.standard_normal(picked.shape)
        * 0.3
        * np.linalg.norm(picked, axis=1, keepdims=True)
        / picked.shape[1] ** 0.5
    )
    print(f"{out}: {len(items)} of field '{field}', {vectors.shape[1]} numbers each, {kind}")
    print(f"recall@10 against exact search: {index.recall(noisy):.4f} ({len(noisy)} queries)")
    return index


def search_sample(folder: str, bundle: str, sample: Mapping[str, Any], k: int = 5) -> list[dict[str, Any]]:
    """The ``k`` nearest items of one query, each as ``{score, value, rows}``; printed as JSON lines.

    Args:
        folder: index.
        bundle: the one that made it.
        sample: field -> value; exactly one field.
    """
    index, predictor = _open(folder, bundle)
    if len(sample) != 1:
        raise DataError(f"a query is one value of one field, got {', '.join(sample) or 'none'}")
    field, value = next(iter(sample.items()))
    _check_field(predictor, field, bundle)
    found = [{"score": round(hit.score, 4), **hit.item} for hit in index.search(embed(predictor, field, [value]), k)[0]]
    for hit in found:
        print(json.dumps(hit, ensure_ascii=False))
    return found


def search_manifest(
    folder: str,
    bundle: str,
    manifest: str,
    field: str,
    *,
    column: str | None = None,
    k: int = 10,
    out: str | None = None,
) -> dict[str, float]:
    """Search with one field of every row; prints recall against exact search, and how often the row itself is found.

    Args:
        folder: index.
        bundle: the one that made it.
        manifest: table of the queries.
        field: of the queries.
        column: of the manifest; named as the field when None.
        k: hits of each query.
        out: JSON lines of hits, one per query.

    Returns: ``exact@k`` (recall against exact search) and, where queries and items share rows, ``R@1`` and ``R@k``.
    """
    index, predictor = _open(folder, bundle)
    _check_field(predictor, field, bundle)
    rows = list(_rows(predictor, manifest, field, column))
    vectors = embed(predictor, field, [value for _, value in rows])
    hits = index.search(vectors, k)
    figures = {f"exact@{k}": index.recall(vectors, k)}
    known = {row for item in index.items for row in item["rows"]}
    ranks = [
        next((rank for rank, hit in enumerate(found) if row in hit.item["rows"]), k)
        for (row, _), found in zip(rows, hits, strict=True)
        if row in known
    ]
    if ranks:
        figures.update(
            {
                "R@1": float(np.mean([rank < 1 for rank in ranks])),
                f"R@{k}": float(np.mean([rank < k for rank in ranks])),
            }
        )
    if out is not None:
        lines = (
            {"id": row, "hits": [{"score": hit.score, **hit.item} for hit in found]}
            for (row, _), found in zip(rows, hits, strict=True)
        )
        write_lines(out, lines)
    print(f"{len(rows)} queries ({field}): " + "  ".join(f"{name} {value:.4f}" for name, value in figures.items()))
    return figures


def embed(predictor: Predictor, field: str, values: Sequence[Any], batch: int = 32) -> np.ndarray:
    """float32 [N,D]: the embeddings of single values of one field, behind a progress bar."""
    parts = []
    starts = range(0, len(values), batch)
    for start in tqdm(starts, desc=f"embed {field}", unit="batch", leave=False, disable=not sys.stderr.isatty()):
        samples = [{field: value} for value in values[start : start + batch]]
        parts.append(predictor.outputs(samples)[f"{field}_embed"])
    return np.concatenate(parts)


def _rows(predictor: Predictor, manifest: str, field: str, column: str | None) -> Iterable[tuple[str, Any]]:
    """(id, value) of each row that has the field; a list of captions gives a pair for each, with the row's id."""
    files = [name for name, part in predictor.fields.items() if part.kind in ("image", "audio")]
    rows = Manifest(manifest, {field: column or field}, file_fields=[name for name in files if name == field])
    found = False
    for number in range(len(rows)):
        row = rows[number]
        if field in row:
            found = True
            for value in row[field] if isinstance(row[field], list) else [row[field]]:
                yield row["id"], value
    if not found:
        raise DataError(f"{manifest}: no row has a '{column or field}'")


def _items(rows: Iterable[tuple[str, Any]], field: str) -> list[dict[str, Any]]:
    """Equal values joined: {value, rows}."""
    by_value: dict[str, list[str]] = {}
    for row, value in rows:
        if not isinstance(value, str | Path):
            raise DataError(f"{row} {field}: only files and texts can be indexed, not {type(value).__name__}")
        by_value.setdefault(str(value), []).append(row)
    return [{"value": value, "rows": ids} for value, ids in by_value.items()]


def _check_field(predictor: Predictor, field: str, bundle: str) -> None:
    names = [name for name in predictor.fields if f"{name}_embed" in predictor.graph.outputs]
    if not names:
        raise PpmmError(f"{bundle} gives no embeddings; train a two_tower model and export it")
    if field not in names:
        raise DataError(f"{bundle} has no embedding of a field '{field}'{did_you_mean(field, names)}")


def _identity(bundle: str) -> str:
    return file_sha256(Path(bundle) / "bundle.yaml")


def _open(folder: str, bundle: str) -> tuple[VectorIndex, Predictor]:
    """Raises DataError when the index was made with another bundle: their vectors mean different things."""
    index = VectorIndex.load(Path(folder))
    predictor = Predictor(bundle)
    if index.facts.get("bundle") != _identity(bundle):
        raise DataError(f"{folder} was built with another bundle than {bundle}; build it anew")
    return index, predictor
