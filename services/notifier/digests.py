"""Digests in the database: windows, what they hold, and the one delivery that tells of it.

A notice that is held belongs to its digest from the transaction that holds it, and is settled in
the one that puts it on the digest's list: it is told alone or there, never both. A million of them
take many short transactions, during which nobody else waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec
import structlog
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notifier import claiming, digesting, metrics, outcomes, queries
from services.notifier.digesting import Tally, Window
from services.notifier.models import DIGEST, Delivery, Planned
from services.notifier.outcomes import Outcome
from services.notifier.recording import record
from services.notifier.resting import all_rest_until
from services.notifier.staleness import no_longer_true
from shared.database import driver, is_deadlock, transaction
from shared.errors import Unavailable
from shared.ids import new_id
from shared.runtime import Runtime
from shared.telemetry import describe

BATCH: Final = 500
_EVERY: Final = 0.25  # seconds
_AWAY: Final = 1.0
_NO_CASE: Final = UUID(int=0)

log = structlog.get_logger("notifier")


async def hold(
    connection: AsyncConnection, deliveries: Sequence[Delivery], now: datetime
) -> list[Delivery]:
    """Those that leave alone, which counts; the others wait for their digest."""
    spans: dict[str, timedelta] = {}
    for each in deliveries:
        if digesting.waits(each) and each.digest is not None:
            spans[each.target] = max(spans.get(each.target, timedelta()), each.digest.every)
    if not spans:
        return list(deliveries)
    windows = await _windows(connection, spans, now)
    found = digesting.sort_out(deliveries, windows, now)
    raw = await driver(connection)
    if over := [window.id for window in windows.values() if window.ends_at <= now]:
        await raw.execute(_END, over)
    if found.held:
        await raw.execute(_HOLD, *zip(*found.held.items(), strict=True))
    if found.sooner:
        await raw.execute(_HURRY, *zip(*found.sooner.items(), strict=True))
    if found.counts:
        await raw.execute(_COUNT, *zip(*found.counts.items(), strict=True))
    return list(found.alone)


@dataclass(frozen=True)
class Digests:
    """Closes windows, fills them up, and sends off what they hold. Any number may do this."""

    runtime: Runtime

    async def run(self) -> None:
        while True:
            try:
                wait = 0.0 if await self.turn() else _EVERY
            except (Unavailable, PoolTimeout) as error:
                log.warning("digests wait", error=describe(error))
                wait = _AWAY
            except Exception as error:
                if not is_deadlock(error):
                    raise
                wait = _EVERY
            await asyncio.sleep(wait)

    async def turn(self) -> bool:
        """One batch of each; False where nothing is left to do."""
        now = self.runtime.now()
        async with transaction(self.runtime.engine) as connection:
            raw = await driver(connection)
            await raw.execute(_CLOSE, now)
            filled = len(await raw.fetch(_FILL, now, BATCH))
        return await self.gather(now) or filled > 0

    async def gather(self, now: datetime) -> bool:
        """Puts the next notices of a window that is over on its list; once all are, sends it. One
        that ends while its recipient sleeps waits for the morning, and tells what is true then."""
        async with transaction(self.runtime.engine) as connection:
            raw = await driver(connection)
            row = await raw.fetchrow(_NEXT, now)
            if row is None:
                return False
            held = await claiming.held(connection, row["id"], now, BATCH)
            until = await _rests_until(connection, row, held, now)
            if until is not None:
                await raw.execute(_LATER, row["id"], until)
                return True
            counted = await _put(connection, row, held, now)
        for outcome in counted:
            metrics.count(outcome)
        return True


async def _rests_until(
    connection: AsyncConnection, row: Mapping[str, Any], held: Sequence[Delivery], now: datetime
) -> datetime | None:
    until = None if row["batches"] else all_rest_until(held, now)
    if until is None or len(held) < BATCH:
        return until
    wakes = await (await driver(connection)).fetchval(_WAKES, row["id"])
    return None if wakes else until


async def _put(
    connection: AsyncConnection, row: Mapping[str, Any], held: Sequence[Delivery], now: datetime
) -> list[Outcome]:
    old = {each.id: stale for each in held if (stale := no_longer_true(each, now))}
    true = [each for each in held if each.id not in old]
    over = [outcomes.dropped(each, old[each.id]) for each in held if each.id in old]
    over += [outcomes.digested(each, row["id"]) for each in true]
    counted = await record(connection, over, now)
    tally = digesting.gathered(msgspec.convert(row["doc"], Tally), true)
    raw = await driver(connection)
    if len(held) < BATCH:
        await _send(connection, row, tally, now)
        await raw.execute(_DONE, row["id"])
    else:
        await raw.execute(_KEEP, row["id"], msgspec.json.encode(tally).decode())
    return counted


async def _send(
    connection: AsyncConnection, row: Mapping[str, Any], tally: Tally, now: datetime
) -> None:
    """One notice goes as itself after all; of none nothing is said."""
    if tally.only is not None:
        await (await driver(connection)).execute(_RELEASE, tally.only, now)
        return
    if not tally.count or tally.expires_at is None:
        return
    digest = Planned(
        id=row["id"],
        event_id=f"digest:{row['id']}",
        case_id=_NO_CASE,
        seq=0,
        version=0,
        effect=DIGEST,
        target=row["target"],
        payload=msgspec.json.encode(digesting.payload_of(tally, row["opened_at"], now)),
        at=now,
        expires_at=tally.expires_at,
    )
    await queries.add(connection, [digest], now)


async def _windows(
    connection: AsyncConnection, spans: Mapping[str, timedelta], now: datetime
) -> dict[str, Window]:
    """The open window of each target, locked; a new one where there is none."""
    rows = [(new_id(), target, span) for target, span in sorted(spans.items())]
    found = await (await driver(connection)).fetch(_OPEN, *zip(*rows, strict=True), now)
    return {row["target"]: Window(row["id"], row["ends_at"], row["alone"]) for row in found}


_OPEN: Final = """
INSERT INTO digests (id, target, opened_at, ends_at)
SELECT n.id, n.target, $4, $4::timestamptz + n.span
FROM unnest($1::uuid[], $2::text[], $3::interval[]) AS n (id, target, span) ORDER BY n.target
ON CONFLICT (target) WHERE open DO UPDATE SET target = excluded.target
RETURNING id, target, ends_at, alone
"""
_HOLD: Final = """
UPDATE deliveries d SET state = 'held', digest_id = held.digest_id
FROM unnest($1::uuid[], $2::uuid[]) AS held (id, digest_id) WHERE d.id = held.id
"""
_COUNT: Final = """
UPDATE digests d SET alone = d.alone + n.alone
FROM unnest($1::uuid[], $2::int[]) AS n (id, alone) WHERE d.id = n.id
"""
_HURRY: Final = """
UPDATE digests d SET ends_at = n.at FROM unnest($1::uuid[], $2::timestamptz[]) AS n (id, at)
WHERE d.id = n.id
"""
_END: Final = "UPDATE digests SET open = false WHERE id = ANY($1)"
# One that a sender has in hand is left to it: nothing is held for a window that is closed.
_CLOSE: Final = """
UPDATE digests SET open = false WHERE id IN (
    SELECT id FROM digests WHERE open AND ends_at <= $1 ORDER BY target FOR UPDATE SKIP LOCKED)
