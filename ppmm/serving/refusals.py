"""Why a request was not answered, with the status codes of both protocols."""

from __future__ import annotations

__all__ = ["BadRequest", "Gone", "Late", "Overloaded", "Refused", "Unknown"]


class Refused(Exception):  # noqa: N818 - not always an error of the server
    """A request that gets no answer.

    Attributes:
        status: of HTTP.
        code: of gRPC, by name.
        retry_after: seconds, where trying again makes sense.
    """

    status = 500
    code = "INTERNAL"
    retry_after: int | None = None


class BadRequest(Refused):
    """The client's mistake, which the text explains."""

    status, code = 400, "INVALID_ARGUMENT"


class Unknown(Refused):
    """No such model."""

    status, code = 404, "NOT_FOUND"


class Late(Refused):
    """The deadline passed before an answer was there."""

    status, code, retry_after = 504, "DEADLINE_EXCEEDED", 1


class Overloaded(Refused):
    """The queue is full."""

    status, code, retry_after = 429, "RESOURCE_EXHAUSTED", 1


class Gone(Refused):
    """The server is stopping, or the model is not ready."""

    status, code, retry_after = 503, "UNAVAILABLE", 5
