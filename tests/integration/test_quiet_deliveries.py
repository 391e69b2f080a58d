"""Quiet hours at the sender, on a real PostgreSQL and a real endpoint."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, time, timedelta
from functools import partial
from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from shared.events import (
    CaseChanged,
    DeadlineBreached,
    DeadlineEscalated,
    DeadlineWarned,
    Digest,
    Quiet,
    Target,
)
from tests.builders import NOON, after
from tests.fakes.endpoint import status
from tests.notifying import Notifying, notifying
from tests.waiting import until

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


async def test_what_is_tried_again_wakes_nobody_either(room: Notifying) -> None:
    target = msgspec.structs.replace(room.webhook(), quiet=quiet_from(time(9, 0, 3)))
    room.endpoint.script("/parcels", status(503))
    await room.hear(room.breach(await room.open_case(), target))
    async with room.sending():
        await room.tried(1)
        room.clock.at = after(seconds=5)
        await until(partial(next_at_is, room, MORNING))
        room.clock.at = MORNING
        await room.settled("sent")
    assert len(room.endpoint.requests) == 2


async def next_at_is(room: Notifying, at: datetime) -> bool:
    return {row.next_at for row in await room.rows("SELECT next_at FROM deliveries")} == {at}


def quiet_from(start: time) -> Quiet:
    """From then until MORNING."""
    return Quiet(start=start, end=time(18), zone="UTC")


async def held_by_night(room: Notifying, *quiet: Quiet | None) -> list[UUID]:
    """A notice that leaves alone, and these that wait for a digest that ends in quiet hours."""
    cases = await room.open_cases(1 + len(quiet))
    for case, hours in zip(cases, (None, *quiet), strict=True):
        digest = Digest(over=1, every=timedelta(minutes=15))
        target = msgspec.structs.replace(room.webhook(), quiet=hours, digest=digest)
        event = DeadlineWarned(
            number=1, metric="resolution", step=1, due_at=after(days=1), expires_at=after(days=1),
            notify=(target,),
        )  # fmt: skip
        await room.hear(room.change(case, event))
        room.clock.at += timedelta(seconds=1)
    return cases


async def test_a_digest_that_ends_at_night_tells_what_is_true_in_the_morning(
    room: Notifying,
) -> None:
    night = quiet_from(time(9, 10))
    cases = await held_by_night(room, night, night, night)
    async with room.sending():
        await room.settled("sent", "held", "held", "held")
        room.clock.at = after(minutes=16)
        await until(partial(window_ends, room, MORNING))
        await room.move_case(cases[-1], version=2, state="closed")
        room.clock.at = MORNING
        await until(partial(digests_sent, room, 1))
    assert sorted(await room.states()) == ["digested", "digested", "dropped", "sent", "sent"]


async def window_ends(room: Notifying, at: datetime) -> bool:
    return [tuple(row) for row in await room.rows("SELECT ends_at, open FROM digests")] == [
        (at, False)
    ]


async def digests_sent(room: Notifying, count: int) -> bool:
    found = [each.json() for each in room.endpoint.requests if each.json()["type"] == "digest"]
    return len(found) == count


async def test_a_digest_with_something_that_wakes_people_does_not_wait(room: Notifying) -> None:
    await held_by_night(room, quiet_from(time(9, 10)), None)
    async with room.sending():
        await room.settled("sent", "held", "held")
        room.clock.at = after(minutes=16)
        await until(partial(digests_sent, room, 1))


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
