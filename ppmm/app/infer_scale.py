"""tools/infer.py --engine ray: the rows of a manifest in pieces of whole batches, on many machines."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple, TextIO

from ppmm.app.checkpoints import Loaded, load_checkpoint
from ppmm.app.experiment import Parts, file_fields, make_loader
from ppmm.app.infer import answers, manifest_node
from ppmm.config import LoaderSection, build
from ppmm.data.curate.work import Engine
from ppmm.data.make.progress import progress
from ppmm.errors import DataError
from ppmm.types import Dataset, Sample

__all__ = ["infer_on_ray", "infer_pieces"]

BATCHES = 4
"""Batches of a piece: enough to outweigh the way there and back."""


class Piece(NamedTuple):
    """Rows ``start`` to ``stop`` of a manifest; ``columns`` as sorted pairs, so that a process can remember it."""

    weights: str
    manifest: str
    columns: tuple[tuple[str, str], ...] | None
    start: int
    stop: int
    plugins: tuple[str, ...] = ()


def infer_on_ray(
    weights: str,
    manifest: str,
    columns: Mapping[str, str] | None,
    out: str | None,
    address: str | None,
    workers: int,
    plugins: Collection[str] = (),
) -> int:
    """What `infer_manifest` does, by Ray tasks; returns the number of rows.

    Args:
        weights: checkpoint folder; like the manifest and its files it must be readable on every machine.
        manifest: the rows.
        columns: field -> column; those of the training split when None.
        out: file to write; standard output when None.
        address: of a cluster; None starts one here.
        workers: its processors.
        plugins: code outside of ppmm that the checkpoint may import, on every machine.
    """
    from ppmm.app.ray_engine import RayEngine

    return infer_pieces(RayEngine(address, workers), weights, manifest, columns, out, plugins)


def infer_pieces(
    engine: Engine,
    weights: str,
    manifest: str,
    columns: Mapping[str, str] | None,
    out: str | None,
    plugins: Collection[str] = (),
) -> int:
    """Answers in the order of the rows; batches are those of one process, so the answers are the same to the bit."""
    pairs = None if columns is None else tuple(sorted(columns.items()))
    weights, manifest = str(Path(weights).resolve()), str(Path(manifest).resolve())
    code = tuple(plugins)
    loaded, rows = _open(weights, manifest, pairs, code)
    section: LoaderSection = build(loaded.config.get("loader", {}), LoaderSection)
    size = section.batch_size * BATCHES
    pieces = [Piece(weights, manifest, pairs, at, min(at + size, len(rows)), code) for at in range(0, len(rows), size)]
    try:
        file: TextIO = sys.stdout if out is None else Path(out).open("w", encoding="utf-8")  # noqa: SIM115
    except OSError as error:
        raise DataError(f"cannot write {out}: {error.strerror}") from error
    try:
        done: dict[int, list[str]] = {}
        written = 0
        for number, lines in progress(engine.map(infer_piece, pieces), len(pieces), "infer"):
            done[number] = lines
            while written in done:
                file.writelines(f"{line}\n" for line in done.pop(written))
                written += 1
    finally:
        if file is not sys.stdout:
            file.close()
    return len(rows)


def infer_piece(piece: Piece) -> list[str]:
    """What a worker does: one JSON line per row."""
    import paddle

    loaded, rows = _open(piece.weights, piece.manifest, piece.columns, piece.plugins)
    part = _Slice(rows, piece.start, piece.stop)
    lines = []
    with paddle.no_grad():
        for batch in make_loader(loaded.config, part, Parts(loaded.parts.fields, {})).epoch():
            for index, answer in zip(batch["index"].numpy(), answers(loaded, batch, loaded.model(batch)), strict=True):
                lines.append(json.dumps({"id": part[int(index)]["id"], **answer}, ensure_ascii=False))
    return lines


@functools.lru_cache(maxsize=1)
def _open(
    weights: str, manifest: str, columns: tuple[tuple[str, str], ...] | None, plugins: tuple[str, ...]
) -> tuple[Loaded, Dataset]:
    """Model and rows, read once by each process."""
    loaded = load_checkpoint(weights, plugins=plugins)
    rows: Dataset = build(
        manifest_node(loaded, manifest, None if columns is None else dict(columns)),
        Dataset,
        {"file_fields": file_fields(loaded.config)},
    )
    return loaded, rows


class _Slice:
    """A stretch of a data set."""

    def __init__(self, rows: Dataset, start: int, stop: int) -> None:
        self.rows, self.start, self.stop = rows, start, stop

    def __len__(self) -> int:
        return self.stop - self.start

    def __getitem__(self, index: int) -> Sample:
        return self.rows[self.start + index]
