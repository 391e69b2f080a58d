"""A change over HTTP: one transaction, once for each `Idempotency-Key`, repeated on a deadlock.

What a case's change needs besides (scope, its version) stands in `acting`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from fastapi import Request
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from services.router.handlers import Handlers
from shared import idempotency
from shared.database import is_deadlock, transaction
from shared.security import Caller

_TRIES: Final = 3


@dataclass(frozen=True)
class Answer:
    """`again` is what a repeat of the request is answered with: not all that the first was."""

    first: Response
    again: Response


Work = Callable[[AsyncConnection], Awaitable[Response | Answer]]


async def once(
    handlers: Handlers, request: Request, who: Caller, work: Work, given: bytes | None = None
) -> Response:
    """The answer of `work`, or the first one again. A deadlock repeats all of it: two people may
    merge the same records from both ends.

    given  what tells this request from another under the same key: its body, unless said
    """
    tries = 0
    while True:
        tries += 1
        try:
            response = await _attempt(handlers, request, who, work, given)
        except Exception as error:
            if tries >= _TRIES or not is_deadlock(error):
                raise
        else:
            handlers.runtime.written.set()
            return response


async def answered(
    handlers: Handlers, request: Request, who: Caller, given: bytes
) -> Response | None:
    """The answer to this request, if it was given before: for what takes long before `once`."""
    key = request.headers.get("idempotency-key")
    if key is None:
        return None
    place = (who.key_id, f"{request.method} {request.url.path}")
    async with transaction(handlers.runtime.engine) as connection:
        before = await idempotency.begin(connection, key, *place, idempotency.fingerprint(given))
    return None if before is None else before.response()


async def _attempt(
    handlers: Handlers, request: Request, who: Caller, work: Work, given: bytes | None
) -> Response:
    key = request.headers.get("idempotency-key")
    print_ = idempotency.fingerprint(await request.body() if given is None else given)
    place = (who.key_id, f"{request.method} {request.url.path}")
    async with transaction(handlers.runtime.engine) as connection:
        if key is not None:
            before = await idempotency.begin(connection, key, *place, print_)
            if before is not None:
                return before.response()
        made = await work(connection)
        answer = made if isinstance(made, Answer) else Answer(made, made)
        if key is not None:
            await idempotency.finish(connection, key, *place, print_, answer.again)
    return answer.first
