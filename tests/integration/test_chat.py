"""A web chat's doors on a real log: who may speak, what is durable, what a page is shown."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import msgspec
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from services.ingest.chat_feed import Feed, Watcher
from shared import chat
from shared.api_keys import Grant
from shared.database import transaction
from shared.events import Attachment, DeliveryStatusReceived, MessageReceived
from shared.topics import DELIVERIES_REPORTED, MESSAGES_RECEIVED
from tests import servers
from tests.builders import NOON
from tests.chatting import ORIGIN, SECRET, Page, change, chat_door, visit
from tests.doors import Door, Line
from tests.rooms import SetClock
from tests.waiting import until

START = "/v1/chat/chat/sessions"
BROWSER = {"Origin": ORIGIN}


@pytest.fixture(scope="module")
async def open_chat(
    postgres_url: str, _template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Door]:
    async with (
        servers.fresh_database(postgres_url, template=_template) as url,
        chat_door(url, tmp_path_factory.mktemp("chat"), MORE) as door,
    ):
        yield door


MORE = """follow_up_from: support-mail
    max_text: 100
    max_size: 300KB
    limits: {session: 100/1m, address: 5000/1m, sessions: 500/1m}
"""


@pytest.fixture
async def door(open_chat: Door) -> Door:
    """One that has accepted nothing yet."""
    await open_chat.clear("log_record", "chat_sessions, chat_lines")
    return open_chat


async def heard(door: Door) -> list[MessageReceived]:
    rows = await door.records(MESSAGES_RECEIVED)
    return [msgspec.json.decode(row.value, type=MessageReceived) for row in rows]


async def statuses(door: Door) -> list[tuple[str, str]]:
    rows = await door.records(DELIVERIES_REPORTED)
    told = [msgspec.json.decode(row.value, type=DeliveryStatusReceived) for row in rows]
    return sorted((each.correlation, each.status) for each in told)


async def answer(door: Door, page: Page, words: str, **given: Any) -> UUID:
    """What the notifier writes when an agent answers; the message's id."""
    said = chat.Answer(given.pop("id", uuid4()), page.session, uuid4(), words, **given)
    async with transaction(door.runtime.engine) as connection:
        await chat.reader(connection, page.session, door.runtime.now())
        await chat.say(connection, said, door.runtime.now(), None)
    return said.message_id


def signed(secret: str = SECRET, **claims: Any) -> str:
    import time

    said = {"sub": "1001", "exp": int(time.time()) + 600} | claims
    return jwt.encode({"alg": "HS256"}, said, OctKey.import_key(secret))


# --- who may speak ---------------------------------------------------------------------------


async def test_a_browser_may_ask_from_a_listed_page(door: Door) -> None:
    asked = BROWSER | {"Access-Control-Request-Method": "POST"}
    answer = await door.http.options(f"{START}/x/messages", headers=asked)
    assert answer.status_code == 204
    allowed = {name: value for name, value in answer.headers.items() if "allow" in name}
    assert allowed == {
        "access-control-allow-origin": ORIGIN,
        "access-control-allow-methods": "GET, POST, PATCH, DELETE",
        "access-control-allow-headers": "authorization, content-type, last-event-id",
    }
    assert answer.headers["vary"] == "Origin"


@pytest.mark.parametrize(
    ("headers", "name"),
    [
        ({"Origin": "https://evil.example"}, "origin-not-listed"),
        ({"Origin": "null"}, "origin-not-listed"),
        ({"Origin": "https://shop.example.evil.example"}, "origin-not-listed"),
        ({"Sec-Fetch-Site": "cross-site"}, "origin-missing"),
        ({"Sec-Fetch-Site": "same-origin"}, "origin-missing"),
    ],
)
async def test_no_other_page_gets_in(door: Door, headers: dict[str, str], name: str) -> None:
    for answer in (
        await door.http.post(START, json={}, headers=headers),
        await door.http.options(START, headers=headers),
    ):
        assert (answer.status_code, answer.json()["name"]) == (403, name)
        assert "access-control-allow-origin" not in answer.headers
    assert await door.rows("SELECT 1 FROM chat_sessions") == []


async def test_what_is_no_browser_gets_in_with_its_token(door: Door) -> None:
    assert (await door.http.post(START)).status_code == 201


