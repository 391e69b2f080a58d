"""A change over HTTP: one transaction, and once for each `Idempotency-Key`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Header, Request
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from shared import idempotency
from shared.database import transaction
from shared.runtime import Runtime
from shared.security import Caller

# For the description of a route; `once` reads the header by itself.
Key = Annotated[str | None, Header(alias="Idempotency-Key", max_length=255)]


async def once(
    runtime: Runtime,
    request: Request,
    who: Caller,
    work: Callable[[AsyncConnection], Awaitable[Response]],
) -> Response:
    """The answer of `work`, or the first one again: a secret is shown to whoever lost it on the
    way, and nothing is made twice."""
    key = request.headers.get("idempotency-key")
    async with transaction(runtime.engine) as connection:
        if key is None:
            return await work(connection)
        print_ = idempotency.fingerprint(await request.body())
        place = (who.key_id, f"{request.method} {request.url.path}")
        before = await idempotency.begin(connection, key, *place, print_)
        if before is not None:
            return before.response()
        answer = await work(connection)
        await idempotency.finish(connection, key, *place, print_, answer)
    return answer
