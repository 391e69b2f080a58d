"""A change over HTTP that is no case's: one transaction, once for each `Idempotency-Key`.

What a case's change needs besides (scope, its version) stands in `acting`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from fastapi import Request
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from services.router.handlers import Handlers
from shared import idempotency
from shared.database import is_deadlock, transaction
from shared.security import Caller

_TRIES: Final = 3


async def once(
    handlers: Handlers,
    request: Request,
    who: Caller,
    work: Callable[[AsyncConnection], Awaitable[Response]],
) -> Response:
    """The answer of `work`, or the first one again. A deadlock repeats all of it: two people may
    merge the same records from both ends."""
    tries = 0
    while True:
        tries += 1
        try:
            response = await _attempt(handlers, request, who, work)
        except Exception as error:
            if tries >= _TRIES or not is_deadlock(error):
                raise
        else:
            handlers.runtime.written.set()
            return response


async def _attempt(
    handlers: Handlers,
    request: Request,
    who: Caller,
    work: Callable[[AsyncConnection], Awaitable[Response]],
) -> Response:
    key = request.headers.get("idempotency-key")
    print_ = idempotency.fingerprint(await request.body())
    place = (who.key_id, f"{request.method} {request.url.path}")
    async with transaction(handlers.runtime.engine) as connection:
        if key is not None:
            before = await idempotency.begin(connection, key, *place, print_)
            if before is not None:
                return before.response()
        response = await work(connection)
        if key is not None:
            await idempotency.finish(connection, key, *place, print_, response)
    return response
