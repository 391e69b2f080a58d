"""The notifier's statements: many rows at a time, and locks only where nobody waits for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.notifier.models import Delivery, Head, Planned
from services.notifier.outcomes import Outcome
from services.notifier.slots import START
from shared.database import driver
from shared.events import Digest


async def add(connection: AsyncConnection, planned: Sequence[Planned], now: datetime) -> None:
    """Stores deliveries to be sent at once, or after their recipient's quiet hours; one that is
    there already stays as it is."""
    if not planned:
        return
    rows = [
        (p.id, p.event_id, p.case_id, p.seq, p.version, p.effect, p.target, p.lane,
         p.payload.decode(), p.at, p.expires_at, p.first_try_at(now),
         p.digest.over if p.digest else None, p.digest.every if p.digest else None)
        for p in planned
    ]  # fmt: skip
    await (await driver(connection)).execute(_ADD, *zip(*rows, strict=True), now)


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


async def mark_sending(
    connection: AsyncConnection, ids: Sequence[UUID], lease_until: datetime
) -> None:
    """A try begins: it counts, and it is ours until then."""
    if ids:
        await (await driver(connection)).execute(_SENDING, list(ids), lease_until)


async def settle(
    connection: AsyncConnection, outcomes: Sequence[Outcome], now: datetime
) -> dict[UUID, str]:
    """Writes the new states. Returns the old state of each that this changed."""
    rows = [
        (o.delivery.id, o.delivery.attempts, o.state, o.next_at, o.provider_id, o.error)
        for o in sorted(outcomes, key=lambda outcome: outcome.delivery.id)
    ]
    found = await (await driver(connection)).fetch(_SETTLE, *zip(*rows, strict=True), now)
    return {row["id"]: row["was"] for row in found}


async def note_attempts(connection: AsyncConnection, outcomes: Sequence[Outcome]) -> None:
    rows = [
        (o.delivery.id, o.delivery.attempts, a.at, round(a.took * 1000), a.status, a.error,
         a.response, o.delivery.target if o.delivery.is_published else "")
        for o in outcomes
        if (a := o.attempt) is not None
    ]  # fmt: skip
    if rows:
        await (await driver(connection)).execute(_ATTEMPTS, *zip(*rows, strict=True))


async def close_targets(
    connection: AsyncConnection, outcomes: Sequence[Outcome], now: datetime
) -> None:
    """These get nothing more; what is for them is kept as dead letters."""
    for outcome in outcomes:
        await (await driver(connection)).execute(
            _CLOSE, outcome.delivery.target, now, outcome.reason
        )


async def see_heartbeats(
    connection: AsyncConnection, beats: Mapping[int, datetime], now: datetime
) -> None:
    """By partition: the latest heartbeat that came all the way through."""
    if beats:
        await (await driver(connection)).execute(
            _BEATS, *zip(*sorted(beats.items()), strict=True), now
        )


async def forget(connection: AsyncConnection, before: datetime, most: int) -> int:
    """Deletes deliveries that ended before, with their attempts; how many."""
    rows = await (await driver(connection)).fetch(_FORGET, before, most)
    return len(rows)


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


_ADD: Final = """
INSERT INTO deliveries (id, event_id, case_id, seq, version, effect, target, lane, payload, at,
    expires_at, next_at, digest_over, digest_every, created_at)
SELECT n.*, $15 FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::int[], $5::int[],
    $6::text[], $7::text[], $8::text[], $9::jsonb[], $10::timestamptz[], $11::timestamptz[],
    $12::timestamptz[], $13::int[], $14::interval[]) AS n
ON CONFLICT DO NOTHING
"""

_COLUMNS: Final = """
    c.id, c.case_id, c.effect, c.target, coalesce(f.body, c.payload) AS payload, c.version, c.at,
    c.attempts, s.url, s.key_id <> 'admin' AND NOT EXISTS (SELECT FROM api_keys k
        WHERE k.id = s.key_id AND k.revoked_at IS NULL
        AND (k.expires_at IS NULL OR k.expires_at > $1)) AS keyless,
    c.attempts_before, c.expires_at, c.digest_over, c.digest_every,
    h.version AS head_version, h.state AS head_state, h.answered_at,
    CASE WHEN c.effect = 'reminder' THEN h.promises END AS promises,
    CASE WHEN c.effect = 'follow_up' THEN NOT EXISTS (SELECT FROM chat_unread AS u
        WHERE u.message_id = (c.payload ->> 'message_id')::uuid) END AS read,
    t.secret, t.previous, t.previous_until, t.disabled_at, t.disabled_reason
"""
_JOINS: Final = """
    LEFT JOIN case_heads h ON h.id = c.case_id LEFT JOIN targets t ON t.target = c.target
    LEFT JOIN feed f ON c.effect = 'event' AND f.event_id = c.event_id
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
_SENDING: Final = """
UPDATE deliveries SET state = 'sending', attempts = attempts + 1, lease_until = $2
WHERE id = ANY ($1)
"""

# `attempts` fences: a try that lost its lease to a later one changes nothing any more.
_SETTLE: Final = """
WITH new AS (
    SELECT * FROM unnest($1::uuid[], $2::int[], $3::text[], $4::timestamptz[], $5::text[],
        $6::text[]) AS n (id, attempts, state, next_at, provider_id, error)
), held AS (
    SELECT d.id, d.state AS was FROM deliveries d JOIN new USING (id, attempts)
    ORDER BY d.id FOR UPDATE OF d
)
UPDATE deliveries d SET state = new.state, next_at = coalesce(new.next_at, d.next_at),
    provider_id = new.provider_id, error = new.error, lease_until = NULL,
    ended_at = CASE WHEN new.state = 'pending' THEN NULL ELSE $7::timestamptz END,
    payload = CASE WHEN new.state <> 'pending' AND d.payload ->> 'secret' = 'true'
        THEN jsonb_set(d.payload, '{text}', '""') ELSE d.payload END
FROM held JOIN new USING (id)
WHERE d.id = held.id AND (held.was IN ('pending', 'sending', 'held')
    OR (held.was = 'unknown' AND new.state IN ('sent', 'failed')))
RETURNING d.id, held.was
"""
_ATTEMPTS: Final = """
INSERT INTO attempts (delivery_id, number, at, took_ms, status, error, response, target)
SELECT * FROM unnest($1::uuid[], $2::int[], $3::timestamptz[], $4::int[], $5::int[], $6::text[],
    $7::text[], $8::text[])
ON CONFLICT (delivery_id, number) DO UPDATE SET at = excluded.at, took_ms = excluded.took_ms,
    status = excluded.status, error = excluded.error, response = excluded.response
"""
_CLOSE: Final = """
UPDATE targets SET disabled_at = $2, disabled_reason = $3
WHERE target = $1 AND disabled_at IS NULL
"""
_BEATS: Final = """
INSERT INTO heartbeats AS h (stage, partition, sent_at, seen_at)
SELECT 'notifier', n.*, $3 FROM unnest($1::int[], $2::timestamptz[]) AS n
ON CONFLICT (stage, partition) DO UPDATE SET
    sent_at = greatest(h.sent_at, excluded.sent_at), seen_at = excluded.seen_at
"""
_FORGET: Final = """
WITH old AS (
    DELETE FROM deliveries WHERE id IN (
        SELECT id FROM deliveries WHERE ended_at < $1 ORDER BY ended_at LIMIT $2
        FOR UPDATE SKIP LOCKED)
    RETURNING id
), gone AS (DELETE FROM attempts WHERE delivery_id IN (SELECT id FROM old))
SELECT id FROM old
"""
