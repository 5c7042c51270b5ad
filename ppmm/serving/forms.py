"""A form as a raw sample: files for image and audio, text for the rest."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from ppmm.runtime.predictor import Predictor
from ppmm.serving.refusals import BadRequest

__all__ = ["read_form"]

MAX_PARTS = 64


async def read_form(request: Request, predictor: Predictor) -> dict[str, Any]:
    """Field -> bytes of a file, or text; empty parts are left out. Raises BadRequest."""
    try:
        form = await request.form(max_files=MAX_PARTS, max_fields=MAX_PARTS)
    except HTTPException as error:
        raise BadRequest(f"the form cannot be read: {error.detail}") from error
    sample: dict[str, Any] = {}
    for name, value in form.multi_items():
        if name in sample:
            raise BadRequest(f"the field '{name}' is there twice")
        given = await value.read() if isinstance(value, UploadFile) else value
        if given:
            field = predictor.fields.get(name)
            sample[name] = given if field is None or field.kind in ("image", "audio") else _text(name, given)
    return sample


def _text(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    try:
        return str(value.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise BadRequest(f"{name} is a file, and a text is wanted") from error
