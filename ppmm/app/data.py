"""tools/data.py: data sets made or unpacked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ppmm.data.make import make_digits_qa, make_digits_scenes
from ppmm.data.unpack import unpack

__all__ = ["make_digits", "shard_split", "unpack_archive"]


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
    path: str, out: Path, overrides: Sequence[str] = (), *, split: str = "train", samples: int = 10_000
) -> None:
    """Write one split of a YAML as tar shards ``out/<split>-000000.tar`` and so on."""
    from ppmm.app.experiment import build_rows, open_experiment
    from ppmm.data.make.progress import progress
    from ppmm.data.shard import write_shards

    rows = build_rows(open_experiment(path, overrides), split)
    shards = write_shards(
        rows, out, name=split, samples=samples, note=lambda numbers: progress(numbers, len(rows), "shard")
    )
    print(f"{out}: {len(rows):,} samples in {shards} shards; read them with")
    print(f"  {split}: {{name: tar_shards, shards: {out}/{split}-*.tar}}")
