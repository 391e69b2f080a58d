"""Errors as RFC 9457 problem documents: a name to act on, and what to do next.

Nothing of the request is repeated in them, and nothing of what a dependency said.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.responses import Response

from shared.database import is_away, sqlstate
from shared.errors import (
    BlobsUnavailable,
    BrokerUnavailable,
    DatabaseUnavailable,
    ProviderUnavailable,
    Refused,
    Unavailable,
)
from shared.telemetry import describe
from shared.web.answers import to_json
from shared.web.lingering import Lingering

_DATA: Final = "22"  # PostgreSQL's class of errors in a value, not in a statement
_RETRY_AFTER: Final = "2"
_AWAY: Final[dict[type[Unavailable], tuple[str, str]]] = {
    BrokerUnavailable: ("log-unavailable", "the message log does not answer"),
    DatabaseUnavailable: ("database-unavailable", "the database does not answer"),
    BlobsUnavailable: ("blobs-unavailable", "the blob store cannot be written"),
    ProviderUnavailable: ("provider-unavailable", "the provider's own server does not answer"),
}

log = structlog.get_logger("http")

# How every error stands in the OpenAPI document.
RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    status: {
        "description": words,
        "content": {
            "application/problem+json": {
                "schema": {
                    "type": "object",
                    "required": ["type", "title", "status", "name", "detail"],
                    "properties": {
                        "type": {"type": "string", "format": "uri-reference"},
                        "title": {"type": "string"},
                        "status": {"type": "integer"},
                        "name": {"type": "string", "description": "what to act on"},
                        "detail": {"type": "string", "description": "what to do next"},
                    },
                }
            }
        },
    }
    for status, words in (("4XX", "a refusal"), ("5XX", "a fault or an outage of ours"))
}


def problem(
    status: int, name: str, detail: str, headers: dict[str, str] | None = None, **extra: Any
) -> Response:
    """A problem document. `extra` members stand beside the standard ones and never replace them."""
    document = extra | {
        "type": f"/problems/{name}",
        "title": name.replace("-", " ").capitalize(),
        "status": status,
        "name": name,
        "detail": detail,
    }
    kind = Lingering if status == 413 else Response
    return kind(to_json(document), status, headers, media_type="application/problem+json")


def refused(error: Refused) -> Response:
    headers = error.headers
    if error.status == 401:
        headers = {"WWW-Authenticate": "Bearer", **headers}
    return problem(error.status, error.problem, error.detail, headers, **error.extra)


def unavailable(error: Unavailable) -> Response:
    name, words = _AWAY.get(type(error), ("unavailable", "a dependency does not answer"))
    detail = f"{words}; nothing was accepted: try again in {_RETRY_AFTER} s"
    return problem(503, name, detail, {"Retry-After": _RETRY_AFTER})


def starting() -> Response:
    """The answer before the parts of this process are there."""
    detail = f"still starting; nothing was accepted: try again in {_RETRY_AFTER} s"
    return problem(503, "starting", detail, {"Retry-After": _RETRY_AFTER})


def broken(request_id: str = "") -> Response:
    """The answer to what we did not foresee."""
    detail = "something went wrong on our side; the operator finds it in the log by request_id"
    return problem(500, "internal-error", detail, request_id=request_id)


def install(app: FastAPI) -> None:
    """Every error of this app becomes a problem document."""
    app.add_exception_handler(Refused, _on_refused)
    app.add_exception_handler(Unavailable, _on_unavailable)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    for kind in (DBAPIError, PoolTimeout, ConnectionError, TimeoutError):
        app.add_exception_handler(kind, _on_database)


def _on_refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return refused(error)


def _on_unavailable(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Unavailable)
    return unavailable(error)


def _on_invalid(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    faults = [
        {"field": ".".join(map(str, fault["loc"])), "message": fault["msg"]}
        for fault in error.errors()
    ]
    detail = "; ".join(f"{fault['field']}: {fault['message']}" for fault in faults[:5])
    return problem(422, "invalid", detail or "the request is not valid", errors=faults)


def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    phrase = HTTPStatus(error.status_code).phrase
    detail = error.detail if error.detail != phrase else _advice(error.status_code, request)
    name = phrase.lower().replace(" ", "-")
    return problem(error.status_code, name, detail, dict(error.headers or {}))


def _advice(status: int, request: Request) -> str:
    if status == 404:
        return "there is nothing at this address: /openapi.json lists what there is"
    if status == 405:
        return f"{request.method} is not possible here: see the Allow header"
    return HTTPStatus(status).description or HTTPStatus(status).phrase


def _on_database(request: Request, error: Exception) -> Response:
    if isinstance(error, PoolTimeout) or is_away(error):
        return unavailable(DatabaseUnavailable())
    if sqlstate(error).startswith(_DATA):
        log.warning("a value the database refuses", error=describe(error))
        return problem(422, "invalid", "a value is out of range or holds a NUL: send another")
    raise error
