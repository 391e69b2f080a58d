"""What of the feed and its deliveries is over: kept no longer, or for nobody."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Final

import structlog
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notifier import feed, metrics, subscriptions
from shared.database import driver, is_deadlock, transaction
from shared.errors import Unavailable
from shared.runtime import Runtime
from shared.telemetry import describe

BATCH: Final = 5_000
_EVERY: Final = 5.0
_REPLAYS_KEPT: Final = timedelta(days=30)

log = structlog.get_logger("notifier")


class Tidying:
    """Any number of processes may do this, a batch a transaction. `lives`: the feed's retention."""

    def __init__(self, runtime: Runtime, lives: timedelta) -> None:
        self._runtime = runtime
        self._lives = lives

    async def run(self) -> None:
        while True:
            try:
                while await self.step():
                    pass
            except (Unavailable, PoolTimeout) as error:
                log.warning("the feed waits to be trimmed", error=describe(error))
            except Exception as error:
                if not is_deadlock(error):
                    raise
            await asyncio.sleep(_EVERY)

    async def step(self) -> bool:
        """One batch of each; whether one of them was full."""
        now = self._runtime.now()
        async with transaction(self._runtime.engine) as connection:
            raw = await driver(connection)
            await raw.execute(_DELETED)
            await raw.execute(_OLD_REPLAYS, now - _REPLAYS_KEPT)
            metrics.DISABLED.set(await subscriptions.disabled_count(connection))
            ended = [
                await _rows(connection, _REFUSED, now, BATCH),
                await _rows(connection, _EXPIRED, now, BATCH),
                await _rows(connection, _FORGOTTEN, now - self._lives, BATCH),
                # Last: whoever publishes waits for the row that says what is kept.
                await feed.trim(connection, now - self._lives),
            ]
        return BATCH in ended


async def _rows(connection: AsyncConnection, statement: str, *values: object) -> int:
    return len(await (await driver(connection)).fetch(statement, *values))


# Not by the sender, which would go through them a few at a time.
_REFUSED: Final = """
WITH closed AS (
    SELECT d.id, t.disabled_reason FROM targets t JOIN deliveries d ON d.target = t.target
    WHERE t.disabled_at IS NOT NULL AND t.target LIKE 'subscription:%' AND d.state = 'pending'
        AND d.effect = 'event' LIMIT $2 FOR UPDATE OF d SKIP LOCKED
)
UPDATE deliveries d SET state = 'failed', error = 'disabled: ' || closed.disabled_reason,
    ended_at = $1
FROM closed WHERE d.id = closed.id RETURNING d.id
"""
_EXPIRED: Final = """
UPDATE deliveries SET state = 'failed', ended_at = $1,
    error = 'expired: the event is kept no longer' WHERE id IN (
    SELECT id FROM deliveries WHERE effect = 'event' AND state = 'pending' AND expires_at <= $1
    ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED)
RETURNING id
"""
_FORGOTTEN: Final = """
WITH old AS (
    DELETE FROM deliveries WHERE id IN (
        SELECT id FROM deliveries WHERE effect IN ('event', 'test') AND ended_at < $1
        ORDER BY ended_at LIMIT $2 FOR UPDATE SKIP LOCKED)
    RETURNING id
), gone AS (DELETE FROM attempts WHERE delivery_id IN (SELECT id FROM old))
SELECT id FROM old
"""
# A deleted subscription's target stays until nothing is for it any more.
_DELETED: Final = """
DELETE FROM targets t WHERE t.target LIKE 'subscription:%'
    AND NOT EXISTS (SELECT FROM subscriptions s WHERE t.target = 'subscription:' || s.id)
    AND NOT EXISTS (SELECT FROM deliveries d WHERE d.target = t.target AND d.state = 'pending')
"""
_OLD_REPLAYS: Final = "DELETE FROM replays WHERE done_at < $1"
