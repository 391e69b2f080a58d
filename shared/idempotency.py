"""`Idempotency-Key`: the same request twice has one effect and one answer (DESIGN 6).

Both calls stand in the request's own transaction, so that the effect and the memory of it are
committed together, or not at all.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Final

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from shared.errors import Conflict, Invalid

_KEPT_HEADERS: Final = ("content-type", "etag", "location")
_LONGEST: Final = 255


@dataclass(frozen=True)
class Stored:
    """The first answer."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)

    def response(self) -> Response:
        """The first answer again, marked as such."""
        return Response(self.body, self.status, {**self.headers, "Idempotent-Replayed": "true"})


def fingerprint(body: bytes) -> bytes:
    """What tells one request from another under the same key."""
    return hashlib.sha256(body).digest()


async def begin(
    connection: AsyncConnection, key: str, caller: str, route: str, print_: bytes
) -> Stored | None:
    """The answer given before, or None: then do the work and call `finish`.

    caller  the key id; route is method and path. Raises Conflict while the first request is still
    at work, Invalid when the key came with another body within 24 h.
    """
    if not 0 < len(key) <= _LONGEST:
        raise Invalid(f"Idempotency-Key has 1 to {_LONGEST} characters")
    # Held until this transaction ends; whoever gets it sees what the one before committed.
    place = {"place": f"{caller}\x1f{route}\x1f{key}"}
    if not (await connection.execute(_LOCK, place)).scalar_one():
        raise Conflict(
            "the first request with this Idempotency-Key is still at work: try again",
            name="request-in-flight",
            headers={"Retry-After": "1"},
        )
    values = {"key": key, "caller": caller, "route": route}
    row = (await connection.execute(_FIND, values)).one_or_none()
    if row is None:
        return None
    if bytes(row.fingerprint) != print_:
        raise reused()
    return Stored(row.status, bytes(row.body), dict(row.headers))


async def finish(
    connection: AsyncConnection,
    key: str,
    caller: str,
    route: str,
    print_: bytes,
    response: Response,
) -> None:
    """Remembers the answer for 24 h."""
    headers = {name: value for name, value in response.headers.items() if name in _KEPT_HEADERS}
    await connection.execute(
        _KEEP,
        {
            "key": key,
            "caller": caller,
            "route": route,
            "fingerprint": print_,
            "status": response.status_code,
            "headers": orjson.dumps(headers).decode(),
            "body": bytes(response.body),
        },
    )


def reused() -> Invalid:
    return Invalid(
        "this Idempotency-Key came with another body before: take a new key for a new request",
        name="idempotency-key-reused",
    )


async def forget_old(connection: AsyncConnection) -> None:
    """Deletes what no promise needs any more. Kept 9 days, as ids made of a key are remembered
    for 8 by those who consume them."""
    await connection.execute(
        text("DELETE FROM idempotency WHERE created_at < now() - interval '9 days'")
    )


_LOCK: Final = text("SELECT pg_try_advisory_xact_lock(hashtextextended(:place, 7233002))")
_FIND: Final = text(
    "SELECT fingerprint, status, headers, body FROM idempotency"
    " WHERE caller = :caller AND route = :route AND key = :key"
    " AND created_at > now() - interval '24 hours' AND status IS NOT NULL"
)
_KEEP: Final = text(
    "INSERT INTO idempotency (key, caller, route, fingerprint, status, headers, body)"
    " VALUES (:key, :caller, :route, :fingerprint, :status, CAST(:headers AS jsonb), :body)"
    " ON CONFLICT (caller, route, key) DO UPDATE SET fingerprint = excluded.fingerprint,"
    " status = excluded.status, headers = excluded.headers, body = excluded.body,"
    " created_at = now()"
)