async def test_a_page_can_read_its_refusals(door: Door) -> None:
    page = await visit(door.http)
    refused = await page.say(0, "seq starts at 1")
    assert refused.status_code == 422
    assert refused.headers["access-control-allow-origin"] == ORIGIN
    page.token = "chat_wrong"
    refused = await page.say(1, "x")
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, ORIGIN)


async def test_only_accounts_with_origins_take_chats(door: Door) -> None:
    for account in ("quiet", "support-mail", "nobody"):
        refused = await door.http.post(f"/v1/chat/{account}/sessions", headers=BROWSER)
        assert (refused.status_code, refused.json()["name"]) == (404, "unknown-account")


async def test_a_token_is_for_its_own_session_and_account(door: Door) -> None:
    one, two = await visit(door.http), await visit(door.http)
    assert (await one.get()).json()["session"] == str(one.session)
    for session, token, account, origin in (
        (one.session, two.token, "chat", ORIGIN),
        (uuid4(), one.token, "chat", ORIGIN),
        (one.session, one.token, "other", "https://other.example"),
        (one.session, "x", "chat", ORIGIN),
    ):
        stranger = Page(door.http, session, token, origin, account)
        for reached in (
            await stranger.get(), await stranger.get("/messages"), await stranger.get("/events"),
            await stranger.say(1, "x"), await stranger.read(1), await stranger.post("/typing"),
        ):  # fmt: skip
            assert reached.status_code == 401
    assert await heard(door) == []
    stored = await door.rows("SELECT token::text FROM chat_sessions")
    assert not any(one.token in row[0] for row in stored)


async def test_whoever_left_starts_anew(door: Door) -> None:
    page = await visit(door.http)
    assert (await page.http.delete(page.path(), headers=page.headers)).status_code == 204
    refused = await page.say(1, "x")
    assert (refused.status_code, refused.json()["name"]) == (401, "session-over")


async def test_a_session_lasts_so_long_after_the_last_word(
    database_url: str, tmp_path: Path
) -> None:
    clock = SetClock()
    async with chat_door(database_url, tmp_path, "session_lifetime: 2h", clock) as door:
        page = await visit(door.http)
        assert page.begun["expires_at"] == "2026-11-17T11:00:00Z"
        clock.at = NOON + timedelta(minutes=100)
        assert (await page.say(1, "still here")).status_code == 202
        clock.at = NOON + timedelta(minutes=219)
        assert (await page.get()).json()["expires_at"] == "2026-11-17T12:40:00Z"
        clock.at = NOON + timedelta(minutes=220)
        assert (await page.get()).json()["name"] == "session-over"


# --- who it is -------------------------------------------------------------------------------


async def test_what_a_visitor_says_of_themselves_is_their_word(door: Door) -> None:
    page = await visit(
        door.http,
        name=" Ada ",
        email="Ada@Example.org",
        language="nl",
        page="https://shop.example/x",
    )
    await page.say(1, "Hello")
    (message,) = await heard(door)
    sender = message.sender
    assert [str(i) for i in sender.identities] == [f"chat:{page.session}", "email:ada@example.org"]
    assert (sender.authentication, sender.name, message.language) == ("asserted", "Ada", "nl")
    assert message.attributes == {"session": str(page.session), "page": "https://shop.example/x"}


async def test_the_shop_vouches_for_who_is_signed_in(door: Door) -> None:
    token = signed(name="Ada", email="ada@example.org", email_verified=True, aud="chat")
    page = await visit(door.http, token=token, name="Eve", email="eve@example.org")
    await page.say(1, "Hello")
    (message,) = await heard(door)
    assert message.sender.authentication == "proven"
    assert {str(i) for i in message.sender.identities} == {
        f"chat:{page.session}", "customer_no:1001", "email:ada@example.org",
    }  # fmt: skip
    assert message.sender.name == "Ada"
    refused = await page.http.patch(
        page.path(), json={"email": "eve@example.org"}, headers=page.headers
    )
    assert refused.status_code == 409


async def test_an_address_nobody_verified_is_not_proven_by_the_way(door: Door) -> None:
    page = await visit(door.http, token=signed(email="eve@example.org"), email="ada@example.org")
    await page.say(1, "Hello")
    (message,) = await heard(door)
    assert [i.scheme for i in message.sender.identities] == ["chat", "customer_no"]


