"""What decoders written in C say on stderr while they go on: the only trace of damage that they repair in silence."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["decoder_warnings"]

STDERR = 2


@contextmanager
def decoder_warnings() -> Iterator[list[str]]:
    """Catch what this process writes to file descriptor 2; the list has its lines when the block is left.

    For processes whose other threads have nothing to say meanwhile.
    """
    lines: list[str] = []
    sys.stderr.flush()
    kept = os.dup(STDERR)
    with tempfile.TemporaryFile() as caught:
        os.dup2(caught.fileno(), STDERR)
        try:
            yield lines
        finally:
            os.dup2(kept, STDERR)
            os.close(kept)
            caught.seek(0)
            lines += caught.read().decode("utf-8", "replace").splitlines()
