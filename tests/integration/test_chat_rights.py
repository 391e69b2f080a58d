"""What the chat store holds of a person is given out, erased and forgotten with the rest."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from services.ingest import chat_store
from services.router import commands as cmd
from services.router.api import routers
from services.router.keeping import _forget
from services.router.rights.retention import Retention
from shared import chat
from shared.api_keys import Grant, create
from shared.database import transaction
from shared.events import Thread
from shared.web.app import make_app
from tests.builders import NOON, after, message
from tests.past import chats, erase
from tests.people import owner, who
from tests.rooms import Room, make_room
from tests.scanning import holding, rows_of


@pytest.fixture
async def room(database_url: str, tmp_path: Path) -> AsyncIterator[Room]:
    room = await make_room(database_url, tmp_path)
    yield room
    await room.engine.dispose()


@pytest.fixture
async def admin(room: Room) -> AsyncIterator[httpx.AsyncClient]:
    async with transaction(room.engine) as connection:
        key = await create(connection, Grant(role="admin", agent="root"))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(make_app(room.runtime, routers(room.handlers))),
        base_url="http://regie",
        headers={"Authorization": f"Bearer {key}"},
    ) as client:
        yield client


async def talk(room: Room, *identities: str, words: str = "kumquat", **columns: str) -> UUID:
    """A chat whose line the router has taken, and which was answered; the session."""
    session = uuid4()
    await chats(room, session, said=f"unheard {words}", **columns)
    said = message(
        words, sender=who(f"chat:{session}", *identities), channel="webchat", account="chat",
        thread=Thread(message_id=f"{session}-2"), reply_window_closes_at=None, reference="r",
    )  # fmt: skip
    await room.hear(said)
    (case,) = await room.rows("SELECT case_id FROM messages WHERE id = :id", id=said.id)
    answer = chat.Answer(uuid4(), session, case.case_id, f"answer {words}")
    async with transaction(room.engine) as connection:
        await chat_store.claim_line(
            connection, session, 2, message_id=said.id, print_=b"p", at=NOON, text=words, files=()
        )
        await chat.say(connection, answer, NOON, None)
    return session


async def held(room: Room) -> set[tuple[str, str]]:
    rows = await room.rows("SELECT session_id, text FROM chat_lines")
    return {(str(row.session_id), row.text) for row in rows}


async def test_all_chats_of_the_person_go_and_nobody_elses(
    room: Room, admin: httpx.AsyncClient
) -> None:
    theirs = [
        await talk(room, "customer_no:900100", "email:ada@example.org"),
        await chats(room, uuid4(), said="kumquat by mail", email="ada@example.org"),
        await chats(room, uuid4(), said="kumquat by number", customer_ref="900100"),
    ]
    other = await talk(room, "customer_no:7", words="durian", email="bob@example.org")
    customer = await owner(room, f"chat:{theirs[0]}")
    given = (await admin.post(
        f"/v1/customers/{customer}/export", headers={"Accept": "application/json"}
    )).json()  # fmt: skip
    assert {s["id"] for s in given["chat_sessions"]} == {str(id) for id in theirs}
    assert {line["text"] for line in given["chat_lines"]} == {
        "unheard kumquat", "kumquat", "answer kumquat", "kumquat by mail", "kumquat by number",
    }  # fmt: skip
    assert not any("token" in session for session in given["chat_sessions"])

    await erase(room, admin, customer)
    gone = ("kumquat", "ada@example.org", "900100", *map(str, theirs))
    assert holding(await rows_of(room.engine), gone) == {}
    assert await held(room) == {
        (str(other), f"{words}durian") for words in ("unheard ", "", "answer ")
    }
    assert len(await room.rows("SELECT 1 FROM chat_sessions")) == 1


async def test_the_words_of_a_case_go_with_its_words(room: Room) -> None:
    session = await talk(room, "customer_no:900100")
    (case,) = await room.rows("SELECT id FROM cases")
    await room.tell(case.id, cmd.Close("jo", "done"))
    room.clock.at = after(days=365 * 6)
    await Retention(room.handlers).work()
    assert await held(room) == {(str(session), "unheard kumquat")}, "no case knows of that line"


async def test_a_chat_is_forgotten_two_days_after_it_expired(room: Room) -> None:
    await chats(room, uuid4(), said="over")
    for days, left in ((101, 1), (103, 0)):
        room.clock.at = after(days=days)
        await _forget(room.runtime)
        for table in ("chat_sessions", "chat_lines"):
            assert len(await room.rows(f"SELECT 1 FROM {table}")) == left


async def test_a_mail_on_its_way_says_nothing_any_more(
    room: Room, admin: httpx.AsyncClient
) -> None:
    session = await talk(room, "customer_no:900100", email="ada@example.org")
    (case,) = await room.rows("SELECT id FROM cases")
    (line,) = await room.rows("SELECT message_id FROM chat_lines WHERE direction = 'out'")
    payload: dict[str, Any] = {
        "type": "ReplyRequested", "message_id": str(line.message_id), "text": "answer kumquat",
        "recipient": {"scheme": "email", "value": "ada@example.org"}, "channel": "email",
        "account": "mail", "answers": 0, "human": True, "author": "", "subject": "kumquat",
    }  # fmt: skip
    async with transaction(room.engine) as connection:
        import orjson
        from sqlalchemy import text

        await connection.execute(
            text(
                "INSERT INTO deliveries (id, event_id, case_id, seq, version, effect, target, "
                "lane, payload, at, next_at, expires_at, created_at) VALUES (:id, 'x', :case, 0, "
                "0, 'follow_up', 'account:mail', '', CAST(:payload AS jsonb), :at, :at, :at, :at)"
            ),
            {"id": uuid4(), "case": case.id, "payload": orjson.dumps(payload).decode(), "at": NOON},
        )
    await erase(room, admin, await owner(room, f"chat:{session}"))
    assert holding(await rows_of(room.engine), ("kumquat", "ada@example.org")) == {}
    (delivery,) = await room.rows("SELECT state FROM deliveries")
    assert delivery.state == "dropped"
