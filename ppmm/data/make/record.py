"""Whether a folder holds a data set already: ``made.json`` states the settings that it was made with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ppmm.errors import DataError

__all__ = ["RECORD", "is_made"]

RECORD = "made.json"


def is_made(out: Path, settings: dict[str, Any]) -> bool:
    """Whether ``out`` holds the data set of ``settings``, whose ``rows`` are by split.

    Raises DataError when it was made with other settings or lacks a split.
    """
    try:
        found = json.loads((out / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    if found != settings:
        raise DataError(f"{out} was made with other settings ({found}); delete it or choose another folder")
    missing = [split for split, count in settings["rows"].items() if count and not (out / f"{split}.jsonl").is_file()]
    if missing:
        raise DataError(f"{out} lacks {missing[0]}.jsonl; delete the folder and make it again")
    return True
