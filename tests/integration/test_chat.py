"""A web chat's doors on a real log: who may speak, what is durable, what a page is shown."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from tests import servers
from tests.builders import NOON
from tests.chatting import ORIGIN, SECRET, WIDE, Page, change, chat_door, heard, visit
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
        chat_door(url, tmp_path_factory.mktemp("chat"), WIDE) as door,
    ):
        yield door


@pytest.fixture
async def door(open_chat: Door) -> Door:
    """One that has accepted nothing yet."""
    await open_chat.clear("log_record", "chat_sessions, chat_lines")
    return open_chat


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


async def test_one_address_uses_up_nothing_of_the_others(database_url: str, tmp_path: Path) -> None:
    more = "proxies: 1\n    limits: {address: 1/1h, account: 3/1h}"
    async with chat_door(database_url, tmp_path, more) as door:

        async def start(heard_from: str) -> int:
            headers = BROWSER | {"X-Forwarded-For": heard_from}
            return (await door.http.post(START, headers=headers)).status_code

        assert [await start("198.51.100.7") for _ in range(5)] == [201, 429, 429, 429, 429]
        assert await start("198.51.100.8") == 201


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
