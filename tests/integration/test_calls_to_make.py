"""Telephone, outbound: what an agent is shown to do, and what becomes of it; an acceptance that is
sent again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from services.router import commands as cmd
from services.router.api import routers
from shared.api_keys import Grant, create
from shared.database import transaction
from shared.events import MessageReceived
from shared.web.app import make_app
from tests.builders import after, mail, message, sender
from tests.rooms import Room, make_room

Client = httpx.AsyncClient


@pytest.fixture
async def room(database_url: str, tmp_path: Path) -> AsyncIterator[Room]:
    room = await make_room(database_url, tmp_path)
    room.clock.at = after(minutes=5)
    yield room
    await room.engine.dispose()


@pytest.fixture
async def agent(room: Room) -> AsyncIterator[Callable[..., Awaitable[Client]]]:
    app = make_app(room.runtime, routers(room.handlers))
    clients: list[Client] = []

    async def make(name: str, teams: tuple[str, ...] = ()) -> Client:
        async with transaction(room.engine) as connection:
            key = await create(connection, Grant(role="agent", agent=name, teams=teams))
        headers = {"Authorization": f"Bearer {key}"}
        transport = httpx.ASGITransport(app)
        clients.append(Client(transport=transport, base_url="http://regie", headers=headers))
        return clients[-1]

    yield make
    for client in clients:
        await client.aclose()


CALL: dict[str, Any] = {"account": "desk-phone", "channel": "phone",
                        "reply_window_closes_at": None}  # fmt: skip


def missed(**given: Any) -> MessageReceived:
    who = sender(authentication="asserted")
    return message("Missed call", **(CALL | {"kind": "call_missed", "sender": who} | given))


async def item(client: Client, **params: Any) -> Any:
    (found,) = (await client.get("/v1/inbox", params=params)).json()["items"]
    return found


async def test_a_missed_call_is_a_call_to_make(room: Room, agent: Any) -> None:
    await room.hear(missed())
    jo = await agent("jo")
    shown = await item(jo)
    assert shown["task"] == {
        "kind": "call_back", "dial": "+31612345678", "promise_id": None,
        "due_at": shown["due_at"], "attempts": 0, "most": None, "what": "", "preferred": "",
    }  # fmt: skip
    at = f"/v1/cases/{shown['id']}"
    await jo.post(f"{at}/claim")
    tried = await jo.post(f"{at}/replies", json={"outcome": "no_answer"})
    assert tried.status_code == 202
    case = (await jo.get(at)).json()
    assert case["task"]["attempts"] == 1
    await jo.post(f"{at}/replies", json={"outcome": "reached", "text": "All is well"})
    assert (await jo.get(at)).json()["task"] is None, "nobody waits for a call"


async def test_a_call_asked_for_names_number_time_and_promise(room: Room, agent: Any) -> None:
    wishes = {"phone": "+31698765432", "preferred": "after five", "topic": "my parcel"}
    asked = mail(
        "Call me", account="service-portal", channel="portal", kind="callback_requested",
        attributes=wishes,
    )  # fmt: skip
    await room.hear(asked)
    jo = await agent("jo")
    shown = await item(jo)
    at = f"/v1/cases/{shown['id']}"
    (promise,) = (await jo.get(at)).json()["promises"]
    task = shown["task"]
    assert (task["dial"], task["preferred"], task["what"]) == (
        "+31698765432", "after five", "my parcel",
    )  # fmt: skip
    assert (task["promise_id"], task["due_at"]) == (promise["id"], promise["due_at"])
    assert (task["attempts"], task["most"]) == (0, 3)
    await jo.post(f"{at}/claim")
    await jo.post(f"{at}/replies", json={"outcome": "no_answer", "channel": "phone"})
    assert (await jo.get(at)).json()["task"]["attempts"] == 1
    await jo.post(f"{at}/replies", json={"outcome": "reached", "channel": "phone"})
    case = (await jo.get(at)).json()
    assert case["task"] is None
    assert [each["state"] for each in case["promises"]] == ["kept"]


async def test_a_call_back_without_a_number_is_no_promise(room: Room, agent: Any) -> None:
    asked = mail("Call me", account="service-portal", channel="portal", kind="callback_requested")
    await room.hear(asked)
    assert await room.rows("SELECT 1 FROM promises") == []


async def test_a_promise_to_call_shows_a_number_on_any_channel(room: Room, agent: Any) -> None:
    await room.hear(message())
    jo = await agent("jo")
    shown = await item(jo)
    assert shown["task"] is None
    at = f"/v1/cases/{shown['id']}"
    await jo.post(f"{at}/claim")
    body = {"kind": "call_back", "what": "the refund", "within": "2h"}
    made = (await jo.post(f"{at}/promises", json=body)).json()
    task = (await item(jo))["task"]
    assert (task["dial"], task["promise_id"]) == ("+31612345678", made["id"])
    assert task["what"] == "the refund"


async def test_nothing_is_written_to_a_telephone(room: Room, agent: Any) -> None:
    await room.hear(missed())
    jo = await agent("jo")
    at = f"/v1/cases/{(await item(jo))['id']}"
    await jo.post(f"{at}/claim")
    refused = await jo.post(f"{at}/replies", json={"text": "Hello"})
    assert (refused.status_code, refused.json()["name"]) == (422, "not-a-written-channel")
    assert "dial +31612345678" in refused.json()["detail"]


async def test_a_switch_to_the_telephone_they_agreed_to_is_a_call_to_make(
    room: Room, agent: Any
) -> None:
    await room.hear(message())
    jo = await agent("jo")
    at = f"/v1/cases/{(await item(jo))['id']}"
    await jo.post(f"{at}/claim")
    consent = {"by": "Ada", "at": "2026-11-17T09:03:00Z", "how": "in the chat"}
    body = {"to_channel": "phone", "address": "+31698765432", "consent": consent}
    offered = await jo.post(f"{at}/handoffs", json=body)
    assert offered.status_code == 201, offered.text
    case = (await jo.get(at)).json()
    task = case["task"]
    assert (task["dial"], task["due_at"]) == ("+31698765432", case["promises"][0]["due_at"])
    reached = await jo.post(f"{at}/replies", json={"outcome": "reached", "channel": "phone"})
    assert reached.status_code == 202
    case = (await jo.get(at)).json()
    assert (case["handoffs"][0]["state"], case["channel"]) == ("accepted", "phone")
    assert case["promises"][0]["state"] == "kept"


async def test_without_their_consent_nobody_is_promised_a_call(room: Room, agent: Any) -> None:
    await room.hear(message())
    jo = await agent("jo")
    at = f"/v1/cases/{(await item(jo))['id']}"
    await jo.post(f"{at}/claim")
    body = {"to_channel": "phone", "address": "+31698765432"}
    assert (await jo.post(f"{at}/handoffs", json=body)).status_code == 201
    assert (await jo.get(at)).json()["promises"] == []


async def test_a_call_back_goes_with_the_message_that_asked_for_it(room: Room, agent: Any) -> None:
    await room.hear(missed())
    asked = missed(kind="callback_requested", reference="CA2", at=after(minutes=1))
    await room.hear(asked)
    jo = await agent("jo")
    shown = await item(jo)
    at = f"/v1/cases/{shown['id']}"
    due_at = shown["task"]["due_at"]
    await jo.post(f"{at}/claim")
    split = await jo.post(f"{at}/split", json={"messages": [str(asked.id)]})
    assert split.status_code < 300, split.text
    promises = await room.rows("SELECT case_id, state, due_at FROM promises ORDER BY state")
    assert [row.state for row in promises] == ["open", "renegotiated"]
    assert promises[0].due_at.isoformat().replace("+00:00", "Z") == due_at
    assert promises[0].case_id != UUID(shown["id"])
    await jo.post(f"{at}/replies", json={"outcome": "reached"})
    assert (await jo.post(f"{at}/close")).status_code == 200, "nothing holds it up"


# --- an answer that was not heard ----------------------------------------------------------------


async def test_accepting_again_is_answered_as_the_first_time(room: Room, agent: Any) -> None:
    await room.hear(message())
    (case,) = await room.rows("SELECT id FROM cases")
    handoff = uuid4()
    await room.tell(case.id, cmd.OfferHandoff(handoff, "jo", "agent", to_team="frontdesk"))
    sam, kim = await agent("sam"), await agent("kim")
    url = f"/v1/handoffs/{handoff}/accept"
    first = await sam.post(url)
    repeated = await sam.post(url)
    assert (first.status_code, repeated.status_code) == (200, 200)
    assert repeated.json() == first.json()
    assert repeated.headers["etag"] == first.headers["etag"]
    assert (await kim.post(url)).status_code == 404, "it was sam's"
    assert (await sam.post(f"/v1/handoffs/{handoff}/decline")).status_code == 404
