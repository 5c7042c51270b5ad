"""A folder that finds the nearest of many unit vectors: an index of faiss, what each vector stands for, and hashes."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from ppmm.errors import DataError
from ppmm.hashing import file_sha256

__all__ = ["Hit", "Kind", "VectorIndex"]

Kind = Literal["hnsw", "exact"]
FORMAT = 1
LINKS, BUILD_EFFORT = 32, 200


class Hit(NamedTuple):
    """What was found: ``score`` is the cosine similarity."""

    item: Mapping[str, Any]
    score: float


class VectorIndex:
    """Vectors [N,D] and their items, searchable by cosine similarity.

    ``hnsw`` is the graph of Malkov and Yashunin 2016 (32 links, effort 200 at building, approximate, sublinear);
    ``exact`` compares with all.

    Args:
        index: of faiss, over unit vectors, inner product.
        items: one mapping per vector.
        facts: of the builder: kind, field, bundle ...
    """

    def __init__(self, index: Any, items: Sequence[Mapping[str, Any]], facts: Mapping[str, Any]) -> None:
        self.index, self.items, self.facts = index, items, facts

    @classmethod
    def build(
        cls, vectors: np.ndarray, items: Sequence[Mapping[str, Any]], facts: Mapping[str, Any], kind: Kind = "hnsw"
    ) -> VectorIndex:
        """Index float [N,D]. Raises DataError when there are none, N items are not given, or a value is not finite."""
        faiss = _faiss()
        if vectors.ndim != 2 or not len(vectors) or len(vectors) != len(items):
            raise DataError(f"an index needs vectors [N,D] and N items, got {vectors.shape} and {len(items)}")
        units = unit_rows(vectors)
        size = units.shape[1]
        if kind == "exact":
            index = faiss.IndexFlatIP(size)
        else:
            index = faiss.IndexHNSWFlat(size, LINKS, faiss.METRIC_INNER_PRODUCT)
            index.hnsw.efConstruction = BUILD_EFFORT
        index.add(units)
        return cls(index, items, {**facts, "kind": kind, "dim": size, "count": len(items)})

    def search(self, queries: np.ndarray, k: int = 10, effort: int = 128) -> list[list[Hit]]:
        """The ``k`` nearest items of each query [Q,D], best first.

        Args:
            effort: candidates that an ``hnsw`` index keeps while it searches; more finds more.

        Raises DataError when the size of the queries is another than the index's.
        """
        scores, rows = self.nearest(queries, k, effort)
        return [
            [Hit(self.items[row], float(score)) for row, score in zip(*pair, strict=True) if row >= 0]
            for pair in zip(rows.tolist(), scores.tolist(), strict=True)
        ]

    def nearest(self, queries: np.ndarray, k: int, effort: int = 128) -> tuple[np.ndarray, np.ndarray]:
        """Similarities float32 [Q,k] and rows int64 [Q,k], -1 where there are fewer than ``k``."""
        if k < 1:
            raise DataError(f"k must be at least 1, got {k}")
        if queries.ndim != 2 or queries.shape[1] != self.index.d:
            raise DataError(f"queries are {list(queries.shape)}, the index has vectors of {self.index.d} numbers")
        if hasattr(self.index, "hnsw"):
            self.index.hnsw.efSearch = max(effort, k)
        return self.index.search(unit_rows(queries), min(k, len(self.items)))  # type: ignore[no-any-return]

    def recall(self, queries: np.ndarray, k: int = 10, effort: int = 128) -> float:
        """Share of the exact ``k`` nearest that this index finds, over the queries [Q,D]; 1 for an exact index."""
        exact = _faiss().IndexFlatIP(self.index.d)
        exact.add(self.index.reconstruct_n(0, self.index.ntotal))
        _, wanted = exact.search(unit_rows(queries), min(k, len(self.items)))
        _, found = self.nearest(queries, k, effort)
        return float(
            np.mean([len(set(a) & set(b)) / len(a) for a, b in zip(wanted.tolist(), found.tolist(), strict=True)])
        )

    def save(self, folder: Path) -> None:
        """Write the folder, whole or not at all; an older index there is replaced. Raises DataError."""
        if folder.exists() and not (folder / "index.json").is_file() and (not folder.is_dir() or any(folder.iterdir())):
            raise DataError(f"{folder} holds something that is not an index; choose another --out")
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            made = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
            try:
                _faiss().write_index(self.index, str(made / "vectors.faiss"))
                with (made / "items.jsonl").open("w", encoding="utf-8") as file:
                    file.writelines(json.dumps(dict(item), ensure_ascii=False) + "\n" for item in self.items)
                hashes = {name: file_sha256(made / name) for name in ("vectors.faiss", "items.jsonl")}
                text = json.dumps({"format": FORMAT, **self.facts, "files": hashes}, indent=1, ensure_ascii=False)
                (made / "index.json").write_text(text, encoding="utf-8")
                made.chmod(0o755)
                if folder.exists():
                    shutil.rmtree(folder)
                made.rename(folder)
            finally:
                shutil.rmtree(made, ignore_errors=True)
        except (OSError, RuntimeError) as error:
            raise DataError(f"cannot write {folder}: {error}") from error

    @classmethod
    def load(cls, folder: Path) -> VectorIndex:
        """Read what `save` wrote. Raises DataError when it is not an index, or not whole and unchanged."""
        if not (folder / "index.json").is_file():
            raise DataError(f"{folder} is not an index: it has no index.json; make one with tools/index.py build")
        try:
            facts = json.loads((folder / "index.json").read_text(encoding="utf-8"))
            if facts["format"] != FORMAT:
                raise DataError(f"{folder} has index format {facts['format']}; this version of ppmm reads {FORMAT}")
            for name in ("vectors.faiss", "items.jsonl"):
                if file_sha256(folder / name) != facts["files"][name]:
                    raise DataError(
                        f"{folder / name} is not what index.json says: it was changed; build the index anew"
                    )
            index = _faiss().read_index(str(folder / "vectors.faiss"))
            with (folder / "items.jsonl").open(encoding="utf-8") as file:
                items = [json.loads(line) for line in file]
        except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            raise DataError(f"{folder} cannot be read: {error}") from error
        if index.ntotal != len(items):
            raise DataError(f"{folder} has {index.ntotal} vectors and {len(items)} items; build it anew")
        return cls(index, items, facts)


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """float32 [N,D], each row divided by its length; zeros stay. Raises DataError when a value is not finite."""
    rows = np.ascontiguousarray(vectors, dtype=np.float32)
    if not np.isfinite(rows).all():
        raise DataError(f"vector {int(np.argmin(np.isfinite(rows).all(axis=1)))} is not finite")
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)


def _faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise DataError("nearest-neighbour search needs faiss: pip install faiss-cpu (extra: search)") from error
    faiss.omp_set_num_threads(1)
    return faiss
