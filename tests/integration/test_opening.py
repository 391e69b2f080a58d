"""Cases that people of ours open, internal requests, splits: over HTTP, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import msgspec
import pytest

from services.ingest import api as ingest_api
from services.ingest.intake import Intake
from services.router.api import routers
from services.router.case import Case
from services.router.evolve import evolve
from shared.accounts import Account, Accounts
from shared.api_keys import Grant, create
from shared.channels.portal import message_from_json
from shared.database import transaction
from shared.events import CaseChanged, CaseEvent, DeliveryReported, MessageReceived, Thread
from shared.web.app import make_app
from tests.builders import NOON, after, mail, message
from tests.rooms import Room, make_room

Client = httpx.AsyncClient
MakeClient = Callable[..., Awaitable[Client]]


@pytest.fixture
async def room(database_url: str, tmp_path: Path) -> AsyncIterator[Room]:
    room = await make_room(database_url, tmp_path)
    yield room
    await room.engine.dispose()


@pytest.fixture
async def agent(room: Room) -> AsyncIterator[MakeClient]:
    """A client with a key of its own: `await agent("jo", teams=("parcels",))`."""
    app = make_app(room.runtime, routers(room.handlers))
    clients: list[Client] = []

    async def make(name: str, role: Any = "agent", teams: tuple[str, ...] = ()) -> Client:
        async with transaction(room.engine) as connection:
            key = await create(connection, Grant(role=role, agent=name, teams=teams))
        headers = {"Authorization": f"Bearer {key}"}
        client = Client(
            transport=httpx.ASGITransport(app), base_url="http://regie", headers=headers
        )
        clients.append(client)
        return client

    yield make
    for client in clients:
        await client.aclose()


async def opened(client: Client, **body: Any) -> dict[str, Any]:
    answer = await client.post("/v1/cases", json=body)
    assert answer.status_code == 201, answer.text
    case: dict[str, Any] = answer.json()
    return case


async def read(client: Client, case_id: str) -> dict[str, Any]:
    case: dict[str, Any] = (await client.get(f"/v1/cases/{case_id}")).json()
    return case


async def do(client: Client, case_id: str, what: str, **body: Any) -> dict[str, Any]:
    """With the version the case has now."""
    version = (await read(client, case_id))["version"]
    answer = await client.post(
        f"/v1/cases/{case_id}/{what}", json=body, headers={"If-Match": f'"{version}"'}
    )
    assert answer.status_code < 300, answer.text
    done: dict[str, Any] = answer.json()
    return done


async def folded(room: Room) -> None:
    """Every stored case is the fold of its stored history."""
    rows = await room.rows("SELECT id, customer_id, doc::text AS doc FROM cases")
    for row in rows:
        events = await room.rows(
            "SELECT seq, version, at, actor, data::text AS data FROM case_events "
            "WHERE case_id = :id ORDER BY seq",
            id=row.id,
        )
        case: Case | None = None
        for event in events:
            change = CaseChanged(
                case_id=row.id, seq=event.seq, version=event.version, at=event.at,
                actor=event.actor, customer_id=row.customer_id, team="", channel="email",
                event=msgspec.json.decode(event.data, type=CaseEvent),
            )  # fmt: skip
            case = evolve(case, change)
        assert case is not None
        assert case.pruned() == msgspec.json.decode(row.doc, type=Case)


def at(value: str) -> datetime:
    return datetime.fromisoformat(value)


def metrics(case: dict[str, Any]) -> set[str]:
    return {d["metric"] for d in case["deadlines"]}


def sent(case_id: str, message_id: str) -> DeliveryReported:
    return DeliveryReported(
        delivery_id=uuid4(), case_id=UUID(case_id), effect="reply", status="sent", at=NOON,
        message_id=UUID(message_id), account="support-mail",
        provider_id=f"<regie.{message_id}@example.org>",
    )  # fmt: skip


# --- the agent begins ----------------------------------------------------------------------------


async def test_an_agent_writes_first(room: Room, agent: MakeClient) -> None:
    jo = await agent("jo")
    case = await opened(
        jo, channel="email", identity="email:Bo@Example.org", name="Bo", subject="Your parcel",
        text="Your parcel waits at the depot.",
    )  # fmt: skip
    assert (case["team"], case["agent"], case["product"]) == ("parcels", "jo", "parcels")
    assert case["waiting_since"] is None
    assert metrics(case) == {"resolution", "update"}, "nobody waits for a first response"
    assert case["customer"]["identities"] == ["email:bo@example.org"]
    (out,) = await room.rows("SELECT id, account, state, data FROM messages")
    assert (out.account, out.state) == ("support-mail", "pending")
    assert out.data["recipient"] == "email:bo@example.org"
    await room.report(sent(case["id"], str(out.id)))
    assert (await read(jo, case["id"]))["state"] == "waiting_customer"
    thread = Thread(message_id="<1@x>", references=(f"<regie.{out.id}@example.org>",))
    await room.hear(mail("Thanks", address="bo@example.org", at=after(hours=1), thread=thread))
    answered = await read(jo, case["id"])
    assert (answered["state"], answered["due_metric"]) == ("open", "next_response")
    await folded(room)


async def test_a_known_customer_is_reached_where_they_wrote_from(
    room: Room, agent: MakeClient
) -> None:
    await room.hear(mail("Where is it?"), message("Where is it?"))
    jo = await agent("jo")
    (known,) = await room.rows("SELECT customer_id AS id FROM identities WHERE scheme = 'email'")
    case = await opened(jo, channel="email", customer=str(known.id), subject="News")
    assert case["customer"]["id"] == str(known.id)
    routes = await room.rows("SELECT doc -> 'routes' FROM cases WHERE id = :id", id=case["id"])
    assert routes[0][0]["email"]["identity"]["value"] == "ada@example.org"
    refused = await jo.post("/v1/cases", json={"channel": "x", "customer": str(known.id)})
    assert refused.status_code == 422
    refused = await jo.post("/v1/cases", json={"channel": "phone", "customer": str(known.id)})
    assert (refused.status_code, refused.json()["name"]) == (422, "no-address")


async def test_where_the_customer_must_write_first_an_agent_needs_a_template(
    room: Room, agent: MakeClient
) -> None:
    jo = await agent("jo")
    begin = {"channel": "whatsapp", "identity": "+31612345678", "text": "Hello"}
    refused = await jo.post("/v1/cases", json=begin)
    assert (refused.status_code, refused.json()["name"]) == (409, "reply-window-closed")
    assert await room.rows("SELECT 1 FROM cases") == [], "nothing is left of it"
    assert await room.rows("SELECT 1 FROM customers") == []
    assert (await opened(jo, **begin, template="resume_invite"))["channel"] == "whatsapp"
    await room.hear(message())
    assert (await opened(jo, **begin))["channel"] == "whatsapp", "their window is open now"
    room.clock.at = after(hours=24)
    refused = await jo.post("/v1/cases", json=begin)
    assert refused.json()["name"] == "reply-window-closed"


async def test_a_call_just_made_is_recorded_with_its_case(room: Room, agent: MakeClient) -> None:
    jo = await agent("jo")
    case = await opened(jo, channel="phone", identity="+31612345678", outcome="reached", text="Ok")
    assert case["state"] == "waiting_customer"
    await folded(room)


async def test_only_for_a_team_of_ones_own(room: Room, agent: MakeClient) -> None:
    sam = await agent("sam", teams=("claims",))
    begin = {"channel": "email", "identity": "bo@example.org", "subject": "Your parcel"}
    refused = await sam.post("/v1/cases", json=begin | {"team": "parcels"})
    assert refused.status_code == 403
    assert (await opened(sam, **begin))["team"] == "claims", "the only team there is to name"
    two = await agent("two", teams=("claims", "parcels"))
    refused = await two.post("/v1/cases", json=begin)
    assert refused.status_code == 403
    assert "claims, parcels" in refused.json()["detail"]
    assert (await opened(two, **begin, team="parcels"))["team"] == "parcels"
    unknown = await (await agent("jo")).post("/v1/cases", json=begin | {"team": "nobody"})
    assert (unknown.status_code, unknown.json()["name"]) == (422, "unknown-team")


async def test_a_repeat_opens_no_second_case(room: Room, agent: MakeClient) -> None:
    jo = await agent("jo")
    begin = {"channel": "email", "identity": "bo@example.org", "text": "Hello"}
    headers = {"Idempotency-Key": "one"}
    first, again = [await jo.post("/v1/cases", json=begin, headers=headers) for _ in range(2)]
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.headers["Location"] == f"/v1/cases/{first.json()['id']}"
    assert len(await room.rows("SELECT 1 FROM cases")) == 1
    other = await jo.post("/v1/cases", json=begin | {"text": "Bye"}, headers=headers)
    assert other.json()["name"] == "idempotency-key-reused"


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ({"channel": "email"}, "no-customer"),
        ({"identity": "bo@example.org"}, "invalid"),
        ({"channel": "email", "identity": "+31612345678"}, "no-address"),
        ({"channel": "sms", "identity": "+31612345678"}, "no-outbound"),
        ({"channel": "email", "account": "desk-phone", "identity": "bo@example.org"}, "invalid"),
        ({"kind": "visit", "customer": str(uuid4())}, "not-found"),
        ({"parent": str(uuid4()), "text": "?"}, "not-found"),
        ({"parent": str(uuid4()), "channel": "email"}, "invalid"),
        ({"channel": "internal", "team": "carrier", "text": "Where is it?"}, "partner"),
        ({"kind": "visit", "identity": "customer_no:1", "team": "carrier"}, "partner"),
        ({"channel": "email", "identity": "Support@example.org"}, "own-address"),
        ({"kind": "visit", "identity": "+31880000001"}, "shared-identity"),
    ],
)
async def test_what_is_wrong_is_said(
    room: Room, agent: MakeClient, body: dict[str, Any], name: str
) -> None:
    refused = await (await agent("jo")).post("/v1/cases", json=body)
    assert (refused.json()["name"], 400 < refused.status_code < 500) == (name, True)
    assert await room.rows("SELECT 1 FROM cases") == []


@pytest.mark.parametrize("identity", [" ", "email:", "email", "zzz:1", "emial:ada@example.org",
                                      "EMAIL:ada@example.org", "e164:12"])  # fmt: skip
async def test_what_is_no_identity_is_refused_on_its_field(
    room: Room, agent: MakeClient, identity: str
) -> None:
    jo = await agent("jo")
    refused = await jo.post("/v1/cases", json={"channel": "email", "identity": identity})
    assert refused.status_code == 422
    if identity != "email":  # a customer number, for all we know, and no mail goes there
        assert refused.json()["errors"][0]["field"] == "identity"
    assert await room.rows("SELECT 1 FROM identities") == []


async def test_a_shared_address_reaches_a_known_customer_and_is_not_theirs(
    room: Room, agent: MakeClient
) -> None:
    await room.hear(mail("Where is it?"))
    (known,) = await room.rows("SELECT customer_id AS id FROM identities")
    jo = await agent("jo")
    await opened(
        jo, channel="phone", customer=str(known.id), identity="+31880000001", outcome="no_answer"
    )
    assert len(await room.rows("SELECT 1 FROM identities")) == 1


@pytest.mark.parametrize(
    "more",
    [
        {"identity": "bo@example.org"}, {"customer": str(uuid4())}, {"name": "Bo"},
        {"verified": True}, {"template": "resume_invite"}, {"outcome": "reached"},
        {"text": " "}, {"kind": "visit"},
    ],
)  # fmt: skip
async def test_an_internal_request_takes_nothing_it_would_drop(
    room: Room, agent: MakeClient, more: dict[str, Any]
) -> None:
    house = {"house": Account("house", "internal", "generic")}
    accounts = Accounts({a.name: a for a in room.runtime.accounts} | house)
    room.handlers.runtime = replace(room.runtime, accounts=accounts)
    jo = await agent("jo")
    parent = await a_parent(room, jo)
    for where in ({"parent": parent}, {"channel": "internal"}, {"account": "house"}):
        asked = {"team": "claims", "text": "Is it insured?"} | where | more
        refused = await jo.post("/v1/cases", json=asked)
        assert (refused.status_code, refused.json()["name"]) == (422, "invalid"), where
        assert more == {"kind": "visit"} or "internal request" in refused.text
    assert len(await room.rows("SELECT 1 FROM cases")) == 1


# --- the counter ---------------------------------------------------------------------------------


async def test_a_visit_waits_fifteen_minutes_and_joins_what_is_open(
    room: Room, agent: MakeClient
) -> None:
    await room.hear(message())
    jo = await agent("jo")
    (known,) = await room.rows("SELECT customer_id AS id FROM identities")
    case = await opened(jo, kind="visit", customer=str(known.id), text="Asks for her parcel")
    assert (case["channel"], at(case["due_at"])) == ("counter", after(minutes=15))
    assert len(await room.rows("SELECT 1 FROM cases")) == 1, "one matter, one case"
    stranger = await opened(jo, channel="counter", identity="customer_no:77", verified=True)
    assert at(stranger["due_at"]) == after(minutes=15)
    assert stranger["waiting_since"] is not None
    told = await room.rows("SELECT scheme, verified FROM identities WHERE value = '77'")
    assert told == [("customer_no", True)]
    done = await do(jo, stranger["id"], "replies", outcome="reached")
    assert done["case"]["state"] == "waiting_customer"
    await folded(room)


# --- internal requests ---------------------------------------------------------------------------


async def a_parent(room: Room, jo: Client) -> str:
    """A case that was answered: nobody outside waits."""
    await room.hear(message())
    item = (await jo.get("/v1/inbox")).json()["items"][0]
    await do(jo, item["id"], "replies", outcome="reached", text="I will find out")
    return str(item["id"])


async def test_a_request_to_another_team_and_back(room: Room, agent: MakeClient) -> None:
    jo, sam = await agent("jo", teams=("parcels",)), await agent("sam", teams=("claims",))
    parent = await a_parent(room, jo)
    child = await opened(jo, parent=parent, team="claims", text="Is it insured?")
    assert (child["channel"], child["team"], child["parent"]) == ("internal", "claims", parent)
    assert child["due_metric"] == "first_response"
    assert at(child["due_at"]) == after(hours=4, minutes=30), "4 h of the norm for colleagues"
    waiting = await read(jo, parent)
    assert waiting["state"] == "waiting_internal"
    assert waiting["waits_on"] == [
        {"case": child["id"], "team": "claims", "since": "2026-11-17T09:00:00Z"}
    ]
    room.clock.at = after(minutes=5)
    answer = await do(sam, child["id"], "replies", text="Yes, up to 500 euro")
    room.clock.at = after(minutes=6)
    assert (answer["state"], answer["case"]["state"]) == ("recorded", "waiting_customer")
    await do(sam, child["id"], "close", reason="answered")
    back = await read(jo, parent)
    assert (back["state"], back["waits_on"]) == ("open", [])
    lines = (await jo.get(f"/v1/cases/{parent}/timeline")).json()["items"]
    told = [(line["type"], line["text"]) for line in lines if line["type"].startswith("child.")]
    assert told == [
        ("child.opened", None), ("child.reply", "Yes, up to 500 euro"), ("child.closed", None),
    ]  # fmt: skip
    await folded(room)


async def test_a_child_reopened_is_waited_for_again(room: Room, agent: MakeClient) -> None:
    jo = await agent("jo")
    parent = await a_parent(room, jo)
    child = await opened(jo, parent=parent, team="claims", text="Is it insured?")
    await do(jo, child["id"], "close")
    await do(jo, child["id"], "reopen")
    assert (await read(jo, parent))["state"] == "waiting_internal"
    await folded(room)


async def test_the_customer_goes_before_the_colleagues(room: Room, agent: MakeClient) -> None:
    jo = await agent("jo")
    await room.hear(message())
    parent = (await jo.get("/v1/inbox")).json()["items"][0]["id"]
    await opened(jo, parent=parent, team="claims", text="Is it insured?")
    assert (await read(jo, parent))["state"] == "open", "the customer waits for an answer"
    await do(jo, parent, "replies", outcome="reached")
    assert (await read(jo, parent))["state"] == "waiting_internal"
    await room.hear(message("And now?", at=after(minutes=9)))
    assert (await read(jo, parent))["state"] == "open"
    await folded(room)


async def test_children_closed_at_once_bring_it_back_once(room: Room, agent: MakeClient) -> None:
    jo, sam = await agent("jo"), await agent("sam")
    parent = await a_parent(room, jo)
    children = [
        (await opened(jo, parent=parent, team=team, text="?"))["id"]
        for team in ("claims", "frontdesk", "parcels", "claims")
    ]
    assert len((await read(jo, parent))["waits_on"]) == 4
    note = jo.post(f"/v1/cases/{parent}/notes", json={"text": "Still waiting"})
    closing = [
        do(client, child, "close") for client, child in zip((jo, sam) * 2, children, strict=True)
    ]
    await asyncio.gather(note, *closing)
    back = await read(jo, parent)
    assert (back["state"], back["waits_on"]) == ("open", [])
    rows = await room.rows(
        "SELECT type, count(*) FROM case_events WHERE case_id = :id AND type IN "
        "('child.closed', 'case.resumed') GROUP BY type ORDER BY type", id=parent,
    )  # fmt: skip
    assert [tuple(row) for row in rows] == [("case.resumed", 1), ("child.closed", 4)]
    await folded(room)


async def test_what_a_confidential_team_is_asked_is_its_own(room: Room, agent: MakeClient) -> None:
    jo = await agent("jo", teams=("parcels",))
    parent = await a_parent(room, jo)
    child = await opened(jo, parent=parent, team="privacy", text="May we keep this?")
    assert set(child) == {"id"}
    assert (await read(jo, parent))["waits_on"][0]["team"] == "privacy"


async def test_a_final_result_of_the_child_is_the_parents(room: Room, agent: MakeClient) -> None:
    jo = await agent("jo")
    parent = await a_parent(room, jo)
    child = (await opened(jo, parent=parent, team="claims", text="Number?"))["id"]
    draft = {"name": "tracking_number", "state": "draft", "data": {"number": "3S"}}
    await do(jo, child, "results", **draft)
    assert (await read(jo, parent))["results"] == []
    await do(jo, child, "results", **draft | {"state": "final", "data": {"number": "3SABC"}})
    (result,) = (await read(jo, parent))["results"]
    assert (result["name"], result["version"], result["data"]) == (
        "tracking_number", 1, {"number": "3SABC"},
    )  # fmt: skip
    assert result["author"] == "child"
    await folded(room)


async def test_a_closed_case_asks_nobody(room: Room, agent: MakeClient) -> None:
    jo, sam = await agent("jo"), await agent("sam", teams=("claims",))
    parent = await a_parent(room, jo)
    request = {"parent": parent, "team": "claims", "text": "?"}
    assert (await sam.post("/v1/cases", json=request)).status_code == 403
    await do(jo, parent, "close")
    refused = await jo.post("/v1/cases", json=request)
    assert (refused.status_code, refused.json()["name"]) == (409, "case-closed")
    assert len(await room.rows("SELECT 1 FROM cases")) == 1


# --- forms and colleagues by POST /v1/messages ---------------------------------------------------


def posted(room: Room, **body: Any) -> MessageReceived:
    """As `POST /v1/messages` reads it."""
    account = room.runtime.accounts.get("service-portal")
    assert account is not None
    sender = {"address": "noor@example.org", "verified": True}
    given = {"account": account.name, "from": sender, "id": uuid4().hex} | body
    return message_from_json(given, account, room.clock(), "")[0]


async def results(room: Room) -> list[tuple[Any, ...]]:
    rows = await room.rows("SELECT name, version, state, data FROM results ORDER BY name, version")
    return [tuple(row) for row in rows]


async def test_a_form_half_filled_is_a_draft_until_it_is_sent_whole(room: Room) -> None:
    first = {"result": "damage_description", "what": "corner"}
    await room.hear(posted(room, kind="form_abandoned", product="claims", draft=first, id="f-1"))
    second = first | {"when": "today"}
    again = posted(room, kind="form_abandoned", draft=second, thread="f-1")
    await room.hear(again)
    await room.hear(posted(room, draft=second | {"photo": True}, thread="f-1"))
    assert await results(room) == [
        ("damage_description", 1, "draft", {"what": "corner"}),
        ("damage_description", 2, "draft", {"what": "corner", "when": "today"}),
        ("damage_description", 3, "final", {"what": "corner", "when": "today", "photo": True}),
    ]
    assert len(await room.rows("SELECT 1 FROM cases")) == 1
    await folded(room)


async def test_asking_for_the_call_accepts_it_with_consent(room: Room, agent: MakeClient) -> None:
    await room.hear(posted(room, kind="form_abandoned", draft={"city": "Ede"}, id="f-1"))
    (offer,) = await room.rows("SELECT id, case_id, state FROM handoffs WHERE to_channel = 'phone'")
    assert offer.state == "offered", "an abandoned form is caught"
    await room.hear(posted(room, kind="callback_requested", thread="f-1"))
    assert (await room.rows("SELECT state FROM handoffs"))[0][0] == "offered", "no number to call"
    wanted = {"phone": "+31 6 12345678"}
    await room.hear(posted(room, kind="callback_requested", thread="f-1", attributes=wanted))
    (row,) = await room.rows("SELECT state, consent FROM handoffs")
    assert (row.state, row.consent["by"]) == ("accepted", "customer")
    assert row.consent["how"] == "asked for a call on portal"
    (case,) = await room.rows("SELECT doc -> 'routes' -> 'phone' FROM cases")
    assert case[0]["identity"]["value"] == "+31612345678"
    await folded(room)


async def test_the_page_sees_what_is_offered(room: Room) -> None:
    form = posted(room, kind="form_abandoned", draft={"city": "Ede"}, id="f-1")
    await room.hear(form)
    intake = Intake(room.runtime.broker, room.runtime.blobs, room.runtime.now)
    app = make_app(room.runtime, [ingest_api.routes(room.runtime, intake)])
    async with transaction(room.engine) as connection:
        key = await create(connection, Grant(role="integrator"))
    async with Client(transport=httpx.ASGITransport(app), base_url="http://regie") as page:
        page.headers["Authorization"] = f"Bearer {key}"
        (offer,) = (await page.get(f"/v1/messages/{form.id}")).json()["offers"]
        assert offer["to_channel"] == "phone"
        assert (await room.rows("SELECT id FROM handoffs"))[0].id == UUID(offer["id"])
        room.clock.at = at(offer["expires_at"])
        assert (await page.get(f"/v1/messages/{form.id}")).json()["offers"] == []


async def test_a_colleague_gets_a_mail_where_they_have_an_address(
    room: Room, agent: MakeClient
) -> None:
    text = mail("May we?", address="kim@staff.example.org")
    await room.hear(msgspec.structs.replace(text, account="house", channel="internal"))
    jo = await agent("jo")
    case = (await jo.get("/v1/inbox")).json()["items"][0]
    assert (await do(jo, case["id"], "replies", text="You may"))["state"] == "pending"
    (out,) = await room.rows("SELECT channel, account FROM messages WHERE direction = 'out'")
    assert tuple(out) == ("email", "support-mail")


# --- splitting -----------------------------------------------------------------------------------


async def two_in_one(room: Room, jo: Client) -> tuple[str, MessageReceived, MessageReceived]:
    """A mail about a parcel, and one about damage that was joined to it."""
    one = mail("Where is my parcel?", reference="<one@example.org>")
    two = mail("It came damaged", at=after(minutes=30), reference="<two@example.org>")
    await room.hear(one)
    room.clock.at = after(minutes=30)
    await room.hear(two)
    return (await jo.get("/v1/inbox")).json()["items"][0]["id"], one, two


async def test_a_wrong_join_is_undone_and_the_thread_follows(room: Room, agent: MakeClient) -> None:
    jo = await agent("jo")
    old, one, two = await two_in_one(room, jo)
    room.clock.at = after(hours=2)
    new = (await do(jo, old, "split", messages=[str(two.id)]))["id"]
    left, right = await read(jo, old), await read(jo, new)
    assert (left["team"], right["team"], right["product"]) == ("parcels", "claims", "claims")
    assert at(left["waiting_since"]) == NOON
    assert at(right["waiting_since"]) == after(minutes=30), "since they wrote, not since the split"
    assert right["customer"]["id"] == left["customer"]["id"]
    thread = Thread(message_id="<three@x>", references=("<two@example.org>",))
    await room.hear(mail("A photo", at=after(hours=3), thread=thread))
    (row,) = await room.rows("SELECT case_id FROM messages WHERE text = 'A photo'")
    assert str(row.case_id) == new
    thread = Thread(message_id="<four@x>", references=("<one@example.org>",))
    await room.hear(mail("So where?", at=after(hours=3), thread=thread))
    (row,) = await room.rows("SELECT case_id FROM messages WHERE text = 'So where?'")
    assert str(row.case_id) == old
    await folded(room)
    assert one.id != two.id


async def test_the_promise_goes_with_the_oldest_and_back(room: Room, agent: MakeClient) -> None:
    jo = await agent("jo")
    old, one, two = await two_in_one(room, jo)
    promised = (await read(jo, old))["due_at"]
    new = (await do(jo, old, "split", messages=[str(one.id)], subject="The parcel"))["id"]
    right = await read(jo, new)
    assert (right["subject"], right["due_at"]) == ("The parcel", promised)
    assert at((await read(jo, old))["waiting_since"]) == after(minutes=30)
    back = await do(jo, new, "split", messages=[str(one.id)], into=old)
    assert (back["id"], back["case"]["state"]) == (old, "closed"), "nothing is left of it"
    again = await read(jo, old)
    assert (again["due_at"], at(again["waiting_since"])) == (promised, NOON)
    rows = await room.rows("SELECT case_id FROM messages")
    assert {str(row.case_id) for row in rows} == {old}
    assert two.id != one.id
    await folded(room)


async def test_what_was_answered_stays_answered_and_its_answer_goes_along(
    room: Room, agent: MakeClient
) -> None:
    jo = await agent("jo")
    await room.hear(mail("Where is my parcel?", reference="<one@example.org>"))
    old = (await jo.get("/v1/inbox")).json()["items"][0]["id"]
    reply = (await do(jo, old, "replies", text="On its way"))["id"]
    await room.report(sent(old, reply))
    room.clock.at = after(minutes=30)
    second = mail("It came damaged", at=after(minutes=30), reference="<two@example.org>")
    await room.hear(second)
    (first,) = await room.rows("SELECT id FROM messages WHERE text LIKE 'Where%'")
    new = (await do(jo, old, "split", messages=[str(first.id)]))["id"]
    right = await read(jo, new)
    assert right["waiting_since"] is None
    assert "first_response" not in metrics(right)
    assert at((await read(jo, old))["waiting_since"]) == after(minutes=30)
    (row,) = await room.rows("SELECT case_id FROM messages WHERE direction = 'out'")
    assert str(row.case_id) == new
    ours = f"<regie.{reply}@example.org>"
    thread = Thread(message_id="<t@x>", references=(ours, "<one@example.org>"), token=old)
    await room.hear(mail("Thanks", at=after(hours=1), thread=thread))
    (row,) = await room.rows("SELECT case_id FROM messages WHERE text = 'Thanks'")
    assert str(row.case_id) == new, "though our own token names the case it left"
    await folded(room)


async def test_what_only_that_message_had_opened_waits_for_the_customer_again(
    room: Room, agent: MakeClient
) -> None:
    jo = await agent("jo")
    await room.hear(mail("Where is my parcel?"))
    old = (await jo.get("/v1/inbox")).json()["items"][0]["id"]
    await do(jo, old, "replies", outcome="reached")
    second = mail("It came damaged", at=after(minutes=30))
    await room.hear(second)
    done = await do(jo, old, "split", messages=[str(second.id)])
    assert done["case"]["state"] == "waiting_customer"
    assert (await read(jo, done["id"]))["due_metric"] == "first_response"
    await folded(room)


async def test_what_cannot_be_split_is_said(room: Room, agent: MakeClient) -> None:
    jo = await agent("jo")
    old, one, two = await two_in_one(room, jo)
    await room.hear(mail("Another's", address="eve@example.org", at=after(minutes=31)))
    (other,) = await room.rows("SELECT case_id AS id FROM messages WHERE text = 'Another''s'")

    async def refusal(**body: Any) -> str:
        version = (await read(jo, old))["version"]
        headers = {"If-Match": f'"{version}"'}
        answer = await jo.post(f"/v1/cases/{old}/split", json=body, headers=headers)
        assert answer.status_code >= 400
        return str(answer.json()["name"])

    both = [str(one.id), str(two.id)]
    assert await refusal(messages=both) == "nothing-left"
    assert await refusal(messages=[str(uuid4())]) == "not-in-case"
    assert await refusal(messages=both[:1], into=str(other.id)) == "not-theirs"
    assert await refusal(messages=both[:1], into=old) == "not-theirs"
    assert await refusal(messages=both[:1], into=str(uuid4())) == "not-found"
    unseen = await jo.post(f"/v1/cases/{old}/split", json={"messages": both[:1]})
    assert unseen.status_code == 428
    sam = await agent("sam", teams=("claims",))
    refused = await sam.post(f"/v1/cases/{old}/split", json={"messages": both[:1]})
    assert refused.status_code == 403
    await folded(room)


# --- correcting ----------------------------------------------------------------------------------


async def test_a_case_is_corrected_and_its_promise_never_loosened(
    room: Room, agent: MakeClient
) -> None:
    await room.hear(message())
    jo = await agent("jo")
    case = (await jo.get("/v1/inbox")).json()["items"][0]

    async def patch(**body: Any) -> dict[str, Any]:
        version = (await read(jo, case["id"]))["version"]
        answer = await jo.patch(
            f"/v1/cases/{case['id']}", json=body, headers={"If-Match": f'"{version}"'}
        )
        assert answer.status_code == 200, answer.text
        changed: dict[str, Any] = answer.json()
        return changed

    changed = await patch(product="claims", priority="low", tags=["angry", "angry", " "])
    assert (changed["product"], changed["priority"]) == ("claims", "low")
    assert changed["due_at"] == case["due_at"]
    (doc,) = await room.rows("SELECT doc -> 'tags' FROM cases")
    assert doc[0] == ["angry"]
    assert (await patch(tags=["angry"]))["version"] == changed["version"], "nothing changed"
    assert (await jo.patch(f"/v1/cases/{case['id']}", json={})).status_code == 422
    await folded(room)
