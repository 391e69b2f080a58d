"""Deliveries as they are claimed: what is due, lost, expired or held, each with all that decides
about it. Locks only where nobody waits for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.notifier.audience import SEES
from services.notifier.models import Delivery, Head
from services.notifier.slots import START
from shared.database import driver
from shared.events import Digest


async def claim(
    connection: AsyncConnection, now: datetime, rooms: Mapping[str, int], most: int
) -> list[Delivery]:
    """Deliveries that are due, the longest due first; locked until the transaction ends.

    Of a lane only the oldest that lives. Of a target at most its room (START where none is
    given): what waits for a slow one is neither read nor in anybody's way.
    """
    rows = await (await driver(connection)).fetch(
        _CLAIM, now, list(rooms), list(rooms.values()), START, most
    )
    return [_delivery(row, now) for row in rows]


async def claim_expired(connection: AsyncConnection, now: datetime, most: int) -> list[Delivery]:
    """Replies whose time is over, wherever they wait; locked until the transaction ends."""
    rows = await (await driver(connection)).fetch(_CLAIM_EXPIRED, now, most)
    return [_delivery(row, now) for row in rows]


async def held(
    connection: AsyncConnection, digest_id: UUID, now: datetime, most: int
) -> list[Delivery]:
    """What a digest has to tell of, with each case's head; locked until the transaction ends."""
    rows = await (await driver(connection)).fetch(_HELD, now, digest_id, most)
    return [_delivery(row, now) for row in rows]


async def claim_lost(connection: AsyncConnection, now: datetime, most: int) -> list[Delivery]:
    """Those whose sender went away during the call; locked until the transaction ends."""
    rows = await (await driver(connection)).fetch(_CLAIM_LOST, now, most)
    return [_delivery(row, now) for row in rows]


def _delivery(row: Mapping[str, Any], now: datetime) -> Delivery:
    previous = row["previous_until"]
    secrets = (row["secret"], row["previous"] if previous and previous > now else None)
    return Delivery(
        id=row["id"],
        case_id=row["case_id"],
        effect=row["effect"],
        target=row["target"],
        payload=row["payload"],
        version=row["version"],
        at=row["at"],
        attempts=row["attempts"],
        attempts_before=row["attempts_before"],
        expires_at=row["expires_at"],
        head=_head(row),
        secrets=tuple(filter(None, secrets)),
        disabled=_disabled(row),
        read=bool(row["read"]),
        url=row["url"] or "",
        barred=bool(row["barred"]),
        digest=_digest(row),
    )


def _disabled(row: Mapping[str, Any]) -> str:
    if row["effect"] == "test":  # whoever mends an endpoint tries it first
        return ""
    if row["keyless"]:
        return "the key of the subscription was revoked or has expired"
    return (row["disabled_reason"] or "") if row["disabled_at"] else ""


def _digest(row: Mapping[str, Any]) -> Digest | None:
    over = row["digest_over"]
    return None if over is None else Digest(over=over, every=row["digest_every"])


def _head(row: Mapping[str, Any]) -> Head | None:
    if row["head_version"] is None:
        return None
    promises = frozenset(row["promises"] or ())
    return Head(row["head_version"], row["head_state"], row["answered_at"], promises)


_COLUMNS: Final = f"""
    c.id, c.case_id, c.effect, c.target, coalesce(e.body, c.payload) AS payload, c.version, c.at,
    c.attempts, s.url, s.key_id <> 'admin' AND NOT EXISTS (SELECT FROM api_keys k
        WHERE k.id = s.key_id AND k.revoked_at IS NULL
        AND (k.expires_at IS NULL OR k.expires_at > $1)) AS keyless,
    c.attempts_before, c.expires_at, c.digest_over, c.digest_every,
    h.version AS head_version, h.state AS head_state, h.answered_at,
    CASE WHEN c.effect = 'reminder' THEN h.promises END AS promises,
    CASE WHEN c.effect = 'follow_up' THEN NOT EXISTS (SELECT FROM chat_unread AS u
        WHERE u.message_id = (c.payload ->> 'message_id')::uuid) END AS read,
    s.key_id <> 'admin' AND e.event_id IS NOT NULL AND NOT EXISTS (SELECT FROM api_keys k
        WHERE k.id = s.key_id AND {SEES}) AS barred,
    t.secret, t.previous, t.previous_until, t.disabled_at, t.disabled_reason
"""  # noqa: S608 - our own text
_JOINS: Final = """
    LEFT JOIN case_heads h ON h.id = c.case_id LEFT JOIN targets t ON t.target = c.target
    LEFT JOIN feed e ON c.effect = 'event' AND e.event_id = c.event_id
    LEFT JOIN subscriptions s ON s.id = CASE WHEN c.effect IN ('event', 'test')
        THEN substr(c.target, length('subscription:') + 1)::uuid END
"""

# From target to target through the index, so that a million rows of a dead one cost nothing.
_CLAIM: Final = f"""
WITH RECURSIVE waiting AS (
    (SELECT target FROM deliveries WHERE state = 'pending' ORDER BY target LIMIT 1)
    UNION ALL
    SELECT (SELECT d.target FROM deliveries d WHERE d.state = 'pending' AND d.target > w.target
            ORDER BY d.target LIMIT 1)
    FROM waiting w WHERE w.target IS NOT NULL
), c AS (
    SELECT due.* FROM waiting w
    LEFT JOIN unnest($2::text[], $3::int[]) AS known (target, room) ON known.target = w.target
    CROSS JOIN LATERAL (
        SELECT d.* FROM deliveries d
        WHERE d.target = w.target AND d.state = 'pending' AND d.next_at <= $1
        AND (d.lane = '' OR NOT EXISTS (
            SELECT FROM deliveries older
            WHERE older.lane = d.lane AND older.lane <> '' AND older.seq < d.seq
            AND older.state IN ('pending', 'sending')))
        ORDER BY d.next_at, d.id LIMIT coalesce(known.room, $4) FOR UPDATE SKIP LOCKED
    ) due
    ORDER BY due.next_at, due.id LIMIT $5
)
SELECT {_COLUMNS} FROM c {_JOINS} ORDER BY c.next_at, c.id
"""  # noqa: S608 - our own names
_CLAIM_LOST: Final = f"""
WITH c AS (
    SELECT * FROM deliveries WHERE state = 'sending' AND lease_until <= $1
    ORDER BY lease_until LIMIT $2 FOR UPDATE SKIP LOCKED
)
SELECT {_COLUMNS} FROM c {_JOINS}
"""  # noqa: S608 - our own names
_CLAIM_EXPIRED: Final = f"""
WITH c AS (
    SELECT * FROM deliveries WHERE effect = 'reply' AND state = 'pending' AND expires_at <= $1
    ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED
)
SELECT {_COLUMNS} FROM c {_JOINS}
"""  # noqa: S608 - our own names
_HELD: Final = f"""
WITH c AS (
    SELECT * FROM deliveries WHERE digest_id = $2 AND state = 'held'
    ORDER BY id LIMIT $3 FOR UPDATE
)
SELECT {_COLUMNS} FROM c {_JOINS} ORDER BY c.at, c.id
"""  # noqa: S608 - our own names
