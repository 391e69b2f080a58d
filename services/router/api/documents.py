"""Reading a JSON body that may hold files: beside the event loop, with the usual faults."""

from __future__ import annotations

import asyncio
from typing import Final, TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

from shared.channels.wire import clean
from shared.errors import Invalid

_OFF_LOOP: Final = 256 * 1024
_Model = TypeVar("_Model", bound=BaseModel)


async def read_document(request: Request, model: type[_Model]) -> _Model:
    """Raises Invalid for what is not JSON, RequestValidationError for what is not `model`."""
    body = await request.body()
    if len(body) > _OFF_LOOP:
        return await asyncio.to_thread(_read, body, model)
    return _read(body, model)


def _read(body: bytes, model: type[_Model]) -> _Model:
    try:
        # Deep in somebody's data a NUL is taken out; in a field of ours it is said.
        return _strict(body, model) if b"\\u0000" not in body else _cleaned(body, model)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False, include_context=False)
        if faults[0]["type"] == "json_invalid":
            raise Invalid(f"the body is not JSON: {faults[0]['msg']}", name="not-json") from error
        raise RequestValidationError([{**f, "loc": ("body", *f["loc"])} for f in faults]) from error


def _strict(body: bytes, model: type[_Model]) -> _Model:
    return model.model_validate_json(body)


def _cleaned(body: bytes, model: type[_Model]) -> _Model:
    return model.model_validate(clean(_strict(body, model).model_dump(exclude_unset=True)))
