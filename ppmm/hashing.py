"""Hashes of files, and texts that carry their own."""

from __future__ import annotations

import hashlib
from pathlib import Path

__all__ = ["file_sha256", "seal", "unseal"]

SEAL = "sha256: "


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def seal(text: str) -> str:
    """``text`` with a last line ``sha256: <hash of all before it>``, itself a YAML mapping entry."""
    body = text if text.endswith("\n") else f"{text}\n"
    return f"{body}{SEAL}{hashlib.sha256(body.encode()).hexdigest()}\n"


def unseal(text: str) -> str | None:
    """The text that `seal` took, or None when the last line is not its hash."""
    body, mark, digest = text.rpartition(SEAL)
    if not mark or digest != f"{hashlib.sha256(body.encode()).hexdigest()}\n":
        return None
    return body
