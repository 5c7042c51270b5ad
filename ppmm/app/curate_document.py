"""What a command of curation found, as a JSON file where one is asked for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["write_document"]


def write_document(path: Path | None, document: Mapping[str, Any]) -> None:
    """Write it, unless ``path`` is None. Raises DataError where that cannot be done."""
    if path is None:
        return
    from ppmm.data.curate.table_writer import write_text

    write_text(path, json.dumps(document, ensure_ascii=False, indent=1))
