"""The routes over HTTP: the Open Inference Protocol, /predict for people, health, metrics, the web page."""

from __future__ import annotations

import math
import time
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from kserve.errors import ModelNotFound, ModelNotReady
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.model_repository_extension import ModelRepositoryExtension
from kserve.protocol.rest.v2_endpoints import register_v2_endpoints
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

import ppmm
from ppmm.errors import PpmmError
from ppmm.index.living_index import LivingIndex
from ppmm.serving.forms import read_form
from ppmm.serving.page_routes import add_page
from ppmm.serving.refusals import Refused
from ppmm.serving.registry import Bundles
from ppmm.serving.rest_protocol import JSON_LENGTH, read_request, write_response
from ppmm.serving.search_routes import add_search
from ppmm.serving.settings import ServeSettings
from ppmm.serving.tensors import parameters_seconds, response_of, samples_of

__all__ = ["make_app"]


def make_app(bundles: Bundles, settings: ServeSettings, index: LivingIndex | None = None) -> FastAPI:
    """The application, without the guard around it; with an index over the first bundle it searches."""
    app = FastAPI(title="ppmm", version=ppmm.__version__, docs_url="/docs", redoc_url=None)
    if settings.origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=list(settings.origins), allow_methods=["*"], allow_headers=["*"]
        )
    _add_protocol(app, bundles)
    _add_predict(app, bundles)
    _add_health(app, bundles)
    if index is not None:
        add_search(app, bundles, index)
    add_page(app, bundles, index)
    _add_errors(app)
    return app


def _add_protocol(app: FastAPI, bundles: Bundles) -> None:
    async def infer(request: Request, model_name: str) -> Response:
        """The infer call of the Open Inference Protocol v2."""
        service = bundles.service(model_name)
        asked = read_request(await request.body(), request.headers.get(JSON_LENGTH), model_name)
        samples = samples_of(asked, service.predictor)
        answered = await service.answer(samples, parameters_seconds(asked.parameters))
        body, headers = write_response(response_of(answered, asked, model_name, service.version_name))
        return Response(body, headers=headers)

    body = {"required": True, "content": {"application/json": {"schema": INFER_SCHEMA}}}
    more = {"methods": ["POST"], "tags": ["V2"], "openapi_extra": {"requestBody": body}, "responses": REFUSALS}
    app.add_api_route("/v2/models/{model_name}/infer", infer, **more)  # type: ignore[arg-type]
    register_v2_endpoints(app, DataPlane(bundles), ModelRepositoryExtension(bundles))


def _add_predict(app: FastAPI, bundles: Bundles) -> None:
    async def predict(request: Request, model: str | None = None) -> JSONResponse:
        """One sample as a form: files for image and audio, text for the rest; any subset of the model's fields."""
        service = bundles.service(model)
        began = time.perf_counter()
        sample = await read_form(request, service.predictor)
        answered = await service.answer([sample])
        return JSONResponse(
            {
                "model": service.name,
                "version": service.version_name,
                "result": _finite(answered.results[0]),
                "milliseconds": round(1e3 * (time.perf_counter() - began), 2),
            }
        )

    content = {"multipart/form-data": {"schema": _form_schema(bundles)}}
    extra = {"requestBody": {"required": True, "content": content}}
    app.add_api_route("/predict", predict, methods=["POST"], openapi_extra=extra, responses=REFUSALS)  # type: ignore[arg-type]


def _add_health(app: FastAPI, bundles: Bundles) -> None:
    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Whether the process answers."""
        return {"status": "alive"}

    @app.get("/readyz", responses={503: {"description": "a model is not ready, or the server is stopping"}})
    async def readyz() -> JSONResponse:
        """Whether every model answers."""
        waiting = [name for name, service in bundles.services.items() if not service.ready]
        if waiting or getattr(app.state, "draining", False):
            return JSONResponse({"status": "not ready", "waiting": waiting}, 503)
        return JSONResponse({"status": "ready", "models": list(bundles.services)})

    @app.get("/metrics")
    async def metrics() -> Response:
        """For Prometheus."""
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


def _add_errors(app: FastAPI) -> None:
    def answer(status: int, words: str, retry_after: int | None = None) -> JSONResponse:
        headers = {} if retry_after is None else {"retry-after": str(retry_after)}
        return JSONResponse({"error": words}, status, headers)

    @app.exception_handler(Refused)
    async def refused(_: Request, error: Refused) -> JSONResponse:
        return answer(error.status, str(error), error.retry_after)

    @app.exception_handler(PpmmError)
    async def failed(_: Request, error: PpmmError) -> JSONResponse:
        return answer(400, str(error))

    @app.exception_handler(ModelNotFound)
    async def unknown(_: Request, error: ModelNotFound) -> JSONResponse:
        return answer(404, str(error))

    @app.exception_handler(ModelNotReady)
    async def not_ready(_: Request, error: ModelNotReady) -> JSONResponse:
        return answer(503, str(error), 5)

    @app.exception_handler(NotImplementedError)
    async def not_offered(_: Request, error: NotImplementedError) -> JSONResponse:
        return answer(404, str(error))


def _finite(value: Any) -> Any:
    """JSON knows no NaN."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _form_schema(bundles: Bundles) -> dict[str, Any]:
    """What a form may hold, of the fields of all bundles that are loaded."""
    properties = {}
    for service in bundles.services.values():
        for name, field in service.predictor.fields.items() if service.ready else ():
            binary = field.kind in ("image", "audio")
            properties[name] = {"type": "string", "format": "binary"} if binary else {"type": "string"}
    return {"type": "object", "properties": properties}


REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"description": "the request cannot be understood, or a file not be decoded"},
    401: {"description": "no key, or a wrong one"},
    404: {"description": "no such model"},
    408: {"description": "the body took too long"},
    413: {"description": "the body is too large"},
    429: {"description": "the queue is full; see Retry-After"},
    503: {"description": "the model is not ready, or the server is stopping; see Retry-After"},
    504: {"description": "no answer before the deadline"},
}
INFER_SCHEMA = {
    "type": "object",
    "required": ["inputs"],
    "properties": {
        "id": {"type": "string"},
        "inputs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name", "shape", "datatype", "data"],
                "properties": {
                    "name": {"type": "string"},
                    "shape": {"type": "array", "items": {"type": "integer"}},
                    "datatype": {"type": "string"},
                    "data": {"type": "array", "items": {}},
                },
            },
        },
    },
}
