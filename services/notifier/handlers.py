"""cases.changed into deliveries: one row for each event, target and effect."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from services.notifier import queries, secrets
from services.notifier.effects import plan
from services.notifier.models import Planned
from shared import ledger
from shared.cloudevents import Received
from shared.events import CaseChanged, HeartbeatSent


@dataclass(frozen=True)
class Handlers:
    now: Callable[[], datetime]

    async def on_case_events(self, connection: AsyncConnection, batch: Sequence[Received]) -> None:
        """In the transaction that moves the position, so that nothing is planned twice or lost."""
        now = self.now()
        planned = [
            delivery
            for received in batch
            if isinstance(received.body, CaseChanged)
            for delivery in plan(received.id, received.body)
        ]
        planned = await _unforgotten(connection, planned)
        webhooks = (each.target for each in planned if each.target.startswith("webhook:"))
        await secrets.know(connection, webhooks, now)
        await queries.add(connection, planned, now)
        await queries.see_heartbeats(connection, _latest(batch), now)


async def _unforgotten(connection: AsyncConnection, planned: list[Planned]) -> list[Planned]:
    """Without what an erased person's cases left in the log."""
    if not planned:
        return planned
    await ledger.obey(connection)
    gone = await ledger.known_cases(connection, {each.case_id for each in planned})
    return [each for each in planned if each.case_id not in gone] if gone else planned


def _latest(batch: Sequence[Received]) -> dict[int, datetime]:
    beats = [each.body for each in batch if isinstance(each.body, HeartbeatSent)]
    return {beat.partition: beat.sent_at for beat in sorted(beats, key=lambda beat: beat.sent_at)}
