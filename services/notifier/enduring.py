"""Subscriptions that only ever fail: when they began to, and when that has lasted too long."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notifier import subscriptions
from services.notifier.models import EVENT
from services.notifier.outcomes import Outcome
from shared.database import driver

PATIENCE: Final = timedelta(days=5)
# A second failure so long after the first: what was called once, and once more five days later,
# has not been failing for five days.
SPREAD: Final = timedelta(hours=12)

log = structlog.get_logger("notifier")


async def note(connection: AsyncConnection, outcomes: Sequence[Outcome], now: datetime) -> None:
    """After their states were written. A success of any of them ends the failing; five days of
    nothing but failures disable. So did a 410, which is noted here."""
    tried = [each for each in outcomes if each.attempt and each.delivery.effect == EVENT]
    if not tried:
        return
    gone = sorted({_id(each) for each in tried if each.closes})
    if gone:
        await subscriptions.missed(connection, gone)
    rows = sorted(_by_subscription(tried).items())
    raw = await driver(connection)
    ids, well = [id for id, _ in rows], [ok for _, ok in rows]
    for row in await raw.fetch(_NOTE, ids, well, now, PATIENCE, SPREAD):
        if row["over"]:
            since = row["failing_since"]
            reason = f"every delivery failed since {since:%Y-%m-%d %H:%M} UTC"
            await subscriptions.disable(connection, row["id"], reason, now)
            gone.append(row["id"])
    for id in gone:
        log.warning("subscription disabled", subscription=str(id))


def _by_subscription(tried: Sequence[Outcome]) -> dict[UUID, bool]:
    """Whether any of each one's deliveries was taken."""
    well: dict[UUID, bool] = {}
    for each in tried:
        well[_id(each)] = well.get(_id(each), False) or each.state == "sent"
    return well


def _id(outcome: Outcome) -> UUID:
    return UUID(outcome.delivery.address)


# Writes only what changes: an endpoint that is well is not written at all.
_NOTE: Final = """
UPDATE subscriptions s SET
    failing_since = CASE WHEN n.well THEN NULL ELSE coalesce(s.failing_since, $3) END,
    failed_again_at = CASE WHEN n.well OR s.failing_since IS NULL THEN NULL
        WHEN s.failing_since + $5 <= $3 THEN coalesce(s.failed_again_at, $3) END
FROM unnest($1::uuid[], $2::boolean[]) AS n (id, well), subscriptions old
WHERE s.id = n.id AND old.id = s.id AND CASE WHEN n.well THEN s.failing_since IS NOT NULL
    ELSE s.failing_since IS NULL OR s.failing_since + $4 <= $3
        OR (s.failed_again_at IS NULL AND s.failing_since + $5 <= $3) END
RETURNING s.id, s.failing_since,
    NOT n.well AND s.failing_since + $4 <= $3 AND old.failed_again_at IS NOT NULL AS over
"""
