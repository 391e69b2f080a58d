"""`GET /v1/stream` over a real socket: as it happens, on from where one was, and never more than
one key may see."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from services.notifier.audience import Audience
from services.notifier.service import service
from services.notifier.stream import Stream
from services.notifier.watch import Watch
from shared.api_keys import Grant
from shared.database import transaction
from shared.errors import Unauthenticated
from shared.events import CasePriorityChanged, Target
from shared.security import Caller
from tests.doors import Door, make_runtime, open_door
from tests.notifying import Notifying
from tests.rooms import SetClock
from tests.subscribing import replace_struct
from tests.waiting import BOUND, until

ALL = Audience(Caller("admin", "admin"))
NOBODY = Target(kind="webhook", address="https://hooks.example.org/")


@dataclass
class Town:
    door: Door
    room: Notifying

    async def happen(self, count: int = 1, **given: Any) -> None:
        case = await self.room.open_case()
        change = CasePriorityChanged(priority="high", reason="r")
        await self.room.hear(
            *(replace_struct(self.room.change(case, change), **given) for _ in range(count))
        )

    @asynccontextmanager
    async def stream(
        self, headers: dict[str, str] | None = None, **params: str
    ) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
        path = "/v1/stream"
        given = {**self.door.headers, **(headers or {})}
        async with self.door.http.stream("GET", path, headers=given, params=params) as answer:
            assert answer.status_code == 200, await answer.aread()
            assert answer.headers["content-type"].startswith("text/event-stream")
            yield frames(answer)


async def frames(answer: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    """Each block of the stream; those that are events have `data`."""
    block: dict[str, Any] = {}
    async for line in answer.aiter_lines():
        if line:
            name, _, value = line.partition(": ")
            block[name] = json.loads(value) if name == "data" else value
        elif block:
            yield block
            block = {}


async def events(stream: AsyncIterator[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(BOUND):
        async for each in stream:
            if "data" in each:
                found.append(each)
            if len(found) == count:
                return found
    raise AssertionError(f"the stream ended after {len(found)} events")


async def mark(stream: AsyncIterator[dict[str, Any]]) -> str:
    """The place at which the stream began."""
    async with asyncio.timeout(BOUND):
        async for each in stream:
            if "id" in each and "data" not in each:
                return str(each["id"])
    raise AssertionError("the stream ended")


@pytest.fixture
async def town(database_url: str, tmp_path: Path) -> AsyncIterator[Town]:
    runtime = make_runtime(database_url, tmp_path)
    async with open_door(runtime, [service(runtime)]) as door:
        yield Town(door, Notifying(runtime, SetClock(runtime.now()), None))  # type: ignore[arg-type]


async def test_events_come_as_they_happen_and_a_reader_resumes(town: Town) -> None:
    await town.happen(2)
    async with town.stream() as stream:
        assert await mark(stream) == "2"  # what was before is not told
        await town.happen(3)
        first = await events(stream, 2)
    assert [each["id"] for each in first] == ["3", "4"]
    assert first[0]["data"]["type"] == "case.priority_changed"
    await town.happen(1)
    async with town.stream({"Last-Event-ID": "4"}) as stream:
        assert [each["id"] for each in await events(stream, 2)] == ["5", "6"]
    async with town.stream(after="0") as stream:
        assert [each["id"] for each in await events(stream, 6)] == list("123456")


async def test_each_reader_gets_what_its_key_and_types_let_it(town: Town) -> None:
    parcels = await town.door.key(Grant("integrator", teams=["parcels"]))
    async with (
        town.stream(parcels) as theirs,
        town.stream(types="deadline.*") as narrow,
        town.stream() as everything,
    ):
        for stream in (theirs, narrow, everything):
            await mark(stream)
        await town.happen(team="claims")
        await town.happen(team="parcels", confidential=True)
        await town.happen(team="care", confidential=True)
        case = await town.room.open_case()
        await town.room.hear(town.room.warning(case, NOBODY))
        assert [e["id"] for e in await events(everything, 4)] == ["1", "2", "3", "4"]
        assert [e["id"] for e in await events(theirs, 2)] == ["2", "4"]
        assert [e["id"] for e in await events(narrow, 1)] == ["4"]


async def test_many_readers_are_told_by_one_look(town: Town) -> None:
    watch = Watch(town.door.runtime.engine, poll=0.01)
    task = asyncio.create_task(watch.run())
    got: list[int] = []

    async def read() -> None:
        with watch.streaming():
            assert await watch.beyond(2, BOUND, lambda: False)
            found, position = await watch.after(2, ALL, 10)
            got.append(len(found))
            assert position == 4

    try:
        await town.happen(2)
        with watch.streaming():
            assert await watch.beyond(-1, BOUND, lambda: False)
            readers = [asyncio.create_task(read()) for _ in range(50)]

            async def there() -> bool:
                return watch.streams == 51

            await until(there)
            await town.happen(2)
            async with asyncio.timeout(BOUND):
                await asyncio.gather(*readers)
        assert got == [2] * 50
    finally:
        task.cancel()


async def test_a_reader_that_takes_nothing_is_left(town: Town) -> None:
    await town.happen(5)
    watch, given = Watch(town.door.runtime.engine, poll=0.01), []
    task = asyncio.create_task(watch.run())

    async def stuck(message: Any) -> None:
        given.append(message)
        if b"data:" in message.get("body", b""):
            await asyncio.Event().wait()

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def may() -> None:
        return None

    stream = Stream(watch, ALL, 0, may, asyncio.Event(), heartbeat=0.1, patience=0.2)
    try:
        async with asyncio.timeout(BOUND):
            await stream({"type": "http"}, receive, stuck)
    finally:
        task.cancel()
    assert watch.streams == 0


async def test_a_revoked_key_loses_its_stream_at_the_next_heartbeat(town: Town) -> None:
    watch, sent, alive = Watch(town.door.runtime.engine, poll=0.01), [], 2
    task = asyncio.create_task(watch.run())

    async def take(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def may() -> None:
        nonlocal alive
        alive -= 1
        if alive < 0:
            raise Unauthenticated("revoked")

    stream = Stream(watch, ALL, 0, may, asyncio.Event(), heartbeat=0.05)
    try:
        async with asyncio.timeout(BOUND):
            await stream({"type": "http"}, receive, take)
    finally:
        task.cancel()
    marks = [m for m in sent if m.get("body", b"").endswith(b"id: 0\n\n")]
    assert len(marks) == 3  # the opening one, and two heartbeats
    assert sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}


async def test_a_place_that_is_not_kept_is_a_problem_and_no_stream(town: Town) -> None:
    async with transaction(town.door.runtime.engine) as connection:
        await connection.execute(text("UPDATE feed_position SET start = 10, next = 20"))
    for headers, name in (({"Last-Event-ID": "3"}, "events-gone"),
                          ({"Last-Event-ID": "30"}, "events-ahead")):  # fmt: skip
        answer = await town.door.http.get("/v1/stream", headers={**town.door.headers, **headers})
        assert (answer.status_code, answer.json()["name"]) == (410, name)
    answer = await town.door.http.get("/v1/stream", headers=await town.door.key(Grant("operator")))
    assert answer.status_code == 403


async def test_streams_end_when_the_process_is_told_to_stop(town: Town) -> None:
    async with town.stream() as stream:
        await mark(stream)
        town.door.stop.set()

        async with asyncio.timeout(BOUND):
            assert [each async for each in stream if "data" in each] == []
