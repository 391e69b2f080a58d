"""Quiet hours at the sender, on a real PostgreSQL and a real endpoint."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from shared.events import CaseChanged, DeadlineBreached, DeadlineEscalated, DeadlineWarned, Target
from tests.builders import NOON, after
from tests.notifying import Notifying, notifying

MORNING = after(hours=9)


@pytest.fixture
async def room(database_url: str, tmp_path: Path) -> AsyncIterator[Notifying]:
    async with notifying(database_url, tmp_path) as room:
        yield room


def asleep(room: Notifying, path: str) -> Target:
    return Target(kind="webhook", address=f"{room.endpoint.url}{path}", not_before=MORNING)


async def changes(room: Notifying, expires_at: datetime) -> list[CaseChanged]:
    case = await room.open_case()
    warned = DeadlineWarned(
        number=1, metric="resolution", step=1, due_at=expires_at, expires_at=expires_at,
        notify=(asleep(room, "/asleep"), room.webhook("/awake")),
    )  # fmt: skip
    escalated = DeadlineEscalated(
        number=1, metric="resolution", step=1, due_at=NOON, expires_at=after(days=4),
        notify=(asleep(room, "/escalated"),),
    )  # fmt: skip
    breached = DeadlineBreached(
        number=1, metric="resolution", due_at=NOON, notify=(asleep(room, "/breached"),)
    )
    return [room.change(case, event) for event in (warned, escalated, breached)]


async def test_nobody_is_woken_and_all_are_told_in_the_morning(room: Notifying) -> None:
    await room.hear(*await changes(room, MORNING + timedelta(hours=2)))
    async with room.sending():
        await room.settled("pending", "sent", "pending", "pending")
        room.clock.at = MORNING
        await room.settled("sent", "sent", "sent", "sent")
    paths = [request.path for request in room.endpoint.requests]
    assert paths[0] == "/awake"
    assert sorted(paths[1:]) == ["/asleep", "/breached", "/escalated"]


async def test_a_reminder_that_expires_at_night_is_dropped_and_a_breach_is_not(
    room: Notifying,
) -> None:
    await room.hear(*await changes(room, MORNING - timedelta(hours=1)))
    async with room.sending():
        await room.settled("pending", "sent", "pending", "pending")
        room.clock.at = MORNING - timedelta(hours=1)
        await room.settled("dropped", "sent", "pending", "pending")
        room.clock.at = MORNING
        await room.settled("dropped", "sent", "sent", "sent")
    assert "/asleep" not in [request.path for request in room.endpoint.requests]
    (row,) = await room.rows("SELECT error FROM deliveries WHERE state = 'dropped'")
    assert row.error.startswith("expired: ")


async def test_a_batch_with_and_without_quiet_hours_is_stored_as_planned(room: Notifying) -> None:
    await room.hear(*await changes(room, MORNING + timedelta(hours=2)))
    rows = await room.rows(
        "SELECT effect, next_at, created_at FROM deliveries ORDER BY seq, target"
    )
    assert [(row.effect, row.next_at) for row in rows] == [
        ("reminder", MORNING),
        ("reminder", NOON),
        ("escalation", MORNING),
        ("breach", MORNING),
    ]
    assert {row.created_at for row in rows} == {NOON}
