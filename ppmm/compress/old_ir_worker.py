"""python -m ppmm.compress.old_ir_worker REQUEST.json: what Paddle does only under its old IR, a request per process.

The IR is chosen for a whole process (``FLAGS_enable_pir_api=0``), so nothing else of ppmm may run beside it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from ppmm.compress.old_ir_process import FAILED
from ppmm.errors import CompressError

__all__ = ["main"]


def main(path: str) -> None:
    """Do what the request says. Raises CompressError."""
    request: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    if request.get("task") == "post_training":
        from ppmm.compress.calibration import post_training as task
    elif request.get("task") == "trained_ranges":
        from ppmm.compress.trained_graph import trained_ranges as task
    else:
        raise CompressError(f"the old-IR worker knows no task '{request.get('task')}'")
    report = task(request)
    Path(request["report"]).write_text(json.dumps(report), encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        print("usage: python -m ppmm.compress.old_ir_worker REQUEST.json", file=sys.stderr)
        sys.exit(2)
    try:
        main(sys.argv[1])
    except CompressError as error:
        print(str(error).replace("\n", " "), file=sys.stderr)
        sys.exit(FAILED)
