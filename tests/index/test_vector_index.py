"""The index against plain NumPy, and folders that are not whole."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ppmm.errors import DataError
from ppmm.index import VectorIndex

RNG = np.random.default_rng(0)
VECTORS = RNG.standard_normal((500, 16)).astype(np.float32) * 3
ITEMS = [{"value": f"picture {number}", "rows": [f"r{number}"]} for number in range(500)]
QUERIES = RNG.standard_normal((20, 16))


def by_numpy(queries: np.ndarray, k: int) -> np.ndarray:
    """Rows of the k largest cosines."""
    cosines = (queries / np.linalg.norm(queries, axis=1, keepdims=True)) @ (
        VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)
    ).T
    return np.argsort(-cosines, axis=1)[:, :k]


def test_exact_search_is_the_largest_cosine() -> None:
    index = VectorIndex.build(VECTORS, ITEMS, {}, "exact")
    scores, rows = index.nearest(QUERIES, 5)
    assert (rows == by_numpy(QUERIES, 5)).all()
    one, two = QUERIES[0], VECTORS[rows[0, 0]]
    assert np.isclose(scores[0, 0], one @ two / np.linalg.norm(one) / np.linalg.norm(two), atol=1e-6)
    assert index.recall(QUERIES) == 1.0
    assert index.search(QUERIES, 1)[0][0].item == ITEMS[rows[0, 0]]


def test_hnsw_recall_is_the_share_of_the_exact_neighbours() -> None:
    index = VectorIndex.build(VECTORS, ITEMS, {})
    _, rows = index.nearest(QUERIES, 10)
    share = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(rows, by_numpy(QUERIES, 10), strict=True)])
    assert np.isclose(index.recall(QUERIES, 10), share) and share > 0.9


def test_a_saved_index_answers_the_same(tmp_path: Path) -> None:
    index = VectorIndex.build(VECTORS, ITEMS, {"field": "image"})
    index.save(tmp_path / "index")
    index.save(tmp_path / "index")
    again = VectorIndex.load(tmp_path / "index")
    assert (again.nearest(QUERIES, 7)[1] == index.nearest(QUERIES, 7)[1]).all()
    assert again.facts["field"] == "image" and again.items == ITEMS
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index"], "something half-written stayed"


def test_fewer_items_than_asked_for() -> None:
    assert len(VectorIndex.build(VECTORS[:3], ITEMS[:3], {}).search(QUERIES[:1], 10)[0]) == 3


@pytest.mark.parametrize("name", ["vectors.faiss", "items.jsonl"])
def test_a_changed_file_is_refused(tmp_path: Path, name: str) -> None:
    VectorIndex.build(VECTORS, ITEMS, {}).save(tmp_path / "index")
    path = tmp_path / "index" / name
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(DataError, match=f"{name} is not what index.json says"):
        VectorIndex.load(tmp_path / "index")


def test_bad_input_is_explained(tmp_path: Path) -> None:
    index = VectorIndex.build(VECTORS, ITEMS, {})
    with pytest.raises(DataError, match="16 numbers"):
        index.search(QUERIES[:, :4])
    with pytest.raises(DataError, match="vector 1 is not finite"):
        VectorIndex.build(np.array([[0.0, 1.0], [np.nan, 0.0]]), ITEMS[:2], {})
    with pytest.raises(DataError, match="N items"):
        VectorIndex.build(VECTORS, ITEMS[:2], {})
    with pytest.raises(DataError, match=r"no index\.json"):
        VectorIndex.load(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match="not an index"):
        index.save(tmp_path)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "index.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(DataError, match="index format 99"):
        VectorIndex.load(tmp_path / "bad")
