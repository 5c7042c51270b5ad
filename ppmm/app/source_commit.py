"""Which commit of ppmm made a checkpoint, where it runs from a git checkout."""

from __future__ import annotations

import subprocess
from pathlib import Path

import ppmm

__all__ = ["source_commit"]


def source_commit(root: Path | None = None) -> str | None:
    """Twelve digits of the commit that is checked out, with ``+`` where files of it were changed since.

    Args:
        root: of the checkout; where this package lies when None.

    Returns: None where that is no checkout, or there is no git.
    """
    root = Path(ppmm.__file__).parents[1] if root is None else root
    if not (root / ".git").exists():
        return None
    commit = _git(root, "rev-parse", "--short=12", "HEAD")
    changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    return None if not commit else f"{commit}+" if changed else commit


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
