"""Messages that were split off, in the rows: a thread goes where its message went."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from shared import events as ev
from shared.database import driver

if TYPE_CHECKING:
    from services.router.desk import Desk


async def save(desk: Desk) -> None:
    moved: dict[UUID, UUID] = {
        change.event.message_id: change.event.to_case
        for change in desk.changes
        if isinstance(change.event, ev.MessageSplit)
    }
    if moved:
        await (await driver(desk.connection)).execute(
            "UPDATE messages SET case_id = new.case_id "
            "FROM unnest($1::uuid[], $2::uuid[]) AS new (id, case_id) WHERE messages.id = new.id",
            list(moved),
            list(moved.values()),
        )
