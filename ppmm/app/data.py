"""tools/data.py: data sets made or unpacked."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

from ppmm.data.curate.work import Engine
from ppmm.data.make import make_digits_qa, make_digits_scenes
from ppmm.data.unpack import unpack
from ppmm.types import Dataset

__all__ = ["make_digits", "open_split", "shard_split", "unpack_archive"]


def make_digits(what: str, out: Path, *, seed: int = 0, train: int = 12000, test: int = 1000) -> None:
    """``digits-qa`` or ``digits-scenes``, see `ppmm.data.make`; prints the rows of each split."""
    make = {"digits-qa": make_digits_qa, "digits-scenes": make_digits_scenes}[what]
    made = make(out, seed=seed, train=train, val=test, test=test, test_speaker=test)
    rows = ", ".join(f"{split} {count:,}" for split, count in made["rows"].items())
    print(f"{out}: {rows} rows{'' if made['made'] else ' (already there)'}")


def unpack_archive(archive: Path, out: Path) -> None:
    """Unpack an archive into a new folder."""
    unpack(archive, out)
    print(f"{archive} -> {out}")


def shard_split(
    path: str,
    out: Path,
    overrides: Sequence[str] = (),
    *,
    split: str = "train",
    samples: int = 10_000,
    engine: Engine | None = None,
) -> None:
    """Write one split of a YAML as tar shards ``out/<split>-000000.tar`` and so on."""
    from ppmm.data.make.progress import progress
    from ppmm.data.shard import write_shards

    source = functools.partial(open_split, str(Path(path).resolve()), tuple(overrides), split)
    rows = source()
    shards = write_shards(
        rows, out, name=split, samples=samples, engine=engine, source=source,
        note=lambda items, total: progress(items, total, "shard"),
    )  # fmt: skip
    print(f"{out}: {len(rows):,} samples in {shards} shards; read them with")
    print(f"  {split}: {{name: tar_shards, shards: {out}/{split}-*.tar}}")


@functools.lru_cache(maxsize=1)
def open_split(path: str, overrides: tuple[str, ...], split: str) -> Dataset:
    """The rows of a split, opened once by each process."""
    from ppmm.app.experiment import build_rows, open_experiment

    return build_rows(open_experiment(path, overrides), split)
