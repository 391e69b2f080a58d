"""What `/metrics` says of readiness, statuses, timers and chats: what the alert rules stand on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.ingest import service as ingest
from services.ingest.chat_feed import Feed, Watcher
from shared import positions
from shared.api_keys import Grant
from shared.broker import Range, TopicPartition
from shared.consuming import POISON
from shared.database import transaction
from shared.ids import new_id
from shared.runtime import Runtime, Service, Subscription
from shared.topics import MESSAGES_RECEIVED
from tests.doors import Door, Line, make_runtime, open_door
from tests.waiting import until

GROUP = "test.gauges"
FIRST = TopicPartition(MESSAGES_RECEIVED, 0)


async def nothing(_connection: AsyncConnection, _items: Sequence[Any]) -> None:
    return


def rooms(runtime: Runtime) -> list[Service]:
    reader = Subscription(GROUP, (MESSAGES_RECEIVED,), nothing)
    return [replace(ingest(runtime), tasks={}), Service("reader", subscriptions=(reader,))]


@pytest.fixture
async def door(database_url: str, tmp_path: Path) -> AsyncIterator[Door]:
    runtime = make_runtime(database_url, tmp_path)
    async with open_door(runtime, rooms(runtime)) as door:
        yield door


async def gauges(door: Door, name: str, **labels: str) -> dict[tuple[str, ...], float]:
    """The values of one gauge, by its other labels in order of name, where these fit."""
    scraped = (await door.http.get("/metrics")).text
    return {
        tuple(value for label, value in sample.labels.items() if label not in labels): sample.value
        for family in text_string_to_metric_families(scraped)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    }


async def once(door: Door, name: str, wanted: dict[tuple[str, ...], float], **labels: str) -> None:
    """Scrapes are answered from memory for 5 s, so this waits for the one that is new."""

    async def there() -> bool:
        return await gauges(door, name, **labels) == wanted

    await until(there)


async def test_a_room_is_ready_and_each_thing_that_hinders_it_has_a_name(
    database_url: str, tmp_path: Path
) -> None:
    folder = tmp_path / "line"
    folder.mkdir()
    line = Line(database_url, folder)
    await line.mend()
    runtime = make_runtime(line.url, tmp_path)
    async with open_door(runtime, rooms(runtime)) as door:
        await once(door, "regie_ready", {("ingest",): 1, ("reader",): 1})
        assert await gauges(door, "regie_unready") == {}
        await line.cut()
        await once(door, "regie_ready", {("ingest",): 0, ("reader",): 0})
        assert ("database",) in await gauges(door, "regie_unready", room="reader")
        assert await gauges(door, "regie_measured") == {(): 0}
        await line.mend()
        await once(door, "regie_ready", {("ingest",): 1, ("reader",): 1})
        assert await gauges(door, "regie_unready") == {}


async def test_an_outage_is_told_to_those_who_scraped_before_it(
    database_url: str, tmp_path: Path
) -> None:
    folder = tmp_path / "line"
    folder.mkdir()
    line = Line(database_url, folder)
    await line.mend()
    runtime = make_runtime(line.url, tmp_path)
    async with open_door(runtime, rooms(runtime)) as door:
        proxied = {"Via": "1.1 prometheus"}
        grants = (Grant("operator"), Grant("operator"), Grant("agent", agent="jo"))
        known, fresh, agent = [proxied | await door.key(grant) for grant in grants]
        assert (await door.http.get("/metrics", headers=known)).status_code == 200
        assert (await door.http.get("/metrics", headers=agent)).status_code == 403
        await line.cut()

        async def told() -> bool:
            scraped = await door.http.get("/metrics", headers=known)
            assert scraped.status_code == 200
            return 'regie_unready{room="reader",what="database"} 1.0' in scraped.text

        await until(told)
        assert (await door.http.get("/metrics", headers=fresh)).status_code == 503
        assert (await door.http.get("/metrics", headers=agent)).status_code == 403
        await line.mend()


async def test_a_database_that_hangs_does_not_hold_up_a_scrape(
    database_url: str, tmp_path: Path
) -> None:
    folder = tmp_path / "line"
    folder.mkdir()
    line = Line(database_url, folder)
    await line.mend()
    runtime = make_runtime(line.url, tmp_path)
    async with open_door(runtime, rooms(runtime)) as door:
        key = {"Via": "1.1 prometheus"} | await door.key(Grant("operator"))
        assert (await door.http.get("/metrics", headers=key)).status_code == 200
        line.freeze()

        async def told() -> bool:
            # Prometheus breaks off after ten seconds, unless it is told otherwise.
            async with asyncio.timeout(9):
                text = (await door.http.get("/metrics", headers=key)).text
            return (
                "regie_measured 0.0" in text
                and 'regie_unready{room="reader",what="database"} 1.0' in text
            )

        await until(told)
        line.thaw()
        await once(door, "regie_measured", {(): 1})


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        (f"{POISON}: 20 in a row", "dead_letters"),
        ("the position 7 is below the log's first kept offset 9", "position"),
    ],
)
async def test_a_stopped_group_says_what_stopped_it(door: Door, reason: str, cause: str) -> None:
    async with transaction(door.runtime.engine) as connection:
        cluster = door.runtime.broker.cluster
        await positions.claim(connection, "test.other", cluster, "elsewhere", {FIRST: Range(0, 0)})
        await positions.stop(connection, "test.other", cluster, {FIRST: reason})
    here = {"topic": MESSAGES_RECEIVED, "partition": "0"}
    gauge = "regie_consumer_status"
    await once(door, gauge, {(cause, "STOP"): 1}, group="test.other", **here)
    assert await gauges(door, gauge, group=GROUP, **here) == {("", "OK"): 1}


async def test_a_timer_that_is_due_and_does_not_fire_grows_old(door: Door) -> None:
    await once(door, "regie_timer_oldest_age_seconds", {(): 0})
    async with transaction(door.runtime.engine) as connection:
        for late in (timedelta(minutes=10), timedelta(minutes=-10)):
            row = {"id": new_id(), "at": door.runtime.now() - late}
            await connection.execute(text("INSERT INTO timers VALUES (:id, :at)"), row)

    async def old() -> bool:
        [age] = (await gauges(door, "regie_timer_oldest_age_seconds")).values()
        return 600 <= age < 660

    await until(old)


async def test_open_chats_are_counted_while_they_are_open(door: Door) -> None:
    feed = Feed(door.runtime.engine, door.runtime.now)
    before = (await gauges(door, "regie_chat_streams"))[()]
    with feed.watching(Watcher(new_id(), "192.0.2.1", 0), asyncio.Event()):
        assert await gauges(door, "regie_chat_streams") == {(): before + 1}
    assert await gauges(door, "regie_chat_streams") == {(): before}
