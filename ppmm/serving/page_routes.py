"""The web page, what it asks about the models, and where a model looks."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, JSONResponse, Response

from ppmm.serving.forms import read_form
from ppmm.serving.occlusion import GRID, strongest
from ppmm.serving.refusals import BadRequest
from ppmm.serving.registry import Bundles
from ppmm.serving.service import Service

__all__ = ["add_page"]

PAGE = Path(__file__).parent / "page"
FILES = {"": "text/html; charset=utf-8", "page.css": "text/css", "page.js": "text/javascript"}
HEADERS = {
    "content-security-policy": "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "style-src 'self' 'unsafe-inline'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}


def add_page(app: FastAPI, bundles: Bundles, index: Any | None) -> None:
    """Add ``/``, ``/about`` and ``/explain``."""

    def page(name: str) -> Any:
        async def file() -> Response:
            return FileResponse(PAGE / (name or "index.html"), media_type=FILES[name], headers=HEADERS)

        return file

    for name in FILES:
        app.add_api_route(f"/{name}", page(name), include_in_schema=False)

    @app.get("/about")
    async def about() -> JSONResponse:
        """The models, their fields and targets."""
        models = [_about(service) for service in bundles.services.values() if service.ready]
        if models and index is not None:
            models[0]["index"] = {"field": index.facts["field"], "count": len(index)}
        return JSONResponse({"models": models})

    @app.post("/explain")
    async def explain(request: Request, model: str | None = None) -> JSONResponse:
        """How much less sure the answer is when each part of the picture is hidden, row by row."""
        service = bundles.service(model)
        began = time.perf_counter()
        sample = await read_form(request, service.predictor)
        answered = await service.answer([sample])
        pictures = [name for name in sample if service.predictor.fields[name].kind == "image"]
        if not pictures:
            raise BadRequest("there is no picture to hide parts of")
        best = strongest(answered.results[0])
        if best is None:
            raise BadRequest("this model's answers have no probabilities")
        key, label, share = best
        parts = await service.hidden_parts(sample[pictures[0]])
        hidden = [{**sample, pictures[0]: part} for part in parts]
        loss = []
        for start in range(0, len(hidden), service.settings.max_batch):
            some = await service.answer(hidden[start : start + service.settings.max_batch])
            loss += [round(share - float(result[key][label]), 6) for result in some.results]
        took = round(1e3 * (time.perf_counter() - began), 2)
        return JSONResponse({"result": answered.results[0], "grid": GRID, "loss": loss, "milliseconds": took})


def _about(service: Service) -> dict[str, Any]:
    predictor = service.predictor
    return {
        "name": service.name,
        "version": service.version_name,
        "backend": predictor.backend,
        "fields": [{"name": name, "kind": field.kind} for name, field in predictor.fields.items()],
        "targets": list(predictor.bundle.document["targets"]),
    }
