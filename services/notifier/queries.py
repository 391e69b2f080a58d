"""What is written of deliveries: many rows at a time. What is read of them: `claiming`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.notifier.models import Planned
from services.notifier.outcomes import Outcome
from shared.database import driver


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


async def mark_sending(
    connection: AsyncConnection, ids: Sequence[UUID], lease_until: datetime
) -> None:
    """A try begins: it counts, and it is ours until then."""
    if ids:
        await (await driver(connection)).execute(_SENDING, list(ids), lease_until)


async def put_off(connection: AsyncConnection, until: Mapping[UUID, datetime]) -> None:
    """These come again then, or as they expire, to be looked at and dropped."""
    if until:
        await (await driver(connection)).execute(_PUT_OFF, *zip(*until.items(), strict=True))


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


_ADD: Final = """
INSERT INTO deliveries (id, event_id, case_id, seq, version, effect, target, lane, payload, at,
    expires_at, next_at, digest_over, digest_every, created_at)
SELECT n.*, $15 FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::int[], $5::int[],
    $6::text[], $7::text[], $8::text[], $9::jsonb[], $10::timestamptz[], $11::timestamptz[],
    $12::timestamptz[], $13::int[], $14::interval[]) AS n
ON CONFLICT DO NOTHING
"""

_SENDING: Final = """
UPDATE deliveries SET state = 'sending', attempts = attempts + 1, lease_until = $2
WHERE id = ANY ($1)
"""

_PUT_OFF: Final = """
UPDATE deliveries d SET next_at = least(n.at, d.expires_at)
FROM unnest($1::uuid[], $2::timestamptz[]) AS n (id, at) WHERE d.id = n.id
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
        THEN jsonb_set(d.payload, '{text}', '""')
        WHEN new.state = 'sent' AND d.payload -> 'data' ? 'answer_url'
        THEN d.payload #- '{data,answer_url}' ELSE d.payload END
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
