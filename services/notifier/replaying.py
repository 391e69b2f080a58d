"""Sending again: single deliveries at once, a span or all that was missed by and by.

A replay is a row that goes through the feed in steps, each a transaction of its own, so that a
million events hold up nobody; its deliveries have the ids they had, or would have had.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import structlog
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notifier import feed, subscriptions
from services.notifier.subscriptions import DELIVERIES, TAKERS, Subscription
from shared.database import driver, is_deadlock, transaction
from shared.errors import Unavailable
from shared.ids import new_id
from shared.runtime import Runtime
from shared.telemetry import describe

STEP: Final = 1_000  # positions
_EVERY: Final = 0.5

log = structlog.get_logger("notifier")


@dataclass(frozen=True, slots=True)
class Replay:
    """planned  deliveries so far; `done_at` None: there may be more
    from_at, to_at  the span of the events' own times; both None: all that it did not get
    """

    id: UUID
    from_at: datetime | None
    to_at: datetime | None
    planned: int
    created_at: datetime
    done_at: datetime | None


async def span(
    connection: AsyncConnection, id: UUID, from_at: datetime, to_at: datetime, now: datetime
) -> Replay:
    """Every event of these times that the subscription takes, whatever became of it before."""
    kept = await feed.reach(connection)
    return await _begin(connection, id, kept.next, now, from_at=from_at, to_at=to_at)


async def missing(
    connection: AsyncConnection, wanted: Subscription, by: str, now: datetime
) -> Replay:
    """What failed, and what happened while it was disabled, on the word of `by`."""
    kept = await feed.reach(connection)
    raw = await driver(connection)
    begun = await _begin(connection, wanted.id, kept.next, now, missed_from=wanted.missed_from)
    if wanted.disabled_at is None:
        await raw.execute("UPDATE subscriptions SET missed_from = NULL WHERE id = $1", wanted.id)
    await settle(connection, wanted.id, by, now)
    return begun


async def settle(connection: AsyncConnection, id: UUID, by: str, now: datetime) -> None:
    """The operator's letter about this subscription, or this delivery, is taken care of."""
    await (await driver(connection)).execute(_SETTLE, id, by, now)


async def again(
    connection: AsyncConnection, ids: Sequence[UUID], target: str, now: datetime, lives: timedelta
) -> set[UUID]:
    """These deliveries of one target once more, from the first try; which of them could be. One
    whose event is kept no longer cannot."""
    rows = await (await driver(connection)).fetch(_AGAIN, list(ids), target, now, now + lives)
    return {row["id"] for row in rows}


async def listing(connection: AsyncConnection, id: UUID) -> list[Replay]:
    """The latest first."""
    rows = await (await driver(connection)).fetch(_LIST, id)
    return [Replay(**row) for row in rows]


class Replaying:
    """The task that carries replays out; any number of processes may. `lives`: the feed's
    retention."""

    def __init__(self, runtime: Runtime, lives: timedelta) -> None:
        self._runtime = runtime
        self._lives = lives

    async def run(self) -> None:
        while True:
            try:
                while await self.step():
                    pass
            except (Unavailable, PoolTimeout) as error:
                log.warning("replays wait", error=describe(error))
            except Exception as error:
                if not is_deadlock(error):
                    raise
            await asyncio.sleep(_EVERY)

    async def step(self) -> bool:
        """One step of the replay that waited longest; whether there was one."""
        now = self._runtime.now()
        async with transaction(self._runtime.engine) as connection:
            raw = await driver(connection)
            row = await raw.fetchrow(_NEXT)
            if row is None:
                return False
            upto = min(row["next"] + STEP, row["until"])
            planned = await self._plan(connection, row, upto, now)
            await raw.execute(_MOVE, row["id"], upto, planned, now)
        return True

    async def _plan(
        self, connection: AsyncConnection, row: Mapping[str, Any], upto: int, now: datetime
    ) -> int:
        rows = await (await driver(connection)).fetch(
            _STEP, now, now + self._lives, row["next"], upto, row["subscription_id"],
            row["from_at"], row["to_at"], row["missing"], row["missed_from"],
        )  # fmt: skip
        return len(rows)


async def _begin(
    connection: AsyncConnection, id: UUID, until: int, now: datetime, *,
    from_at: datetime | None = None, to_at: datetime | None = None, missed_from: int | None = None,
) -> Replay:  # fmt: skip
    kept = await feed.reach(connection)
    raw = await driver(connection)
    row = await raw.fetchrow(
        _BEGIN, new_id(), id, kept.start, until, from_at, to_at, missed_from, from_at is None, now
    )
    return Replay(**row)


_SHOWN: Final = "id, from_at, to_at, planned, created_at, done_at"
_BEGIN: Final = f"""
INSERT INTO replays (id, subscription_id, next, until, from_at, to_at, missed_from, missing,
    created_at, touched_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9) RETURNING {_SHOWN}
"""  # noqa: S608 - our own names
_LIST: Final = f"""
SELECT {_SHOWN} FROM replays WHERE subscription_id = $1 ORDER BY created_at DESC, id DESC LIMIT 100
"""  # noqa: S608 - our own names
_NEXT: Final = """
SELECT * FROM replays WHERE done_at IS NULL ORDER BY touched_at, id LIMIT 1 FOR UPDATE SKIP LOCKED
"""
_MOVE: Final = """
UPDATE replays SET next = $2, planned = planned + $3, touched_at = clock_timestamp(),
    done_at = CASE WHEN $2 >= until THEN $4::timestamptz END
WHERE id = $1
"""
_ANEW: Final = """state = 'pending', next_at = {now}, expires_at = greatest(d.expires_at, {until}),
    attempts_before = d.attempts, ended_at = NULL, error = ''"""
_STEP: Final = f"""
WITH e AS MATERIALIZED (
    SELECT * FROM feed WHERE position >= $3 AND position < $4
    AND ($6::timestamptz IS NULL OR at >= $6) AND ($7::timestamptz IS NULL OR at <= $7)
), {TAKERS}
{DELIVERIES}
WHERE k.subscription = $5
    AND (NOT $8 OR e.position >= $9 OR EXISTS (SELECT FROM deliveries had
        WHERE had.id = {subscriptions.DELIVERY_ID}))
ON CONFLICT (id) DO UPDATE SET {_ANEW.format(now="$1", until="$2")}
    WHERE d.state IN ('failed', 'dropped') OR (NOT $8 AND d.state IN ('sent', 'unknown'))
RETURNING d.id
"""  # noqa: S608 - our own text
_AGAIN: Final = f"""
UPDATE deliveries d SET {_ANEW.format(now="$3", until="$4")}
FROM feed e
WHERE d.id = ANY ($1) AND d.target = $2 AND e.event_id = d.event_id
    AND d.state NOT IN ('pending', 'sending')
RETURNING d.id
"""  # noqa: S608 - our own text
_SETTLE: Final = """
UPDATE dead_letters SET state = 'replayed', settled_by = $2, settled_at = $3
WHERE id = $1 AND state = 'waiting'
"""
