"""An index that changes while it is searched, and what another start makes of its journal."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ppmm.errors import DataError
from ppmm.index import VectorIndex
from ppmm.index.living_index import LivingIndex


@pytest.fixture(params=["exact", "hnsw"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    items = [{"value": f"item {number}", "rows": []} for number in range(3)]
    VectorIndex.build(np.eye(4, dtype=np.float32)[:3], items, {"field": "text"}, request.param).save(tmp_path / "index")
    return tmp_path / "index"


def test_changes_are_found_and_kept(folder: Path) -> None:
    index = LivingIndex(folder)
    assert index.add(np.array([0, 0, 0, 2], np.float32), {"value": "fourth", "rows": []}) == 3
    index.remove(1)
    for each in (index, LivingIndex(folder)):
        assert len(each) == 3
        found = each.search(np.array([0, 0.1, 0, 1], np.float32), 5)
        assert found[0][0] == 3 and 1 not in [number for number, _ in found]
        assert found[0][1].item["value"] == "fourth" and found[0][1].score == pytest.approx(0.995, abs=1e-3)
        with pytest.raises(DataError, match="no item 1"):
            each.remove(1)
        with pytest.raises(DataError, match="no item 9"):
            each.item(9)


def test_a_line_that_was_cut_short_is_dropped(folder: Path) -> None:
    LivingIndex(folder).remove(0)
    journal = folder / "journal.jsonl"
    journal.write_bytes(journal.read_bytes() + b'{"add": {"value')
    assert len(LivingIndex(folder)) == 2
    assert journal.read_bytes() == b'{"remove": 0}\n'


def test_what_cannot_be_added(folder: Path) -> None:
    index = LivingIndex(folder)
    with pytest.raises(DataError, match="vectors of 4 numbers, not 3"):
        index.add(np.ones(3, np.float32), {"value": "x", "rows": []})
    with pytest.raises(DataError, match="not finite"):
        index.add(np.full(4, np.nan, np.float32), {"value": "x", "rows": []})
    assert not (folder / "journal.jsonl").exists()


@pytest.mark.parametrize("line", ["[]", '{"remove": 7}', '{"add": {}, "vector": "%"}', "{}"])
def test_a_journal_that_is_not_one(folder: Path, line: str) -> None:
    (folder / "journal.jsonl").write_text(json.dumps({"remove": 0}) + "\n" + line + "\n")
    with pytest.raises(DataError, match=r"journal\.jsonl:2 is not a change|no item 7"):
        LivingIndex(folder)
