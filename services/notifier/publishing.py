"""Case events into the feed and to subscriptions, in the transaction that moves the position."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from services.notifier import feed, subscriptions
from services.notifier.catalogue import CATALOGUE
from services.notifier.published import published
from shared.events import CaseChanged

Told = tuple[str, CaseChanged]


async def publish(
    connection: AsyncConnection, told: Sequence[Told], now: datetime, lives: timedelta, base: str
) -> None:
    """Each event once, however often it is read. `lives`: how long the feed keeps it, and a
    delivery of it is tried; `base`: REGIE_PUBLIC_URL."""
    changes = {id: change for id, change in told if type(change.event) in CATALOGUE}
    if not changes:
        return
    fresh = await feed.unpublished(connection, list(changes))
    new = [(id, change) for id, change in changes.items() if id in fresh]
    accounts = await feed.accounts_of(connection, list({change.case_id for _, change in new}))
    entries = [
        feed.entry(id, change, accounts.get(change.case_id, ""), published(change, base))
        for id, change in new
    ]
    await subscriptions.plan(connection, entries, now, lives)
    await feed.append(connection, entries, now)
