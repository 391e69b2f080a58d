"""`GET /v1/events`: nothing is left out, nothing comes twice, and what is not kept is said."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.notifier import feed, subscriptions
from services.notifier.audience import Audience, sees
from services.notifier.handlers import Handlers
from shared import ledger
from shared.database import transaction
from shared.events import CaseForgotten, CasePriorityChanged, NoteAdded
from shared.security import ROLES, Caller
from tests.notifying import received
from tests.subscribing import LIVES, Subscribing, subscribing
from tests.waiting import until


@pytest.fixture
async def desk(database_url: str, tmp_path: Path) -> AsyncIterator[Subscribing]:
    async with subscribing(database_url, tmp_path) as desk:
        yield desk


def places(page: dict[str, Any]) -> list[tuple[str, int]]:
    return [(item["data"]["case_id"], item["data"]["seq"]) for item in page["items"]]


async def test_pages_follow_each_other_without_a_gap(desk: Subscribing) -> None:
    changes = await desk.happen(7)
    page = await desk.feed(limit=3)
    seen, cursors = places(page), [page["next_cursor"]]
    while page["items"]:
        page = await desk.feed(limit=3, after=page["next_cursor"])
        seen += places(page)
        cursors.append(page["next_cursor"])
    assert seen == [(str(c.case_id), c.seq) for c in changes]
    assert cursors == ["3", "6", "7", "7"]
    assert (await desk.feed(after="latest"))["next_cursor"] == "7"


async def test_an_event_read_twice_is_published_once(desk: Subscribing) -> None:
    (change,) = await desk.happen()
    await desk.room.hear(change, change)
    assert len(places(await desk.feed())) == 1
    (row,) = await desk.room.rows("SELECT next FROM feed_position")
    assert row.next == 2, "a repeat takes no place"


async def test_writers_at_once_leave_no_place_to_be_filled_later(desk: Subscribing) -> None:
    """A reader goes along while batches commit in whatever order: it sees every event once."""
    case = await desk.case()
    handlers, wanted = Handlers(desk.room.runtime.now), 12 * 5
    changes = [
        desk.room.change(case, CasePriorityChanged(priority="high", reason=""))
        for _ in range(wanted)
    ]
    gates = [asyncio.Event() for _ in range(12)]

    async def write(n: int) -> None:
        batch = [received(c, f"{c.case_id}:{c.seq}") for c in changes[n * 5 : n * 5 + 5]]
        async with transaction(desk.room.runtime.engine) as connection:
            if n % 3 == 0:
                await gates[n].wait()
            await handlers.on_case_events(connection, batch)

    async def read() -> list[tuple[str, int]]:
        seen: list[tuple[str, int]] = []
        after = "0"
        while len(seen) < wanted:
            page = await desk.feed(after=after, limit=7)
            seen, after = seen + places(page), page["next_cursor"]
            for gate in gates[: len(seen) // 3]:
                gate.set()
        return seen

    async with asyncio.timeout(20):
        reading = asyncio.create_task(read())
        await asyncio.gather(*map(write, range(12)))
        seen = await reading
    assert len(seen) == len(set(seen)) == wanted
    rows = await desk.room.rows("SELECT position FROM feed ORDER BY position")
    assert [row.position for row in rows] == list(range(1, wanted + 1))


async def test_a_place_taken_is_not_passed_before_it_is_committed(desk: Subscribing) -> None:
    case = await desk.case()
    first, second = (
        desk.room.change(case, CasePriorityChanged(priority="high", reason="")) for _ in range(2)
    )
    handlers = Handlers(desk.room.runtime.now)
    async with transaction(desk.room.runtime.engine) as connection:
        await handlers.on_case_events(connection, [received(first, "a:1")])
        later = asyncio.create_task(desk.room.hear(second))

        async def waits() -> bool:
            rows = await desk.room.rows("SELECT count(*) AS n FROM pg_locks WHERE NOT granted")
            return bool(rows[0].n)

        await until(waits)
        assert (await desk.feed())["next_cursor"] == "0"
    await later
    assert places(await desk.feed()) == [(str(case), 1), (str(case), 2)]


async def test_whoever_plans_for_long_holds_up_no_other_writer(desk: Subscribing) -> None:
    """The row that all writers wait for is taken last, after a delivery of each event to each
    subscription was planned."""
    made = await desk.subscribe()

    async def waits() -> bool:
        (row,) = await desk.room.rows(
            "SELECT count(*) AS n FROM pg_locks JOIN pg_database d ON d.oid = database "
            "WHERE datname = current_database() AND locktype = 'advisory' AND NOT granted"
        )
        return bool(row.n)

    async with transaction(desk.room.runtime.engine) as busy:
        await subscriptions.enable(busy, UUID(made["id"]))
        planning = asyncio.create_task(desk.happen())
        await until(waits)
        await desk.room.rows("SELECT next FROM feed_position FOR UPDATE NOWAIT")
    await planning
    assert len(places(await desk.feed())) == 1


async def test_types_narrow_it_and_the_cursor_still_moves(desk: Subscribing) -> None:
    case = await desk.case()
    await desk.happen(3)
    await desk.room.hear(desk.room.change(case, NoteAdded(note_id=uuid4(), author="jo", text="x")))
    page = await desk.feed(types="note.*")
    assert [item["type"] for item in page["items"]] == ["note.added"]
    assert "text" not in page["items"][0]["data"]
    assert page["next_cursor"] == "4"
    assert (await desk.feed(types="deadline.*"))["next_cursor"] == "4"
    problem = await desk.refused(422, "GET", "/events", params={"types": "note.add"})
    assert "'note.added'" in problem["detail"]


async def test_a_long_poll_answers_as_soon_as_there_is_something(desk: Subscribing) -> None:
    waiting = asyncio.create_task(desk.feed(after="latest", wait=30))
    await asyncio.wait({waiting}, timeout=0.2)
    assert not waiting.done()
    await desk.happen(2)
    async with asyncio.timeout(5):
        assert len(places(await waiting)) == 2


async def test_what_is_kept_no_longer_is_said_with_where_to_go_on(desk: Subscribing) -> None:
    await desk.happen(3)
    desk.room.clock.at += LIVES + timedelta(seconds=1)
    await desk.happen(2)
    await desk.tidied()
    problem = await desk.refused(410, "GET", "/events", params={"after": "1"})
    assert (problem["name"], problem["oldest"]) == ("events-gone", "3")
    assert "after=3" in problem["detail"]
    assert "/v1/cases/" in problem["detail"]
    assert len((await desk.feed(after="3"))["items"]) == 2
    assert len((await desk.feed())["items"]) == 2
    problem = await desk.refused(410, "GET", "/events", params={"after": "6"})
    assert problem["name"] == "events-ahead"
    await desk.refused(422, "GET", "/events", params={"after": "x"})
    await desk.refused(422, "GET", "/events", params={"after": "-1"})


async def test_of_the_erased_only_that_they_are_is_published(desk: Subscribing) -> None:
    case = await desk.case()
    note = desk.room.change(case, NoteAdded(note_id=uuid4(), author="jo", text="x"))
    gone = desk.room.change(case, CaseForgotten(reason="erasure"))
    async with transaction(desk.room.runtime.engine) as connection:
        await ledger.write(connection, uuid4(), {case.bytes: ledger.ALWAYS})
    await desk.room.hear(note, gone)
    assert [item["type"] for item in (await desk.feed())["items"]] == ["case.forgotten"]


async def test_a_narrow_reader_goes_through_a_long_feed_in_bounded_steps(
    desk: Subscribing,
) -> None:
    await desk.happen(2)
    await desk.room.run(
        "INSERT INTO feed (position, event_id, case_id, seq, version, type, at, fed_at, team, "
        "account, confidential, body) SELECT 2 + n, 'x:' || n, gen_random_uuid(), 1, 1, 'x.y', "
        "now(), now(), 't', '', false, '{}' FROM generate_series(1, :n) AS n",
        n=feed.SCANNED,
    )
    await desk.room.run("UPDATE feed_position SET next = next + :n", n=feed.SCANNED)
    await desk.happen()
    page = await desk.feed(after="2", types="case.*")
    assert (page["items"], page["next_cursor"]) == ([], str(2 + feed.SCANNED))
    assert len((await desk.feed(after=page["next_cursor"], types="case.*"))["items"]) == 1


async def test_the_database_judges_an_audience_as_the_code_does(desk: Subscribing) -> None:
    """Pages and plans are judged by SQL, streams by code: the two must never differ."""
    case = await desk.case()
    teams = [(team, secret) for team in ("parcels", "care") for secret in (False, True)]
    for account in ("desk-whatsapp", "service-portal"):
        await desk.room.move_case(case, account=account)
        for team, secret in teams:
            await desk.happen(case=case, team=team, confidential=secret)
    async with transaction(desk.room.runtime.engine) as connection:
        whole = await feed.read(connection, Audience(Caller("admin", "x")), 0, 99, 99)
        assert len(whole) == 8
        for role in ROLES:
            for named in ((), ("parcels",), ("care", "parcels")):
                for accounts in ((), ("service-portal",)):
                    who = Caller(role, "x", "", frozenset(named), frozenset(accounts))  # type: ignore[arg-type]
                    found = await feed.read(connection, Audience(who), 0, 99, 99)
                    assert found == [event for event in whole if sees(who, event)], who
