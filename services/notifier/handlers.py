"""cases.changed into deliveries, one row for each event, target and effect; and into the feed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.notifier import queries, secrets
from services.notifier.effects import plan
from services.notifier.publishing import Told, publish
from shared import ledger
from shared.cloudevents import Received
from shared.events import CaseChanged, CaseForgotten, HeartbeatSent


@dataclass(frozen=True)
class Handlers:
    """lives: how long published events are kept; base: REGIE_PUBLIC_URL."""

    now: Callable[[], datetime]
    lives: timedelta = timedelta(days=7)
    base: str = ""

    async def on_case_events(self, connection: AsyncConnection, batch: Sequence[Received]) -> None:
        """In the transaction that moves the position, so that nothing is planned twice or lost."""
        now = self.now()
        told = [(each.id, each.body) for each in batch if isinstance(each.body, CaseChanged)]
        gone = await _forgotten(connection, (change for _, change in told))
        planned = [
            delivery
            for id, change in told
            if change.case_id not in gone
            for delivery in plan(id, change)
        ]
        webhooks = (each.target for each in planned if each.target.startswith("webhook:"))
        await secrets.know(connection, webhooks, now)
        await queries.add(connection, planned, now)
        await queries.see_heartbeats(connection, _latest(batch), now)
        tellable = [each for each in told if _may_be_told(each, gone)]
        await publish(connection, tellable, now, self.lives, self.base)


async def _forgotten(connection: AsyncConnection, changes: Iterable[CaseChanged]) -> set[UUID]:
    """The ids of these cases and messages that were erased: what the log still holds of them."""
    ids = {id for change in changes for id in (change.case_id, _message(change)) if id is not None}
    if not ids:
        return set()
    await ledger.obey(connection)
    return {UUID(bytes=mark) for mark in await ledger.known(connection, {id.bytes for id in ids})}


def _may_be_told(told: Told, gone: set[UUID]) -> bool:
    """That a case was forgotten is told, so that who has a copy of it drops it."""
    change = told[1]
    if isinstance(change.event, CaseForgotten):
        return True
    return change.case_id not in gone and _message(change) not in gone


def _message(change: CaseChanged) -> UUID | None:
    found: UUID | None = getattr(change.event, "message_id", None)
    return found


def _latest(batch: Sequence[Received]) -> dict[int, datetime]:
    beats = [each.body for each in batch if isinstance(each.body, HeartbeatSent)]
    return {beat.partition: beat.sent_at for beat in sorted(beats, key=lambda beat: beat.sent_at)}