@pytest.mark.parametrize(
    "token",
    [
        "nonsense", "a.b.c", signed("another secret altogether, of the same length"),
        signed(exp=1), signed(exp=4_000_000_000), signed(aud="other"), signed(sub=""),
        signed(exp=None), signed(nbf=4_000_000_000),
    ],
)  # fmt: skip
async def test_a_token_that_proves_nothing_opens_nothing(door: Door, token: str) -> None:
    refused = await door.http.post(START, json={"token": token}, headers=BROWSER)
    assert (refused.status_code, refused.json()["name"]) == (401, "unauthenticated")


# --- lines -------------------------------------------------------------------------------------


async def test_a_repeat_is_the_same_line(door: Door) -> None:
    page = await visit(door.http)
    first, again = await page.say(7, "Where is it?"), await page.say(7, "Where is it?")
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json() == again.json()
    assert (first.json()["seq"], first.json()["n"]) == (7, 1)
    (message,) = await heard(door)
    assert str(message.id) == first.json()["id"]
    assert message.occurred_at <= message.received_at
    listed = (await page.get("/messages")).json()
    assert [(i["n"], i["from"], i["text"], i["seq"]) for i in listed["items"]] == [
        (1, "you", "Where is it?", 7)
    ]


async def test_another_line_under_the_same_number_is_refused(door: Door) -> None:
    page = await visit(door.http)
    await page.say(3, "one tab")
    refused = await page.say(3, "another tab")
    assert (refused.status_code, refused.json()["name"]) == (409, "seq-taken")
    assert refused.json()["next_seq"] == 4 == (await page.get()).json()["next_seq"]
    assert (await page.say(4, "another tab")).json()["n"] == 2
    assert len(await heard(door)) == 2


async def test_a_gap_waits_for_nothing(door: Door) -> None:
    page = await visit(door.http)
    for seq in (5, 2, 9):
        assert (await page.say(seq, f"line {seq}")).status_code == 202
    listed = (await page.get("/messages")).json()["items"]
    assert [(i["n"], i["seq"]) for i in listed] == [(1, 5), (2, 2), (3, 9)]
    threads = {m.text: m.thread for m in await heard(door)}
    assert threads["line 2"].references == (threads["line 5"].message_id,)
    assert threads["line 9"].references == (threads["line 2"].message_id,)


async def test_many_at_once_are_numbered_without_a_gap(door: Door) -> None:
    page = await visit(door.http)
    twice = [page.say(seq, f"line {seq}") for seq in range(1, 11) for _ in range(2)]
    answers = await asyncio.gather(*twice)
    assert {a.status_code for a in answers} == {202}
    assert sorted({a.json()["n"] for a in answers}) == list(range(1, 11))
    by_seq = {(a.json()["seq"], a.json()["n"]) for a in answers}
    assert len(by_seq) == 10
    assert len({m.id for m in await heard(door)}) == 10


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422), (b"[]", 422), (b"\xff", 422), (b'{"seq": 1}', 422),
        (b'{"seq": 1, "text": "  "}', 422), (b'{"seq": "1", "text": "x"}', 422),
        (b'{"seq": 1.5, "text": "x"}', 422), (b'{"seq": true, "text": "x"}', 422),
        (b'{"seq": 9007199254740992, "text": "x"}', 422), (b'{"seq": 1, "text": "x", "y": 1}', 422),
        (b'{"seq": 1, "text": "' + b"x" * 101 + b'"}', 422),
        (b'{"seq": 1, "text": "' + b"x" * 700_000 + b'"}', 413),
    ],
    ids=lambda value: str(value)[:30],
)  # fmt: skip
async def test_what_is_no_line_is_refused(door: Door, body: bytes, status: int) -> None:
    page = await visit(door.http)
    refused = await page.http.post(page.path("/messages"), content=body, headers=page.headers)
    assert refused.status_code == status, refused.text
    assert refused.headers["access-control-allow-origin"] == ORIGIN
    assert await heard(door) == []


async def test_a_nul_is_left_out(door: Door) -> None:
    page = await visit(door.http)
    assert (await page.say(1, "a\x00b")).status_code == 202
    assert [m.text for m in await heard(door)] == ["ab"]


