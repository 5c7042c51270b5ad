"""A local Ray cluster of two workers gives what this machine gives, also when one of them is killed midway."""

from __future__ import annotations

import functools
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from ppmm.data.curate.check import check_collections
from ppmm.data.curate.collection import Collection
from ppmm.data.curate.duplicates import Nearness, find_duplicates
from ppmm.data.curate.journal import Journal
from ppmm.data.curate.limits import Limits
from ppmm.data.curate.local_engine import LocalEngine
from ppmm.data.shard import write_shards
from ppmm.data.table import Row

pytestmark = pytest.mark.slow
ROWS = 1500


@pytest.fixture(scope="module")
def cluster() -> Iterator[object]:
    ray = pytest.importorskip("ray")
    from ppmm.app.ray_engine import RayEngine

    yield RayEngine(None, 2)
    ray.shutdown()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for i in range(ROWS):
        small = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        picture = cv2.resize(small, (400, 400)) if i % 10 else np.zeros((400, 400, 3), np.uint8)
        cv2.imwrite(str(folder / f"{i}.png"), picture)
    return Collection("x", [Row(i, {"image": f"{i}.png"}) for i in range(ROWS)], {"image": "image"}, folder)


def working_processes() -> list[int]:
    """Ids of the Ray workers below this process that are at a piece of work."""
    parents: dict[int, int] = {}
    names: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
                names[int(entry.name)] = (entry / "cmdline").read_text()
            except OSError:
                continue
            parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])

    def is_ours(process: int) -> bool:
        while process > 1:
            process = parents.get(process, 0)
            if process == os.getpid():
                return True
        return False

    return [process for process, name in names.items() if name.startswith("ray::_run_piece") and is_ours(process)]


def test_a_killed_worker_loses_and_doubles_nothing(cluster: object, pictures: Collection, tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    killed: list[int] = []

    def kill_one() -> None:
        while not killed:
            if path.stat().st_size > 2000:
                for process in working_processes()[:1]:
                    os.kill(process, signal.SIGKILL)
                    killed.append(process)
            time.sleep(0.005)

    assassin = threading.Thread(target=kill_one, daemon=True)
    assassin.start()
    found = check_collections([pictures], Limits(), cluster, journal)  # type: ignore[arg-type]
    journal.close()
    assassin.join(5)
    assert len(killed) == 1, "the check was over before a worker could be killed"
    here = check_collections([pictures], Limits(), LocalEngine(0), Journal(None))
    assert found.findings == here.findings and found.facts == here.facts
    assert len(here.findings) == ROWS // 10
    keys = [key for line in path.read_text().splitlines() for key in json.loads(line)]
    assert len(keys) == len(set(keys)) == ROWS


def test_dedup_is_the_same(cluster: object, pictures: Collection) -> None:
    there = find_duplicates([pictures], None, Nearness(), cluster, Journal(None))  # type: ignore[arg-type]
    assert there == find_duplicates([pictures], None, Nearness(), LocalEngine(0), Journal(None))
    assert any(len(group.places) == ROWS // 10 for group in there.groups)


class Pictures:
    """The pictures of a folder, as a data set that can be opened anywhere."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __len__(self) -> int:
        return ROWS

    def __getitem__(self, index: int) -> dict[str, object]:
        return {"id": str(index), "image": self.folder / f"{index}.png", "label": index % 3}


def test_shards_are_the_same_when_a_worker_is_killed(cluster: object, pictures: Collection, tmp_path: Path) -> None:
    rows = Pictures(pictures.root)
    killed: list[int] = []

    def kill_one() -> None:
        while not killed:
            if len(list(tmp_path.glob(".there.making-*/.*.tar"))) > 3:
                for process in working_processes()[:1]:
                    os.kill(process, signal.SIGKILL)
                    killed.append(process)
            time.sleep(0.002)

    assassin = threading.Thread(target=kill_one, daemon=True)
    assassin.start()
    options = {"name": "x", "samples": 50, "max_bytes": 200_000}
    there = write_shards(
        rows, tmp_path / "there", engine=cluster, source=functools.partial(Pictures, pictures.root), **options
    )  # type: ignore[arg-type]
    assassin.join(5)
    assert len(killed) == 1, "the shards were written before a worker could be killed"
    assert there == write_shards(rows, tmp_path / "here", **options) > ROWS // 50  # type: ignore[arg-type]
    names = sorted(path.name for path in (tmp_path / "here").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "there").iterdir()) and len(names) == there
    assert all((tmp_path / "here" / n).read_bytes() == (tmp_path / "there" / n).read_bytes() for n in names)


def test_inference_is_the_same(cluster: object, trained: object, tmp_path: Path) -> None:
    from ppmm.app.infer import infer_manifest
    from ppmm.app.infer_scale import infer_pieces

    weights, manifest = str(trained.best), str(trained.data / "train.jsonl")  # type: ignore[attr-defined]
    infer_manifest(weights, manifest, None, str(tmp_path / "here.jsonl"))
    assert infer_pieces(cluster, weights, manifest, None, str(tmp_path / "there.jsonl")) == 96  # type: ignore[arg-type]
    assert (tmp_path / "there.jsonl").read_bytes() == (tmp_path / "here.jsonl").read_bytes()
