"""The Open Inference Protocol over gRPC: KServe's messages, this server's services."""

from __future__ import annotations

from typing import Any

import grpc
from kserve import InferRequest
from kserve.errors import InvalidInput
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.grpc.grpc_predict_v2_pb2 import RepositoryModelLoadResponse
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import add_GRPCInferenceServiceServicer_to_server
from kserve.protocol.grpc.servicer import InferenceServicer
from kserve.protocol.model_repository_extension import ModelRepositoryExtension

from ppmm.errors import PpmmError
from ppmm.serving import metrics
from ppmm.serving.guard import key_is_right
from ppmm.serving.refusals import BadRequest, Refused
from ppmm.serving.registry import Bundles
from ppmm.serving.settings import ServeSettings
from ppmm.serving.tensors import parameters_seconds, response_of, samples_of

__all__ = ["make_grpc_server"]

HEALTH = ("ServerLive", "ServerReady")
ADMIN = ("RepositoryModelLoad", "RepositoryModelUnload")


def make_grpc_server(bundles: Bundles, settings: ServeSettings) -> grpc.aio.Server:
    """A server that listens and is not started yet. Raises PpmmError where its address is taken."""
    most = settings.max_body_mb << 20
    options = [("grpc.max_receive_message_length", most), ("grpc.max_send_message_length", most)]
    server = grpc.aio.server(interceptors=[_Keyed(settings.api_key)], options=options)
    add_GRPCInferenceServiceServicer_to_server(_Servicer(bundles), server)
    address = f"{settings.host}:{settings.grpc_port}"
    try:
        if settings.certificate is None or settings.key is None:
            server.add_insecure_port(address)
        else:
            pair = (settings.key.read_bytes(), settings.certificate.read_bytes())
            server.add_secure_port(address, grpc.ssl_server_credentials([pair]))
    except RuntimeError as error:
        raise PpmmError(f"cannot listen on {address}: is something else there?") from error
    return server


class _Servicer(InferenceServicer):
    def __init__(self, bundles: Bundles) -> None:
        super().__init__(DataPlane(bundles), ModelRepositoryExtension(bundles))
        self.bundles = bundles

    async def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802 - the protocol's name
        try:
            try:
                self.validate_grpc_request(request)
                asked = InferRequest.from_grpc(request)
            except (InvalidInput, ValueError, TypeError, KeyError) as error:
                raise BadRequest(f"not a request of the Open Inference Protocol: {error}") from error
            service = self.bundles.service(request.model_name)
            left = context.time_remaining()
            seconds = left if left is not None else parameters_seconds(asked.parameters)
            answered = await service.answer(samples_of(asked, service.predictor), seconds)
            return response_of(answered, asked, request.model_name, service.version_name).to_grpc()
        except Refused as error:
            await context.abort(grpc.StatusCode[error.code], str(error))
        except Exception as error:
            metrics.LOG.error("failed", extra={"facts": {"path": "ModelInfer", "why": type(error).__name__}})
            await context.abort(grpc.StatusCode.INTERNAL, "internal error")

    async def RepositoryModelLoad(self, request: Any, context: Any) -> Any:  # noqa: N802
        try:
            await self.bundles.load(request.model_name)
        except Refused as error:
            await context.abort(grpc.StatusCode[error.code], str(error))
        except PpmmError as error:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        return RepositoryModelLoadResponse(model_name=request.model_name, isLoaded=True)

    async def RepositoryModelUnload(self, request: Any, context: Any) -> Any:  # noqa: N802
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "models are named when the server starts")


class _Keyed(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Asks for the key; without one, administration is refused altogether."""

    def __init__(self, key: str | None) -> None:
        self.key = key

    async def intercept_service(self, continuation: Any, details: Any) -> Any:
        call = details.method.rsplit("/", 1)[-1]
        if call in HEALTH:
            return await continuation(details)
        given = {entry.key.lower(): entry.value for entry in details.invocation_metadata or ()}
        token = given.get("x-api-key") or str(given.get("authorization", "")).removeprefix("Bearer ")
        if self.key is not None and not key_is_right(token, self.key):
            return _refusal(grpc.StatusCode.UNAUTHENTICATED, "a key is needed: authorization: Bearer KEY")
        if self.key is None and call in ADMIN:
            return _refusal(grpc.StatusCode.PERMISSION_DENIED, "this call needs a server with an API key")
        return await continuation(details)


def _refusal(code: grpc.StatusCode, words: str) -> Any:
    async def refuse(_: Any, context: Any) -> None:
        await context.abort(code, words)

    return grpc.unary_unary_rpc_method_handler(refuse)
