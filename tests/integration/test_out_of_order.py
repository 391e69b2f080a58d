"""Word of a message that is handled before it: edits, withdrawals, reactions, in any order; and what
an agent sees of a call that is to be made."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import permutations
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from services.router import commands as cmd
from services.router.api import routers
from shared.api_keys import Grant, create
from shared.database import transaction
from shared.events import Kind, MessageReceived, Sender, Thread
from shared.web.app import make_app
from tests.builders import after, mail, message, sender
from tests.rooms import Room, make_room

Client = httpx.AsyncClient
NOBODY = Sender(identities=(), authentication="asserted")


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


# --- before its message --------------------------------------------------------------------------


def original(text: str = "Teh parcel") -> MessageReceived:
    return message(text, reference="w1")


def about(kind: Kind, text: str, minute: float, **given: Any) -> MessageReceived:
    return message(text, kind=kind, at=after(minutes=minute), thread=Thread(target="w1"), **given)


async def said(room: Room) -> Any:
    (row,) = await room.rows("SELECT text, data FROM messages WHERE provider_id = 'w1'")
    return row


async def state(room: Room) -> tuple[Any, ...]:
    """Of the one case there is: what it shows, who waits, what is due."""
    (case,) = await room.rows("SELECT id, state, subject, preview, waiting_since FROM cases")
    clocks = await room.rows(
        "SELECT metric, due_at FROM deadlines WHERE state = 'running' ORDER BY metric"
    )
    return (*tuple(case)[1:], [tuple(clock) for clock in clocks])


STORIES: dict[str, list[MessageReceived]] = {
    "an edit": [original(), about("edit", "The parcel", 1)],
    "two edits": [original(), about("edit", "The", 1), about("edit", "The parcel", 2)],
    "a withdrawal": [original(), about("revoke", "", 1)],
    "an edit withdrawn": [original(), about("edit", "The parcel", 1), about("revoke", "", 2)],
    "brought back": [original(), about("revoke", "", 1), about("edit", "The parcel", 2)],
    "a reaction": [original(), about("reaction", "👍", 1)],
}


def again(story: list[MessageReceived], number: int) -> list[MessageReceived]:
    """The same of another person and message."""
    from msgspec.structs import replace

    def renamed(thread: Thread) -> Thread:
        return Thread(
            message_id=f"{thread.message_id}-{number}" if thread.message_id == "w1" else "",
            target=f"{thread.target}-{number}" if thread.target else "",
        )

    who = sender(f"+3160000{number:04d}")
    return [replace(m, id=uuid4(), sender=who, thread=renamed(m.thread)) for m in story]


async def stands(room: Room, number: int) -> tuple[Any, ...]:
    (row,) = await room.rows(
        "SELECT text, case_id, data -> 'earlier' AS earlier, data -> 'added' AS added "
        "FROM messages WHERE provider_id = :id",
        id=f"w1-{number}",
    )
    cases = await room.rows(
        "SELECT state, waiting_since, subject, id FROM cases WHERE id IN (SELECT case_id FROM "
        "messages JOIN identities USING (customer_id) WHERE value = :number)",
        number=f"+3160000{number:04d}",
    )
    clocks = await room.rows(
        "SELECT metric, due_at FROM deadlines WHERE case_id = :id AND state = 'running' "
        "ORDER BY metric", id=row.case_id,
    )  # fmt: skip
    shown = [(case.state, case.waiting_since, case.subject) for case in cases]
    return row.text, row.earlier, row.added, shown, [tuple(clock) for clock in clocks]


@pytest.mark.parametrize("name", STORIES)
@pytest.mark.parametrize("at_once", [False, True])
async def test_every_order_ends_the_same(room: Room, name: str, at_once: bool) -> None:
    story = STORIES[name]
    wanted, number = None, 0
    for order in permutations(range(len(story))):
        number += 1
        told = again(story, number)
        ordered = [told[place] for place in order]
        for batch in [ordered] if at_once else [[each] for each in ordered]:
            await room.hear(*batch)
        found = await stands(room, number)
        wanted = wanted or found
        assert found == wanted, order
        assert len(found[3]) == 1


async def test_an_edit_before_its_message(room: Room) -> None:
    await room.hear(about("edit", "The parcel", 1))
    assert (await state(room))[4] == [], "an edit alone promises nothing"
    await room.hear(original())
    row = await said(room)
    assert row.text == "The parcel"
    assert [old["text"] for old in row.data["earlier"]] == ["Teh parcel"]
    found = await state(room)
    assert found[0] == "open"
    assert found[1:3] == ("The parcel", "The parcel")
    assert dict(found[4])["first_response"] == after(minutes=60), "of the message, not of its edit"


async def test_a_withdrawal_before_its_message_waits_for_no_answer(room: Room) -> None:
    await room.hear(about("revoke", "", 1))
    await room.hear(original("my address is Elm Street 1"))
    row = await said(room)
    assert row.text == ""
    _, subject, preview, waiting, clocks = await state(room)
    assert (waiting, [metric for metric, _ in clocks]) == (None, ["resolution"])
    assert "Elm" not in subject + preview


async def test_a_withdrawal_ends_the_clock_of_an_unanswered_message(room: Room) -> None:
    await room.hear(original())
    await room.hear(about("revoke", "", 1))
    (case,) = await room.rows("SELECT waiting_since FROM cases")
    assert case.waiting_since is None
    clocks = await room.rows("SELECT state FROM deadlines WHERE metric = 'first_response'")
    assert [clock.state for clock in clocks] == ["met"]


async def test_what_else_waits_goes_on_waiting(room: Room) -> None:
    await room.hear(original(), message("And the other?", at=after(minutes=2)))
    await room.hear(about("revoke", "", 3))
    (case,) = await room.rows("SELECT waiting_since FROM cases")
    assert case.waiting_since == after(minutes=2)
    assert dict((await state(room))[4])["first_response"] == after(minutes=60), "never later"


async def test_an_edit_moves_no_deadline(room: Room) -> None:
    await room.hear(original())
    before = (await state(room))[4]
    await room.hear(about("edit", "The parcel!", 4), about("edit", "The parcel?", 3))
    assert (await state(room))[4] == before
    row = await said(room)
    assert row.text == "The parcel!", "the newest by its time"
    assert [old["text"] for old in row.data["earlier"]] == ["Teh parcel", "The parcel?"]


async def test_nobody_edits_or_withdraws_what_another_said(room: Room) -> None:
    eve = sender("+31600000666", authentication="asserted")
    await room.hear(about("revoke", "", 1, sender=eve))
    await room.hear(original())
    await room.hear(about("edit", "Never mind", 2, sender=eve))
    assert (await said(room)).text == "Teh parcel"
    (case,) = await room.rows("SELECT waiting_since FROM cases WHERE waiting_since IS NOT NULL")
    assert case.waiting_since == original().occurred_at


async def test_words_that_were_forgotten_do_not_come_back(room: Room) -> None:
    await room.hear(original())
    await room.rows("UPDATE messages SET text = '', data = '{\"forgotten\": true}' RETURNING id")
    await room.hear(about("edit", "The parcel", 1))
    assert (await said(room)).text == ""


async def test_a_transcript_of_a_withheld_call_is_of_one_case(room: Room) -> None:
    call: dict[str, Any] = {"account": "desk-phone", "channel": "phone", "sender": NOBODY,
                            "reply_window_closes_at": None}  # fmt: skip
    await room.hear(message("Please call", kind="edit", thread=Thread(target="w1"), **call))
    await room.hear(message("Voicemail", kind="voicemail", reference="w1", **call))
    row = await said(room)
    assert row.text == "Voicemail\nPlease call"
    assert len(await room.rows("SELECT 1 FROM cases")) == 1


async def test_an_edit_whose_words_are_not_told_stands_below(room: Room) -> None:
    note = about("edit", "[edited]", 1, attributes={"text_missing": True})
    await room.hear(note)
    await room.hear(original())
    assert (await said(room)).text == "Teh parcel\n[edited]"


async def test_one_query_reads_all_that_came_early(room: Room) -> None:
    """However many messages a batch has."""
    asked: list[str] = []

    async def count(messages: list[MessageReceived]) -> int:
        async with transaction(room.engine) as connection:
            raw = await connection.get_raw_connection()
            real = raw.driver_connection
            assert real is not None
            real.add_query_logger(lambda record: asked.append(record.query))
            await room.handlers.on_messages(connection, room.received(messages))
        found = len(
            [query for query in asked if "FROM messages m ON" in query or "messages m" in query]
        )
        asked.clear()
        return found

    few = await count(again(STORIES["an edit"], 1))
    many = await count([m for n in range(2, 40) for m in again(STORIES["an edit"], n)])
    assert few == many == 1


# --- calls to make -------------------------------------------------------------------------------

CALL: dict[str, Any] = {"account": "desk-phone", "channel": "phone",
                        "reply_window_closes_at": None}  # fmt: skip


def missed(**given: Any) -> MessageReceived:
    who = sender(authentication="asserted")
    return message("Missed call", kind="call_missed", **(CALL | {"sender": who} | given))


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