async def test_a_file_goes_along_and_can_be_had_again(door: Door) -> None:
    page, stranger = await visit(door.http), await visit(door.http)
    content = base64.b64encode(b"a torn corner").decode()
    file = {"name": "../corner.jpg", "content_type": "image/jpeg", "content": content}
    said = (await page.say(1, "", attachments=[file])).json()
    (message,) = await heard(door)
    (kept,) = message.attachments
    assert (kept.name, kept.size) == ("corner.jpg", 13)
    shown = (await page.get("/messages")).json()["items"][0]["files"]
    assert shown == [{"name": "corner.jpg", "content_type": "image/jpeg", "size": 13}]
    path = f"/messages/{said['id']}/files/1"
    got = await page.get(path)
    assert (got.content, got.headers["content-type"]) == (
        b"a torn corner", "application/octet-stream",
    )  # fmt: skip
    assert got.headers["content-disposition"] == "attachment"
    assert (await stranger.get(path)).status_code == 404
    assert (await page.get(f"/messages/{said['id']}/files/2")).status_code == 404
    assert (await page.get(f"/messages/{said['id']}/files/0")).status_code == 404


async def test_too_large_files_are_refused(door: Door) -> None:
    page = await visit(door.http)
    content = base64.b64encode(b"x" * 200_000).decode()
    two = [{"name": "a", "content": content}, {"name": "b", "content": content}]
    assert (await page.say(1, "", attachments=two)).status_code == 413
    assert (await page.say(1, "", attachments=two[:1])).status_code == 202


async def test_nothing_is_accepted_while_the_database_is_away(
    database_url: str, tmp_path: Path
) -> None:
    line = Line(database_url, tmp_path)
    await line.mend()
    try:
        async with chat_door(line.url, tmp_path) as door:
            page = await visit(door.http)
            await line.cut()
            for refused in (
                await page.say(1, "Where is it?"), await page.get(), await page.read(1),
                await page.get("/messages"), await page.get("/events"),
                await door.http.post(START, headers=BROWSER),
            ):  # fmt: skip
                assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
                assert refused.headers["access-control-allow-origin"] == ORIGIN
            await line.mend()

            async def accepted() -> bool:
                return (await page.say(1, "Where is it?")).status_code == 202

            await until(accepted)
            assert [m.text for m in await heard(door)] == ["Where is it?"]
    finally:
        await line.cut()


async def test_a_line_whose_answer_was_lost_is_in_the_log_once_by_its_id(door: Door) -> None:
    """The log had it, and the process died before it was numbered."""
    page = await visit(door.http)
    first = (await page.say(1, "Where is it?")).json()
    await change(door.runtime, "UPDATE chat_lines SET n = NULL")
    await change(door.runtime, "UPDATE chat_sessions SET last = 0")
    again = (await page.say(1, "Where is it?")).json()
    assert again == first
    records = await heard(door)
    assert len(records) == 2
    assert records[0].id == records[1].id, "the router knows the second for a repeat"
    assert records[0].occurred_at == records[1].occurred_at


# --- limits ------------------------------------------------------------------------------------


@pytest.mark.parametrize("limited", ["session", "address", "account", "sessions"])
async def test_who_asks_too_often_is_told_when(
    database_url: str, tmp_path: Path, limited: str
) -> None:
    async with chat_door(database_url, tmp_path, f"limits: {{{limited}: 3/1h}}") as door:
        page = await visit(door.http)
        answers: list[int] = []
        refused = None
        for seq in range(1, 6):
            if limited == "sessions":
                refused = await door.http.post(START, headers=BROWSER)
            else:
                refused = await page.say(seq, "again")
            answers.append(refused.status_code)
        assert refused is not None
        assert refused.status_code == 429, answers
        assert 60 < int(refused.headers["retry-after"]) <= 3600
        assert refused.headers["access-control-allow-origin"] == ORIGIN
        accepted = len([a for a in answers if a in (201, 202)])
        assert accepted == (3 if limited == "session" else 2)


async def test_behind_a_proxy_each_address_counts_for_itself(
    database_url: str, tmp_path: Path
) -> None:
    more = "proxies: 1\n    limits: {sessions: 1/1h}"
    async with chat_door(database_url, tmp_path, more) as door:

        async def start(heard_from: str) -> int:
            headers = BROWSER | {"X-Forwarded-For": heard_from}
            return (await door.http.post(START, headers=headers)).status_code

        assert await start("198.51.100.7") == 201
        assert await start("203.0.113.9, 198.51.100.7") == 429, "what stands before is hearsay"
        assert await start("198.51.100.8") == 201
        assert await start("2001:db8:1:2::1") == 201
        assert await start("2001:db8:1:2:ffff::9") == 429, "one household"
        assert await start("2001:db8:1:3::1") == 201


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
