"""tools/data.py: data sets made or unpacked."""

from __future__ import annotations

from pathlib import Path

from ppmm.data.make import digits_qa
from ppmm.data.unpack import unpack

__all__ = ["make_digits_qa", "unpack_archive"]


def make_digits_qa(out: Path, *, seed: int = 0, train: int = 12000, test: int = 1000) -> None:
    """Handwritten digits, spoken digits and questions about both; prints the rows of each split."""
    rows = digits_qa.make_digits_qa(out, seed=seed, train=train, val=test, test=test, test_speaker=test)
    print(f"{out}: {rows}")


def unpack_archive(archive: Path, out: Path) -> None:
    """Unpack an archive into a new folder."""
    unpack(archive, out)
    print(f"{archive} -> {out}")
