"""Checkpoint folders: arrays as safetensors, everything else as text, a manifest with hashes, written atomically."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from ppmm.errors import CheckpointError
from ppmm.hashing import file_sha256

__all__ = ["Checkpoint", "read_checkpoint", "write_checkpoint"]

MANIFEST = "manifest.json"
FORMAT = 1
FULL = re.compile(r"os error (27|28|122)\b")
"""EFBIG, ENOSPC and EDQUOT as the safetensors library writes them."""
Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint whose manifest was read and whose files have the hashes that it states."""

    folder: Path
    manifest: dict[str, Any]

    def text(self, name: str) -> str:
        """The text of one file. Raises CheckpointError when the checkpoint has none of that name."""
        return self._file(name).read_text(encoding="utf-8")

    def arrays(self, name: str) -> dict[str, np.ndarray]:
        """The arrays of one safetensors file, by name."""
        try:
            return load_file(self._file(name))
        except (SafetensorError, ValueError) as error:
            raise CheckpointError(f"{self.folder / name} is not a safetensors file: {error}") from error

    def _file(self, name: str) -> Path:
        if name not in self.manifest["files"]:
            raise CheckpointError(f"{self.folder} has no {name}; it has {', '.join(sorted(self.manifest['files']))}")
        return self.folder / name


def write_checkpoint(
    folder: Path, arrays: Mapping[str, Arrays], texts: Mapping[str, str], manifest: Mapping[str, Any]
) -> None:
    """Write a checkpoint to ``folder``, replacing one that is there.

    Everything goes into a temporary folder beside it, the manifest last; then the old folder is renamed to
    ``<folder>.old``, the new one to ``folder``, and the old one deleted. A kill at any moment leaves a complete one,
    at ``folder`` or at ``<folder>.old`` (where `read_checkpoint` looks too).

    Raises CheckpointError when it cannot be written; the previous one is then intact.
    """
    folder = folder.resolve() if folder.is_symlink() else folder
    temporary = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _clear_leftovers(folder)
        temporary.mkdir()
        for name, content in arrays.items():
            save_file({key: np.require(array, requirements="C") for key, array in content.items()}, temporary / name)
        for name, text in texts.items():
            (temporary / name).write_text(text, encoding="utf-8")
        files = {path.name: file_sha256(path) for path in sorted(temporary.iterdir())}
        for name in files:
            _sync(temporary / name)
        document = {"format": FORMAT, **manifest, "files": files}
        (temporary / MANIFEST).write_text(json.dumps(document, indent=2, ensure_ascii=False), encoding="utf-8")
        _sync(temporary / MANIFEST)
        _replace(temporary, folder)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise CheckpointError(_write_problem(folder, error)) from error
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def read_checkpoint(folder: Path) -> Checkpoint:
    """Read and verify a checkpoint folder. Raises CheckpointError that says what is wrong with it."""
    place = _complete_folder(Path(folder))
    try:
        manifest = json.loads((place / MANIFEST).read_text(encoding="utf-8"))
        files = dict(manifest["files"])
        version = manifest["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{place / MANIFEST} cannot be read: {error}") from error
    if version != FORMAT:
        raise CheckpointError(f"{place} has checkpoint format {version}; this version of ppmm reads {FORMAT}")
    for name, digest in files.items():
        if Path(name).name != name:
            raise CheckpointError(f"{place / MANIFEST} names a file outside its folder: {name}")
        if not (place / name).is_file():
            raise CheckpointError(f"{place} is incomplete: {name} is missing; use another checkpoint")
        if file_sha256(place / name) != digest:
            raise CheckpointError(
                f"{place / name} is damaged: its hash is not the one in {MANIFEST}; use another checkpoint"
            )
    return Checkpoint(place, manifest)


def _complete_folder(folder: Path) -> Path:
    """``folder``, or what an interrupted replacement left beside it."""
    if (folder / MANIFEST).is_file():
        return folder
    previous = folder.with_name(f"{folder.name}.old")
    if not folder.exists() and (previous / MANIFEST).is_file():
        return previous
    if not folder.exists():
        raise CheckpointError(f"no checkpoint at {folder}")
    inside = [path.parent for path in sorted(folder.glob(f"**/{MANIFEST}"))]
    hint = f"; did you mean {inside[0]}?" if inside else ""
    raise CheckpointError(f"{folder} is not a checkpoint: it has no {MANIFEST}{hint}")


def _replace(new: Path, folder: Path) -> None:
    previous = folder.with_name(f"{folder.name}.old")
    if folder.exists():
        shutil.rmtree(previous, ignore_errors=True)
        os.rename(folder, previous)
    os.rename(new, folder)
    shutil.rmtree(previous, ignore_errors=True)


def _clear_leftovers(folder: Path) -> None:
    """Delete what killed runs left half-written beside ``folder``."""
    for path in folder.parent.glob(f".{folder.name}.*.tmp"):
        shutil.rmtree(path, ignore_errors=True)


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _write_problem(folder: Path, error: Exception) -> str:
    left = folder.exists() or folder.with_name(f"{folder.name}.old").exists()
    previous = " (the previous checkpoint there is intact)" if left else ""
    number = getattr(error, "errno", None)
    if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) or FULL.search(str(error)):
        return f"no space left for the checkpoint {folder}{previous}; free some and resume"
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"no permission to write {folder}{previous}; choose another place with -o output=FOLDER"
    return f"cannot write {folder}: {error}{previous}"