"""
# What the senders would hold one by one, as they come to it: of windows that are full.
_FILL: Final = """
WITH w AS (
    SELECT id, target, alone FROM digests g WHERE open AND ends_at > $1 AND EXISTS (
        SELECT FROM deliveries WHERE target = g.target AND state = 'pending' AND next_at <= $1
        AND attempts = 0 AND digest_over <= g.alone)
    ORDER BY target FOR UPDATE SKIP LOCKED
), due AS (
    SELECT d.id, w.id AS digest_id FROM w CROSS JOIN LATERAL (
        SELECT id FROM deliveries
        WHERE target = w.target AND state = 'pending' AND next_at <= $1
        AND attempts = 0 AND digest_over <= w.alone
        ORDER BY next_at, id LIMIT $2 FOR UPDATE SKIP LOCKED) d
    LIMIT $2
), held AS (
    UPDATE deliveries d SET state = 'held', digest_id = due.digest_id FROM due WHERE d.id = due.id
    RETURNING d.id, d.digest_id, d.digest_every
), sooner AS (
    UPDATE digests g SET ends_at = $1 + n.every
    FROM (SELECT digest_id, min(digest_every) AS every FROM held GROUP BY digest_id) AS n
    WHERE g.id = n.digest_id AND g.ends_at > $1 + n.every
)
SELECT id FROM held
"""
# The one with the fewest batches behind it first: a small one waits for no million.
_NEXT: Final = """
SELECT id, target, opened_at, doc, batches FROM digests WHERE NOT open AND ends_at <= $1
ORDER BY batches, ends_at LIMIT 1 FOR UPDATE SKIP LOCKED
"""
_WAKES: Final = """
SELECT EXISTS (SELECT FROM deliveries WHERE digest_id = $1 AND state = 'held'
    AND NOT payload ? 'quiet')
"""
_LATER: Final = "UPDATE digests SET ends_at = $2 WHERE id = $1"
_KEEP: Final = "UPDATE digests SET doc = $2, batches = batches + 1 WHERE id = $1"
_DONE: Final = "DELETE FROM digests WHERE id = $1"
_RELEASE: Final = """
UPDATE deliveries SET state = 'pending', next_at = $2, ended_at = NULL, error = '',
    digest_over = NULL, digest_every = NULL, digest_id = NULL
WHERE id = $1
"""
