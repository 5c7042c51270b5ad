"""Several processes over gloo compute what one process does; one that dies is noticed by all."""

from __future__ import annotations

from pathlib import Path

import pytest
from many import finish, start


@pytest.mark.parametrize("world", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_processes_compute_what_one_does(world: int, tmp_path: Path) -> None:
    codes = finish(start(world, ["tests/support/group_worker.py"], tmp_path))
    texts = [(tmp_path / str(rank)).read_text() for rank in range(world)]
    assert codes == [0] * world, "\n".join(texts)
    assert all(text.count("passed ") == 9 for text in texts)
