"""What a chat's page is shown as it happens, and what it tells besides words."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.ingest.chat_feed import Feed, Watcher
from services.ingest.chat_stream import Stream
from shared.api_keys import Grant
from shared.events import Attachment
from tests import servers
from tests.chatting import WIDE, Page, answer, change, chat_door, statuses, visit
from tests.doors import Door
from tests.waiting import until


@pytest.fixture(scope="module")
async def open_chat(
    postgres_url: str, _template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Door]:
    async with (
        servers.fresh_database(postgres_url, template=_template) as url,
        chat_door(url, tmp_path_factory.mktemp("chat"), WIDE) as door,
    ):
        yield door


@pytest.fixture
async def door(open_chat: Door) -> Door:
    """One that has accepted nothing yet."""
    await open_chat.clear("log_record", "chat_sessions, chat_lines")
    return open_chat


# --- the stream --------------------------------------------------------------------------------


async def test_a_page_is_shown_both_sides_as_they_come(door: Door) -> None:
    page = await visit(door.http)
    await page.say(1, "before")
    async with page.stream() as events, page.stream(after=1) as tab:
        await events.has("before")
        reply = await answer(door, page, "from the agent")
        await events.has("before", "from the agent", bound=1.0)
        await page.say(2, "from one tab")
        await tab.has("from the agent", "from one tab", bound=1.0)
        ids = [(id, data["n"], data["from"]) for name, id, data in events.told if name == "line"]
        assert ids[:2] == [("1", 1, "you"), ("2", 2, "agent")]
        assert str(reply) in [data.get("id") for _, _, data in events.told]


async def test_after_a_drop_it_goes_on_where_it_was(door: Door) -> None:
    page = await visit(door.http)
    for seq in range(1, 4):
        await page.say(seq, f"line {seq}")
    async with page.stream(last="2") as events:
        await events.has("line 3")
    async with page.stream(after=1, last="3") as events:
        await page.say(4, "line 4")
        await events.has("line 4")
    refused = await page.http.get(
        page.path("/events"), headers=page.headers | {"Last-Event-ID": "x"}
    )
    assert refused.status_code == 422


async def test_a_long_transcript_comes_whole_and_in_order(door: Door) -> None:
    page = await visit(door.http)
    for number in range(230):
        await answer(door, page, f"line {number}")
    async with page.stream() as events:
        await events.has(*(f"line {number}" for number in range(230)))
    first = (await page.get("/messages", limit=200)).json()
    assert (len(first["items"]), first["next_cursor"]) == (200, "200")
    rest = (await page.get("/messages", after=first["next_cursor"])).json()
    assert (len(rest["items"]), rest["next_cursor"]) == (30, None)


async def test_who_comes_while_others_are_looked_up_misses_nothing(door: Door) -> None:
    """Pages come one after the other while the loop is at work; and a tab beside another."""
    pages = [await visit(door.http) for _ in range(40)]
    for page in pages:
        await answer(door, page, "for you")
    feed = Feed(door.runtime.engine, door.runtime.now, poll=0.05)
    running, stopping = asyncio.create_task(feed.run()), asyncio.Event()
    watchers = [Watcher(p.session, "here", after) for after in (1, 0) for p in pages]
    try:
        async with contextlib.AsyncExitStack() as stack:
            for watcher in watchers:
                stack.enter_context(feed.watching(watcher, stopping))
                await door.rows("SELECT 1")

            async def told() -> bool:
                return all(_has(each, b"for you") for each in watchers[40:])

            await until(told, 5.0)
            assert not any(watcher.ended for watcher in watchers)
            assert not any(_has(each, b"for you") for each in watchers[:40])
    finally:
        running.cancel()


async def test_looking_alone_suffices(door: Door) -> None:
    """Without a single hint from the database."""
    page = await visit(door.http)
    feed = Feed(door.runtime.engine, door.runtime.now, hints=False, poll=0.05)
    running = asyncio.create_task(feed.run())
    watcher = Watcher(page.session, "here", 0)
    try:
        with feed.watching(watcher, asyncio.Event()):
            await answer(door, page, "from the agent")

            async def shown() -> bool:
                return _has(watcher, b"from the agent")

            await until(shown, 2.0)
            watcher.frames.clear()
            await answer(door, page, "another")

            async def again() -> bool:
                return _has(watcher, b"another")

            await until(again, 2.0)
    finally:
        running.cancel()
    assert feed.count(page.session) == 0
    assert feed.from_address("here") == 0


def _has(watcher: Watcher, words: bytes) -> bool:
    return any(words in frame for frame in watcher.frames)


async def test_the_stream_ends_with_the_session(door: Door) -> None:
    page = await visit(door.http)
    async with page.stream() as events, page.stream() as tab:
        await page.http.delete(page.path(), headers=page.headers)
        await events.ends()
        await tab.ends()
        assert len(events.named("end")) == len(tab.named("end")) == 1


async def test_the_stream_ends_when_the_session_is_erased(door: Door) -> None:
    page = await visit(door.http)
    async with page.stream() as events:
        await change(door.runtime, "DELETE FROM chat_sessions WHERE id = :id", id=page.session)
        await events.ends()
    assert (await page.get()).status_code == 401


async def test_the_stream_ends_when_the_process_stops(database_url: str, tmp_path: Path) -> None:
    async with chat_door(database_url, tmp_path) as door:
        page = await visit(door.http)
        async with page.stream() as events:
            door.stop.set()
            await events.ends()


async def test_a_session_has_so_many_streams_and_an_address_too(
    database_url: str, tmp_path: Path
) -> None:
    async with chat_door(database_url, tmp_path, "limits: {streams: 2}") as door:
        pages = [await visit(door.http) for _ in range(3)]
        async with pages[0].stream() as one, pages[1].stream():
            await pages[0].say(1, "x")
            await one.has("x")
            refused = await pages[2].get("/events")
            assert (refused.status_code, refused.headers["retry-after"]) == (429, "10")
        await until(lambda: _opens(pages[2]))


async def _opens(page: Page) -> bool:
    async with page.http.stream("GET", page.path("/events"), headers=page.headers) as answer:
        return answer.status_code == 200


# --- receipts, typing, and what the agent sees ----------------------------------------------------


async def test_receipts_go_to_the_router_once(door: Door) -> None:
    page = await visit(door.http)
    one, two = await answer(door, page, "one"), await answer(door, page, "two")
    await page.say(1, "mine")
    assert (await page.post("/delivered", {"upto": 1})).json() == {"delivered": 1, "read": 0}
    assert (await page.read(2)).json() == {"delivered": 2, "read": 2}
    for _ in range(2):
        assert (await page.read(1)).json() == {"delivered": 2, "read": 2}
    assert (await page.read(99)).json() == {"delivered": 3, "read": 3}
    assert await statuses(door) == sorted(
        [(str(one), "delivered"), (str(one), "read"), (str(two), "read")]
    )


async def test_another_tab_learns_what_was_read(door: Door) -> None:
    page = await visit(door.http)
    await answer(door, page, "one")
    async with page.stream() as tab:
        await tab.has("one")
        await page.read(1)
        await tab.hears("read", 2)
        assert tab.named("read") == [{"upto": 0}, {"upto": 1}]


async def test_the_agent_sees_whether_the_visitor_is_there(door: Door) -> None:
    headers = await door.key(Grant(role="agent", agent="jo"))
    page = await visit(door.http, name="Ada", email="ada@example.org")
    path = f"/v1/chat/chat/visitors/{page.session}"

    async def see() -> dict[str, Any]:
        seen: dict[str, Any] = (await door.http.get(path, headers=headers)).json()
        return seen

    seen = await see()
    assert (seen["here"], seen["typing"], seen["unread"], seen["mail"]) == (False, False, 0, True)
    await answer(door, page, "one")
    assert (await page.post("/typing")).status_code == 204
    async with page.stream() as events:

        async def here() -> bool:
            return bool((await see())["here"])

        await until(here)
        seen = await see()
        assert (seen["typing"], seen["unread"], seen["verified"]) == (True, 1, False)
        typed = await door.http.post(f"{path}/typing", headers=headers)
        assert typed.status_code == 204
        await events.hears("typing")
    await page.read(1)
    await page.http.delete(page.path(), headers=page.headers)
    seen = await see()
    assert (seen["here"], seen["unread"], seen["ended_at"] is None) == (False, 0, False)


async def test_no_visitor_sees_what_agents_see(door: Door) -> None:
    page = await visit(door.http)
    path = f"/v1/chat/chat/visitors/{page.session}"
    assert (await door.http.get(path, headers=page.headers)).status_code == 401
    key = await door.key(Grant(role="agent", agent="jo"))
    other = f"/v1/chat/other/visitors/{page.session}"
    assert (await door.http.get(other, headers=key)).status_code == 404
    assert (await door.http.post(f"{other}/typing", headers=key)).status_code == 404


async def test_an_agents_file_reaches_the_visitor(door: Door) -> None:
    from shared.blobs import blob_for

    page, blob = await visit(door.http), blob_for(b"a label")
    await door.runtime.blobs.put([(blob.ref, b"a label")])
    label = Attachment(name="label.pdf", content_type="application/pdf", size=7, blob=blob)
    id = await answer(door, page, "Here it is", files=(label,))
    assert (await page.get(f"/messages/{id}/files/1")).content == b"a label"


async def test_a_mail_address_left_later_counts_for_what_is_unread(door: Door) -> None:
    page = await visit(door.http)
    await answer(door, page, "read"), await answer(door, page, "unread")
    await page.read(1)
    left = await page.http.patch(
        page.path(), json={"email": "Ada@Example.org"}, headers=page.headers
    )
    assert left.json()["email"] == "ada@example.org"
    rows = await door.rows("SELECT text, follow_up_at - at AS after FROM chat_lines ORDER BY n")
    assert rows[0].after is None
    assert timedelta(minutes=5) <= rows[1].after < timedelta(minutes=6)
    wrong = await page.http.patch(page.path(), json={"email": "nobody"}, headers=page.headers)
    assert wrong.status_code == 422


async def test_a_page_that_takes_nothing_is_given_up(door: Door) -> None:
    page = await visit(door.http)
    feed, stuck = Feed(door.runtime.engine, door.runtime.now), asyncio.Event()
    watcher = Watcher(page.session, "here", 0)
    watcher.give(b"data: 1\n\n")

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def send(part: Any) -> None:
        if b"data" in part.get("body", b""):
            stuck.set()
            await asyncio.Event().wait()

    stream = Stream(feed, watcher, asyncio.Event(), stall=0.05)
    async with asyncio.timeout(5):
        await stream({"type": "http"}, receive, send)
    assert stuck.is_set()
    assert feed.count(page.session) == 0


async def test_a_stream_lives_so_long_and_keeps_its_number(door: Door) -> None:
    page = await visit(door.http)
    feed = Feed(door.runtime.engine, door.runtime.now)
    parts: list[Any] = []

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def send(part: Any) -> None:
        parts.append(part)

    stream = Stream(feed, Watcher(page.session, "here", 0), asyncio.Event(), life=0.05)
    async with asyncio.timeout(5):
        await stream({"type": "http"}, receive, send)
    assert [part.get("body") for part in parts[1:]] == [b"retry: 2000\n\n", b": \n\n", b""]
    headers = dict(parts[0]["headers"])
    assert headers[b"content-type"] == b"text/event-stream; charset=utf-8"
    assert headers[b"x-accel-buffering"] == b"no"
    assert b"content-length" not in headers
    assert not parts[-1]["more_body"]


async def test_a_client_that_goes_away_is_forgotten(door: Door) -> None:
    page = await visit(door.http)
    async with httpx.AsyncClient(base_url=door.http.base_url) as gone:
        page.http = gone
        async with page.stream() as events:
            await answer(door, page, "one")
            await events.has("one")
    page.http = door.http
    streams = [page.stream() for _ in range(8)]
    for each in streams:
        events = await each.__aenter__()
        await events.has("one")
        await each.__aexit__(None, None, None)
