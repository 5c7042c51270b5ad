"""tools/data.py stats: one HTML file that shows what a data set is like."""

from __future__ import annotations

import argparse
from pathlib import Path

from ppmm.app.curate_check import as_document, check_rows
from ppmm.app.curate_source import (
    add_limit_arguments,
    add_source_arguments,
    add_work_arguments,
    collections_of,
)

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``stats``."""
    add_source_arguments(parser)
    add_limit_arguments(parser)
    add_work_arguments(parser)
    parser.add_argument("--out", type=Path, default=Path("output/data/stats.html"), help="the HTML file")
    parser.add_argument("--samples", type=int, default=12, help="rows to show of each split (default 12)")
    parser.add_argument("--title", help="heading; the manifests' names by default")


def run(args: argparse.Namespace) -> int:
    """Write the report. What `check` has measured already is not measured again."""
    from ppmm.app.curate_figures import split_sections
    from ppmm.app.report import render_page, write_page
    from ppmm.app.report_gallery import WAVE_COLUMNS, WAVE_HEIGHT
    from ppmm.data.curate.findings import KIND_TEXTS

    collections = collections_of(args)
    checked = check_rows(args, collections)
    document = as_document(collections, checked)
    page = render_page(
        "curate_stats.html.j2",
        title=args.title or "Data: " + ", ".join(collection.name for collection in collections),
        rows=document["rows"],
        findings=[(kind, count, KIND_TEXTS[kind]) for kind, count in document["counts"].items()],
        splits=split_sections(collections, checked.facts, args.samples),
        wave_box=f"0 0 {WAVE_COLUMNS} {WAVE_HEIGHT}",
    )
    write_page(args.out, page)
    print(f"{sum(document['rows'].values()):,} rows -> {args.out}")
    return 0
