"""tools/bench.py manifest: what opening a table of a million rows costs."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ppmm.app.document import write_document

__all__ = ["bench_manifest"]

LIMITS = {"first_seconds": 60.0, "seconds": 3.0, "resident_mb": 300.0}

# Runs in a new interpreter, so that nothing else counts. VmHWM is the peak of resident memory.
OPEN = """
import json, sys, time
def peak():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
import ppmm
before, began = peak(), time.perf_counter()
from ppmm.data.datasets.manifest import Manifest
rows = Manifest(sys.argv[1], {"image": "image", "audio": "audio", "text": "caption", "label": "label"})
seconds = time.perf_counter() - began
first, last = rows[0], rows[len(rows) - 1]
resident = peak() - before
began = time.perf_counter()
step = max(1, len(rows) // 10000)
some = [rows[index] for index in range(0, len(rows), step)]
print(json.dumps({"rows": len(rows), "seconds": seconds, "resident_mb": resident, "last": last["id"],
                  "row_us": (time.perf_counter() - began) / len(some) * 1e6}))
"""


def bench_manifest(rows: int = 1_000_000, out: Path | None = None) -> dict[str, Any]:
    """Write tables of ``rows`` rows, open each twice in new processes, print seconds and memory.

    Returns:
        By format: ``first`` and ``later`` opening, each with ``seconds`` (imports of the reader included),
        ``resident_mb`` (peak above ``import ppmm``) and ``row_us`` (one row, read at random); ``within`` the limits.
    """
    document: dict[str, Any] = {"limits": LIMITS, "formats": {}}
    with tempfile.TemporaryDirectory() as name:
        for suffix in ("jsonl", "csv", "parquet"):
            path = Path(name) / f"rows.{suffix}"
            _write(path, rows)
            first, later = _opened(path), _opened(path)
            within = (
                first["seconds"] <= LIMITS["first_seconds"]
                and later["seconds"] <= LIMITS["seconds"]
                and later["resident_mb"] <= LIMITS["resident_mb"]
            )
            document["formats"][suffix] = {"first": first, "later": later, "within": within}
            print(
                f"{suffix:<8} {rows:,} rows, {path.stat().st_size / 1e6:.0f} MB: first {first['seconds']:.1f} s, later "
                f"{later['seconds']:.2f} s, {later['resident_mb']:.0f} MB above import ppmm, "
                f"{later['row_us']:.0f} us per row: {'within' if within else 'NOT within'} the limits",
                flush=True,
            )
    write_document(out, document)
    return document


def _opened(path: Path) -> dict[str, Any]:
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", OPEN, str(path)], capture_output=True, text=True, check=True)
    return {**json.loads(done.stdout), "process_seconds": time.monotonic() - began}


def _write(path: Path, rows: int) -> None:
    if path.suffix == ".parquet":
        _write_parquet(path, rows)
        return
    with path.open("w", encoding="utf-8") as file:
        if path.suffix == ".csv":
            file.write("image,audio,caption,label,seconds\n")
        for number in range(rows):
            row = _row(number)
            line = ",".join(map(str, row.values())) if path.suffix == ".csv" else json.dumps(row)
            file.write(line + "\n")


def _write_parquet(path: Path, rows: int) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    block = 100_000
    writer = None
    for first in range(0, rows, block):
        table = pa.Table.from_pylist([_row(number) for number in range(first, min(rows, first + block))])
        writer = writer or parquet.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


def _row(number: int) -> dict[str, Any]:
    return {
        "image": f"images/{number // 1000:04d}/{number:08d}.jpg",
        "audio": f"audio/{number // 1000:04d}/{number:08d}.flac",
        "caption": f"a picture of thing number {number} beside another thing on a table in a room",
        "label": number % 1000,
        "seconds": number % 97 / 10,
    }
