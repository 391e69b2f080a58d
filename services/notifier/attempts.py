"""What was tried: each call of a delivery, and what the endpoint said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.notifier import subscriptions
from services.notifier.models import TEST
from services.notifier.published import ping
from services.notifier.subscriptions import KIND
from shared.database import driver
from shared.errors import Invalid, NotFound
from shared.ids import new_id
from shared.security import Caller

_NOBODY: Final = UUID(int=0)
_WEBHOOK_ID: Final = "msg_"


@dataclass(frozen=True, slots=True)
class Tried:
    """One call. `took` in seconds; `status` None: no HTTP answer; `response` cut at 16 kB."""

    delivery_id: UUID
    number: int
    type: str
    at: datetime
    took: float
    status: int | None
    error: str
    response: str


@dataclass(frozen=True, slots=True)
class Sent:
    """A delivery as its owner sees it. `next_at`: of a pending one, the next try."""

    id: UUID
    target: str
    state: str
    type: str
    error: str
    attempts: int
    next_at: datetime | None
    created_at: datetime
    ended_at: datetime | None

    @property
    def subscription(self) -> UUID | None:
        kind, _, id = self.target.partition(":")
        return UUID(id) if kind == KIND else None


def delivery_id(given: str) -> UUID:
    """From an id of ours or from the `webhook-id` an endpoint saw. Raises Invalid."""
    try:
        return UUID(given.removeprefix(_WEBHOOK_ID))
    except ValueError:
        raise Invalid(
            f"{given!r} is no delivery: give the webhook-id that the endpoint saw, or the id of "
            "the delivery"
        ) from None


def webhook_id(delivery: UUID) -> str:
    """What the endpoint sees of it, at every try and every replay."""
    return f"{_WEBHOOK_ID}{delivery.hex}"


async def of_subscription(
    connection: AsyncConnection, id: UUID, before: tuple[datetime, UUID, int] | None, limit: int,
    *, failed: bool = False,
) -> list[Tried]:  # fmt: skip
    """The latest first."""
    at, delivery, number = before or (None, _NOBODY, 0)
    rows = await (await driver(connection)).fetch(
        _OF_SUBSCRIPTION, subscriptions.target(id), at, delivery, number, failed, limit
    )
    return [_tried(row) for row in rows]


async def of_delivery(connection: AsyncConnection, id: UUID) -> list[Tried]:
    """In order."""
    rows = await (await driver(connection)).fetch(_OF_DELIVERY, id)
    return [_tried(row) for row in rows]


async def find(connection: AsyncConnection, who: Caller, id: UUID, now: datetime) -> Sent:
    """Raises NotFound, for somebody else's too: an admin's are all, anybody's those of their own
    subscriptions."""
    row = await (await driver(connection)).fetchrow(_FIND, id)
    if row is not None:
        found = Sent(**row)
        if who.role == "admin":
            return found
        if found.subscription is not None:
            await subscriptions.find(connection, who, found.subscription, now)
            return found
    raise NotFound("no delivery of your subscriptions has this id: what ended is kept for days")


async def test(
    connection: AsyncConnection, subscription: UUID, now: datetime, lives: timedelta
) -> UUID:
    """A delivery of a test event, sent before all that waits for this endpoint, and once."""
    id = new_id()
    await (await driver(connection)).execute(
        _TEST, id, _NOBODY, TEST, subscriptions.target(subscription),
        ping(subscription, now).decode(), now, now + lives,
    )  # fmt: skip
    return id


def _tried(row: Mapping[str, Any]) -> Tried:
    return Tried(**(dict(row) | {"took": row["took"] / 1000}))


_SHOWN: Final = """
SELECT a.delivery_id, a.number, coalesce(f.type, d.payload ->> 'type', '') AS type, a.at,
    a.took_ms AS took, a.status, a.error, a.response
FROM attempts a JOIN deliveries d ON d.id = a.delivery_id
LEFT JOIN feed f ON d.effect = 'event' AND f.event_id = d.event_id
"""
_OF_SUBSCRIPTION: Final = f"""
{_SHOWN} WHERE a.target = $1 AND a.target <> '' AND ($2::timestamptz IS NULL
    OR (a.at, a.delivery_id, a.number) < ($2, $3, $4)) AND (NOT $5 OR a.error <> '')
ORDER BY a.at DESC, a.delivery_id DESC, a.number DESC LIMIT $6
"""
_OF_DELIVERY: Final = f"{_SHOWN} WHERE a.delivery_id = $1 ORDER BY a.number"
_FIND: Final = """
SELECT d.id, d.target, d.state, coalesce(f.type, d.payload ->> 'type', d.effect) AS type, d.error,
    d.attempts, CASE WHEN d.state = 'pending' THEN d.next_at END AS next_at, d.created_at,
    d.ended_at
FROM deliveries d LEFT JOIN feed f ON d.effect = 'event' AND f.event_id = d.event_id
WHERE d.id = $1
"""
_TEST: Final = """
INSERT INTO deliveries (id, event_id, case_id, seq, version, effect, target, lane, payload, at,
    expires_at, next_at, created_at)
VALUES ($1, 'test:' || $1::uuid, $2, 0, 0, $3, $4, '', $5::jsonb, $6, $7, 'epoch', $6)
"""
