"""Nobody gets a hundred pings: digests on a real PostgreSQL and a real endpoint."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from sqlalchemy import text

from services.notifier.digests import Digests
from shared.database import transaction
from shared.events import CaseChanged, DeadlineBreached, DeadlineWarned, Digest, Target
from tests.builders import NOON, after
from tests.fakes.endpoint import status
from tests.notifying import Notifying, notifying
from tests.waiting import until

QUARTER = timedelta(minutes=15)
DESK = "/desk"


@pytest.fixture
async def room(database_url: str, tmp_path: Path) -> AsyncIterator[Notifying]:
    async with notifying(database_url, tmp_path) as room:
        yield room


def desk(room: Notifying, over: int | None = 5, path: str = DESK) -> Target:
    digest = None if over is None else Digest(over=over, every=QUARTER)
    return Target(kind="webhook", address=f"{room.endpoint.url}{path}", digest=digest)


def warned(room: Notifying, case: UUID, target: Target, minutes: int = 60) -> CaseChanged:
    due = after(minutes=minutes)
    event = DeadlineWarned(
        number=1, metric="first_response", step=1, due_at=due, expires_at=due, notify=(target,)
    )
    return room.change(case, event)


def bodies(room: Notifying, path: str = DESK) -> list[Any]:
    return [request.json() for request in room.endpoint.at(path)]


def digest_of(room: Notifying) -> Any:
    (found,) = [body for body in bodies(room) if body["type"] == "digest"]
    return found["data"]


async def all_in(room: Notifying, **states: int) -> None:
    """Waits until the deliveries are so many in each state, and no others."""

    async def there() -> bool:
        return Counter(await room.states()) == Counter(states)

    try:
        await until(there)
    except TimeoutError:
        raise AssertionError(f"wanted {states}, found {Counter(await room.states())}") from None


async def test_five_come_alone_and_the_rest_at_the_end_as_one(room: Notifying) -> None:
    cases = await room.open_cases(12)
    await room.hear(*(warned(room, case, desk(room), 60 + n) for n, case in enumerate(cases)))
    async with room.sending():
        await all_in(room, sent=5, held=7)
        room.clock.at += QUARTER
        await all_in(room, sent=6, digested=7)
    data = digest_of(room)
    alone = {body["data"]["case_id"] for body in bodies(room) if body["type"] != "digest"}
    told = {line["case_id"] for line in data["items"]}
    assert (len(alone), len(told), data["count"], data["more"]) == (5, 7, 7, 0)
    assert alone | told == {str(case) for case in cases}
    assert data["items"] == sorted(data["items"], key=lambda line: line["due_at"])
    assert data["teams"] == {"parcels": 7}
    assert data["summary"] == "7 notices: 7 due soon"
    assert await room.rows("SELECT id FROM digests WHERE NOT open") == []


async def test_what_is_not_true_any_more_is_left_out(room: Notifying) -> None:
    answered, closed, expired, one, two = cases = await room.open_cases(5)
    target = desk(room, over=0)
    await room.hear(*(warned(room, case, target, 10 if case == expired else 60) for case in cases))
    async with room.sending():
        await all_in(room, held=5)
        await room.move_case(answered, version=2, answered_at=after(minutes=1))
        await room.move_case(closed, version=2, state="closed")
        room.clock.at += QUARTER
        await all_in(room, sent=1, digested=2, dropped=3)
    assert {line["case_id"] for line in digest_of(room)["items"]} == {str(one), str(two)}


async def test_one_that_is_left_goes_as_itself_and_none_says_nothing(room: Notifying) -> None:
    gone, kept = await room.open_cases(2)
    await room.hear(warned(room, gone, desk(room, 0)), warned(room, kept, desk(room, 0)))
    async with room.sending():
        await all_in(room, held=2)
        await room.move_case(gone, version=2, state="closed")
        room.clock.at += QUARTER
        await all_in(room, sent=1, dropped=1)
        (body,) = bodies(room)
        assert (body["type"], body["data"]["case_id"]) == ("deadline.warned", str(kept))
        await room.move_case(kept, version=2, state="closed")
        await room.hear(warned(room, await room.open_case(), desk(room, 0)))
        await all_in(room, sent=1, dropped=1, held=1)
        await room.run("UPDATE cases SET version = 2, state = 'closed'")
        room.clock.at += QUARTER
        await all_in(room, sent=1, dropped=2)
    assert len(bodies(room)) == 1


async def test_what_is_urgent_or_to_be_answered_never_waits(room: Notifying) -> None:
    cases = await room.open_cases(8)
    await room.hear(*(warned(room, case, desk(room, 1)) for case in cases[:4]))
    async with room.sending():
        await all_in(room, sent=1, held=3)
        await room.hear(*(warned(room, case, desk(room, None)) for case in cases[4:]))
        await all_in(room, sent=5, held=3)


async def test_every_target_has_a_window_of_its_own_and_the_next_begins_anew(
    room: Notifying,
) -> None:
    cases = await room.open_cases(4)
    for path in (DESK, "/other"):
        await room.hear(*(warned(room, case, desk(room, 2, path)) for case in cases))
    async with room.sending():
        await all_in(room, sent=4, held=4)
        room.clock.at += QUARTER
        await all_in(room, sent=6, digested=4)
        await room.hear(*(warned(room, case, desk(room, 2)) for case in cases))
        await all_in(room, sent=8, digested=4, held=2)


async def test_what_came_overdue_is_told_together_however_little(room: Notifying) -> None:
    cases = await room.open_cases(3)
    late = [
        room.change(
            case,
            DeadlineBreached(
                number=1, metric="first_response", due_at=NOON - timedelta(days=n),
                arrived_late=True, notify=(desk(room, 0),),
            ),
        )
        for n, case in enumerate(cases, 1)
    ]  # fmt: skip
    await room.hear(*late)
    async with room.sending():
        await all_in(room, held=3)
        room.clock.at += QUARTER
        await all_in(room, sent=1, digested=3)
    data = digest_of(room)
    assert (data["arrived_late"], data["kinds"]) == (3, {"deadline.breached": 3})
    assert [line["case_id"] for line in data["items"]] == [str(case) for case in reversed(cases)]


async def test_the_night_is_told_of_in_five_and_one(room: Notifying) -> None:
    """Quiet hours end for all at once: the window begins then."""
    morning = after(hours=9)
    target = Target(
        kind="webhook", address=f"{room.endpoint.url}{DESK}", not_before=morning,
        digest=Digest(over=5, every=QUARTER),
    )  # fmt: skip
    cases = await room.open_cases(30)
    await room.hear(*(warned(room, case, target, 20 * 60) for case in cases))
    async with room.sending():
        await all_in(room, pending=30)
        room.clock.at = morning
        await all_in(room, sent=5, held=25)
        room.clock.at = morning + QUARTER
        await all_in(room, sent=6, digested=25)
    assert digest_of(room)["more"] == 5


async def test_what_may_wait_a_quarter_of_an_hour_waits_in_no_window_of_hours(
    room: Notifying,
) -> None:
    slow, quick = (
        msgspec.structs.replace(desk(room), digest=Digest(over=1, every=every))
        for every in (timedelta(hours=4), QUARTER)
    )
    cases = await room.open_cases(3)
    async with room.sending():
        for case, target in zip(cases, (slow, slow, quick), strict=True):
            await room.hear(warned(room, case, target))
        await all_in(room, sent=1, held=2)
        room.clock.at = after(minutes=15)
        await all_in(room, sent=2, digested=2)


async def test_a_digest_that_fails_is_tried_again_with_the_same_words(room: Notifying) -> None:
    cases = await room.open_cases(2)
    await room.hear(*(warned(room, case, desk(room, 0)) for case in cases))
    room.endpoint.script(DESK, status(503))
    async with room.sending():
        await all_in(room, held=2)
        room.clock.at += QUARTER
        await until(partial(tried_once, room))
        room.clock.at += timedelta(seconds=5)
        await all_in(room, sent=1, digested=2)
    first, second = room.endpoint.at(DESK)
    assert (first.id, first.body) == (second.id, second.body)


async def test_after_an_outage_pings_are_bounded_and_new_ones_do_not_starve(
    room: Notifying,
) -> None:
    """Four thousand overdue for each of two targets, and one new notice for a third."""
    cases = await room.open_cases(4_000)
    both = (desk(room, 5), desk(room, 5, "/supervisors"))
    for start in range(0, len(cases), 500):
        await room.hear(*(overdue(room, case, both) for case in cases[start : start + 500]))
    async with room.sending(count=2):
        fresh = desk(room, 5, "/fresh")
        await room.hear(warned(room, await room.open_case(), fresh))
        await room.endpoint.received(1, "/fresh")
        waiting = Counter(await room.states())
        assert waiting["sent"] < 20
        await all_in(room, sent=11, held=7_990)
        room.clock.at += QUARTER
        await room.endpoint.received(6, DESK)
        await room.endpoint.received(6, "/supervisors")
        await all_in(room, sent=13, digested=7_990)
    assert digest_of(room)["count"] == 3_995
    assert digest_of(room)["summary"].endswith("the 20 most urgent, and 3975 more")


def overdue(room: Notifying, case: UUID, targets: Sequence[Target]) -> CaseChanged:
    event = DeadlineBreached(
        number=1, metric="resolution", due_at=NOON - timedelta(hours=1), notify=tuple(targets)
    )
    return room.change(case, event)


async def test_a_notice_is_told_once_though_digests_die_and_compete(room: Notifying) -> None:
    """Several at work, stopped anywhere and started again: alone or in a digest, never both."""
    cases = await room.open_cases(1_700)
    for start in range(0, len(cases), 500):
        await room.hear(
            *(overdue(room, case, (desk(room),)) for case in cases[start : start + 500])
        )
    async with room.sending(count=3):
        await all_in(room, sent=5, held=1_695)
    room.clock.at += QUARTER
    for left in (1_600, 1_100, 600, 100):  # each time they die somewhere in their work
        work = [asyncio.create_task(Digests(room.runtime).run()) for _ in range(3)]
        await until(partial(held_at_most, room, left))
        for task in work:
            task.cancel()
        await asyncio.wait(work)
    async with room.sending(count=2):
        await all_in(room, sent=6, digested=1_695)
    assert digest_of(room)["count"] == 1_695
    (row,) = await room.rows(
        "SELECT count(DISTINCT digest_id) AS digests FROM deliveries WHERE state = 'digested'"
    )
    assert row.digests == 1


async def test_a_digest_that_somebody_has_in_hand_is_left_to_them(room: Notifying) -> None:
    cases = await room.open_cases(3)
    await room.hear(*(overdue(room, case, (desk(room, 0),)) for case in cases))
    async with room.sending():
        await all_in(room, held=3)
    room.clock.at += QUARTER
    await room.run("UPDATE digests SET open = false")
    digests = Digests(room.runtime)
    async with transaction(room.runtime.engine) as connection:
        await connection.execute(text("SELECT id FROM digests FOR UPDATE"))
        async with asyncio.timeout(5):
            assert await digests.gather(room.clock()) is False
    assert await digests.gather(room.clock()) is True
    assert Counter(await room.states()) == {"digested": 3, "pending": 1}


async def held_at_most(room: Notifying, most: int) -> bool:
    return (await room.states()).count("held") <= most


async def tried_once(room: Notifying) -> bool:
    rows = await room.rows("SELECT attempts, state FROM deliveries WHERE effect = 'digest'")
    return [tuple(row) for row in rows] == [(1, "pending")]
