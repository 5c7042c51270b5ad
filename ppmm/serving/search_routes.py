"""Search over HTTP: nearest items to a picture, a sound or a text; adding and removing items."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, JSONResponse, Response

from ppmm.errors import DataError
from ppmm.hashing import file_sha256
from ppmm.index.living_index import LivingIndex
from ppmm.serving.forms import read_form
from ppmm.serving.refusals import BadRequest, Unknown
from ppmm.serving.registry import Bundles

__all__ = ["add_search", "open_index"]

MOST = 100
FILES = "files"
"""Folder within the index for files that clients add."""
TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp", ".wav": "audio/wav",
         ".flac": "audio/flac", ".ogg": "audio/ogg", ".mp3": "audio/mpeg"}  # fmt: skip
MAGIC = {
    b"\x89PNG": ".png",
    b"\xff\xd8\xff": ".jpg",
    b"RIFF": ".wav",
    b"fLaC": ".flac",
    b"OggS": ".ogg",
    b"ID3": ".mp3",
}


def open_index(folder: Path, bundle: Path) -> LivingIndex:
    """An index and its journal. Raises DataError where another bundle made it: its vectors mean something else."""
    index = LivingIndex(folder)
    if index.facts.get("bundle") != file_sha256(bundle / "bundle.yaml"):
        raise DataError(f"{folder} was built with another bundle than {bundle}; build it anew with tools/index.py")
    return index


def add_search(app: FastAPI, bundles: Bundles, index: LivingIndex) -> None:
    """Add the routes for an index over the first bundle."""
    service = next(iter(bundles.services.values()))
    own = str(index.facts["field"])

    async def embedded(sample: dict[str, Any]) -> np.ndarray:
        if len(sample) != 1:
            raise BadRequest(f"a query is one value of one field, got {', '.join(sample) or 'none'}")
        answered = await service.answer([sample])
        embeds = answered.results[0].get("embeddings", {})
        if not embeds:
            raise BadRequest(f"the model has no embedding of the field {next(iter(sample))}")
        return np.asarray(next(iter(embeds.values())), dtype=np.float32)

    @app.post("/search")
    async def search(request: Request, k: int = 12) -> JSONResponse:
        """The nearest items to one field's value, as a form; each with its score and the number to fetch it by."""
        if not 1 <= k <= MOST:
            raise BadRequest(f"k must be 1 to {MOST}, got {k}")
        vector = await embedded(await read_form(request, service.predictor))
        found = await asyncio.to_thread(index.search, vector, k)
        hits = [
            {
                "item": number,
                "score": round(hit.score, 4),
                "text": _shown(own, service, hit.item),
                "rows": hit.item["rows"],
            }
            for number, hit in found
        ]
        return JSONResponse({"field": own, "count": len(index), "hits": hits})

    @app.get("/items/{number}")
    async def item(number: int) -> Response:
        """The file of an item."""
        if service.predictor.fields[own].kind not in TYPES_OF:
            raise Unknown("the items are texts, not files")
        path = Path(index.item(number)["value"])
        kind = TYPES.get(path.suffix.lower())
        if kind is None or not path.is_file():
            raise Unknown(f"the file of item {number} is not there any more")
        return FileResponse(path, media_type=kind, headers={"x-content-type-options": "nosniff"})

    @app.post("/items")
    async def add(request: Request) -> JSONResponse:
        """Add one value of the indexed field; it is on the disk when this answers."""
        sample = await read_form(request, service.predictor)
        if list(sample) != [own]:
            raise BadRequest(f"an item is one value of the field '{own}', got {', '.join(sample) or 'none'}")
        vector = await embedded(sample)
        value = await asyncio.to_thread(_kept, index.folder, sample[own])
        number = await asyncio.to_thread(index.add, vector, {"value": value, "rows": []})
        return JSONResponse({"item": number, "count": len(index)}, 201)

    @app.delete("/items/{number}")
    async def remove(number: int) -> JSONResponse:
        """Remove an item from the index; its file stays."""
        await asyncio.to_thread(index.remove, number)
        return JSONResponse({"item": number, "count": len(index)})


TYPES_OF = ("image", "audio")


def _shown(field: str, service: Any, item: Any) -> str:
    """A text item itself, of a file its name."""
    value = str(item["value"])
    return Path(value).name if service.predictor.fields[field].kind in TYPES_OF else value


def _kept(folder: Path, value: Any) -> str:
    """A text as it is; a file's bytes under their hash, beside the index."""
    if isinstance(value, str):
        return value
    suffix = next((suffix for magic, suffix in MAGIC.items() if value.startswith(magic)), None)
    if suffix is None:
        raise BadRequest(f"only these files are kept: {', '.join(sorted(set(MAGIC.values())))}")
    path = folder.absolute() / FILES / f"{hashlib.sha256(value).hexdigest()}{suffix}"
    path.parent.mkdir(exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(value)
    temporary.replace(path)
    return str(path)
