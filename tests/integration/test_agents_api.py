"""The agents' API over HTTP, on a real PostgreSQL: what DESIGN 6 promises of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.router.api import routers
from shared.api_keys import Grant, create
from shared.database import transaction
from shared.web.app import make_app
from tests.builders import after, message, sender
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
    """A client with a key of its own: `await agent("jo", teams=["parcels"])`."""
    app = make_app(room.runtime, routers(room.handlers))
    clients: list[Client] = []

    async def make(name: str, role: Any = "agent", teams: tuple[str, ...] = ()) -> Client:
        async with transaction(room.engine) as connection:
            key = await create(connection, Grant(role=role, agent=name, teams=teams))
        client = Client(
            transport=httpx.ASGITransport(app),
            base_url="http://regie",
            headers={"Authorization": f"Bearer {key}"},
        )
        clients.append(client)
        return client

    yield make
    for client in clients:
        await client.aclose()


async def first(client: Client) -> dict[str, Any]:
    item: dict[str, Any] = (await client.get("/v1/inbox")).json()["items"][0]
    return item


async def test_the_inbox_lists_the_most_urgent_first(room: Room, agent: MakeClient) -> None:
    people = [sender(f"+3161000000{n}", name=f"P{n}") for n in range(5)]
    for minute, person in zip((30, 10, 50, 20, 40), people, strict=True):
        await room.hear(message(at=after(minutes=minute), sender=person))
    jo = await agent("jo")
    page = (await jo.get("/v1/inbox", params={"limit": 2})).json()
    names = [item["customer"]["name"] for item in page["items"]]
    while page["next_cursor"]:
        page = (
            await jo.get("/v1/inbox", params={"limit": 2, "cursor": page["next_cursor"]})
        ).json()
        names += [item["customer"]["name"] for item in page["items"]]
    assert names == ["P1", "P3", "P0", "P4", "P2"]


async def test_an_item_has_what_an_agent_needs(room: Room, agent: MakeClient) -> None:
    await room.hear(message())
    item = await first(await agent("jo"))
    assert item["customer"]["identities"] == ["e164:+31612345678"]
    assert (item["team"], item["channel"], item["state"]) == ("parcels", "whatsapp", "open")
    assert (item["due_at"], item["due_metric"]) == ("2026-11-17T10:00:00Z", "first_response")
    assert item["waiting_since"] == "2026-11-17T09:00:00Z"
    assert {row["to"] for row in item["allowed_switches"]} == {"phone", "email"}
    assert item["agent"] is None
    assert item["version"] == 4


async def test_keys_are_asked_for_and_roles_are_kept(room: Room, agent: MakeClient) -> None:
    stranger = await agent("jo")
    stranger.headers.pop("authorization")
    refused = await stranger.get("/v1/inbox")
    assert refused.status_code == 401
    assert refused.headers["content-type"] == "application/problem+json"
    integrator = await agent("shop", role="integrator")
    assert (await integrator.get("/v1/inbox")).status_code == 403


async def test_lists_and_writes_are_by_team_reading_is_not(room: Room, agent: MakeClient) -> None:
    await room.hear(message())
    jo, sam = await agent("jo", teams=("parcels",)), await agent("sam", teams=("claims",))
    case = await first(jo)
    assert (await sam.get("/v1/inbox")).json()["items"] == []
    assert (await sam.post("/v1/inbox/next")).status_code == 204
    assert (await sam.get(f"/v1/cases/{case['id']}")).status_code == 200
    refused = await sam.post(f"/v1/cases/{case['id']}/claim")
    assert refused.status_code == 403
    assert "parcels" in refused.json()["detail"]


async def test_next_gives_each_case_to_one_agent(room: Room, agent: MakeClient) -> None:
    await room.hear(*(message(sender=sender(f"+316100000{n:02d}")) for n in range(20)))
    jo, sam = await agent("jo"), await agent("sam")
    taken = await asyncio.gather(*(who.post("/v1/inbox/next") for who in [jo, sam] * 10))
    ids = [answer.json()["id"] for answer in taken if answer.status_code == 200]
    assert len(ids) == len(set(ids)) == 20


async def test_the_loser_of_a_claim_learns_who_won(room: Room, agent: MakeClient) -> None:
    await room.hear(message())
    jo, sam = await agent("jo"), await agent("sam")
    case = await first(jo)
    won = await jo.post(f"/v1/cases/{case['id']}/claim")
    assert (won.status_code, won.json()["agent"]) == (200, "jo")
    lost = await sam.post(f"/v1/cases/{case['id']}/claim")
    assert (lost.status_code, lost.json()["owner"]) == (409, "jo")
    assert (await sam.post(f"/v1/cases/{case['id']}/release")).status_code == 409
    boss = await agent("boss", role="supervisor")
    assert (await boss.post(f"/v1/cases/{case['id']}/release")).json()["agent"] is None


async def test_a_change_needs_the_version_or_the_claim(room: Room, agent: MakeClient) -> None:
    await room.hear(message())
    jo = await agent("jo")
    case = await first(jo)
    url = f"/v1/cases/{case['id']}/replies"
    needed = await jo.post(url, json={"text": "On its way"})
    assert (needed.status_code, needed.json()["version"]) == (428, 4)
    await room.hear(message("And now?", at=after(minutes=1)))
    stale = await jo.post(url, json={"text": "On its way"}, headers={"If-Match": '"4"'})
    assert stale.status_code == 412
    assert stale.json()["version"] == 5
    assert [m["text"] for m in stale.json()["messages"]] == ["And now?"]
    sent = await jo.post(url, json={"text": "On its way"}, headers={"If-Match": '"5"'})
    assert sent.status_code == 202
    assert sent.headers["etag"] == '"6"'
    await jo.post(f"/v1/cases/{case['id']}/claim")
    assert (await jo.post(url, json={"text": "Really"})).status_code == 202


async def test_the_same_idempotency_key_has_one_effect(room: Room, agent: MakeClient) -> None:
    await room.hear(message())
    jo = await agent("jo")
    case = await first(jo)
    url = f"/v1/cases/{case['id']}/notes"
    same = {"Idempotency-Key": "n1"}
    one = await jo.post(url, json={"text": "Called"}, headers=same)
    two = await jo.post(url, json={"text": "Called"}, headers=same)
    assert one.status_code == two.status_code == 201
    assert one.json() == two.json()
    other = await jo.post(url, json={"text": "Other"}, headers=same)
    assert other.status_code == 422
    notes = await room.rows("SELECT count(*) FROM case_events WHERE type = 'note.added'")
    assert notes[0][0] == 1


async def test_closing_leaves_the_inbox_and_reopening_comes_back(
    room: Room, agent: MakeClient
) -> None:
    await room.hear(message())
    jo = await agent("jo")
    case = await first(jo)
    await jo.post(f"/v1/cases/{case['id']}/claim")
    closed = await jo.post(f"/v1/cases/{case['id']}/close", json={"reason": "done"})
    assert closed.json()["state"] == "closed"
    assert (await jo.get("/v1/inbox")).json()["items"] == []
    listed = await jo.get("/v1/inbox", params={"state": "closed"})
    assert len(listed.json()["items"]) == 1
    tag = closed.headers["etag"]
    again = await jo.post(f"/v1/cases/{case['id']}/reopen", headers={"If-Match": tag})
    assert again.json()["state"] == "open"


async def test_a_case_shows_its_clocks_timeline_and_why(room: Room, agent: MakeClient) -> None:
    await room.hear(message())
    jo = await agent("jo")
    case = await first(jo)
    view = (await jo.get(f"/v1/cases/{case['id']}")).json()
    assert {d["metric"] for d in view["deadlines"]} == {"first_response", "resolution"}
    await jo.post(f"/v1/cases/{case['id']}/notes", json={"text": "Asked the depot"})
    line = (await jo.get(f"/v1/cases/{case['id']}/timeline")).json()["items"]
    said = [entry for entry in line if entry["type"] == "message"]
    assert said[0]["text"] == "Where is my parcel?"
    assert [entry["text"] for entry in line if entry["type"] == "note.added"] == ["Asked the depot"]
    why = (await jo.get(f"/v1/cases/{case['id']}/decisions")).json()["items"]
    assert [d["rule"] for d in why if d["kind"] == "routing"] == ["tracking"]
    assert all(d["policy_version"] == 1 for d in why)


async def test_a_page_is_waited_for(room: Room, agent: MakeClient) -> None:
    jo = await agent("jo")
    tag = (await jo.get("/v1/inbox")).headers["etag"]
    unchanged = await jo.get("/v1/inbox", headers={"If-None-Match": tag})
    assert unchanged.status_code == 304
    room.handlers.runtime.now.at = after()  # type: ignore[attr-defined]
    waiting = asyncio.create_task(
        jo.get("/v1/inbox", params={"wait": 30}, headers={"If-None-Match": tag}, timeout=40)
    )
    await room.hear(message())
    answer = await asyncio.wait_for(waiting, 10)
    assert len(answer.json()["items"]) == 1


async def test_a_switch_is_refused_by_name_or_invites(room: Room, agent: MakeClient) -> None:
    await room.hear(message())
    jo = await agent("jo")
    case = await first(jo)
    await jo.post(f"/v1/cases/{case['id']}/claim")
    url = f"/v1/cases/{case['id']}/handoffs"
    refused = await jo.post(url, json={"to_channel": "sms", "reason": "agent"})
    assert (refused.status_code, refused.json()["name"]) == (409, "switch-not-permitted")
    assert refused.json()["permitted"]
    offered = await jo.post(
        url, json={"to_channel": "email", "reason": "agent", "address": "Ada@example.org"}
    )
    assert offered.status_code == 201
    code = offered.json()["code"]
    assert code.startswith("R-")
    stored = await room.rows("SELECT data::text FROM case_events")
    assert not any(code in row[0] for row in stored), "the history has it masked"
    kept = await room.rows("SELECT encode(hash, 'hex') FROM resume_codes")
    assert len(kept) == 1


async def test_a_transfer_waits_for_the_other_team(room: Room, agent: MakeClient) -> None:
    await room.hear(message("Hello"))
    jo, sam = await agent("jo", teams=("frontdesk",)), await agent("sam", teams=("claims",))
    case = await first(jo)
    await jo.post(f"/v1/cases/{case['id']}/claim")
    offered = await jo.post(
        f"/v1/cases/{case['id']}/handoffs", json={"to_team": "claims", "reason": "agent"}
    )
    handoff = offered.json()["id"]
    assert (await jo.get(f"/v1/cases/{case['id']}")).json()["team"] == "frontdesk"
    assert (await jo.post(f"/v1/handoffs/{handoff}/accept")).status_code == 403
    taken = await sam.post(f"/v1/handoffs/{handoff}/accept")
    assert taken.json()["team"] == "claims"
    again = await sam.post(f"/v1/handoffs/{handoff}/accept")
    assert (again.status_code, again.json()) == (200, taken.json()), "who repeats it hears the same"


async def test_wrong_bodies_say_which_field(room: Room, agent: MakeClient) -> None:
    await room.hear(message())
    jo = await agent("jo")
    case = await first(jo)
    wrong = await jo.post(f"/v1/cases/{case['id']}/replies", json={"txet": "Hi"})
    assert wrong.status_code == 422
    assert "txet" in wrong.text
    missing = await jo.get("/v1/cases/00000000-0000-0000-0000-000000000000")
    assert missing.status_code == 404


async def test_a_claimed_reply_answers_what_was_there_as_it_arrived(
    room: Room, agent: MakeClient
) -> None:
    await room.hear(message())
    jo = await agent("jo")
    case = await first(jo)
    await jo.post(f"/v1/cases/{case['id']}/claim")
    async with transaction(room.engine) as connection:
        seen = message("No wait, cancel it!", at=after(minutes=1))
        await room.handlers.on_messages(connection, room.received([seen]))
        sending = asyncio.create_task(
            jo.post(f"/v1/cases/{case['id']}/replies", json={"text": "On its way"})
        )
        await waiting_for_lock(room)
    assert (await sending).status_code == 202
    (row,) = await room.rows(
        "SELECT data ->> 'answers' FROM case_events WHERE type = 'reply.requested'"
    )
    assert row[0] == "5", "the version before the message it could not see"


async def waiting_for_lock(room: Room) -> None:
    """Until somebody waits for a row that we hold."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    async with asyncio.timeout(10):
        while not (await room.rows(query))[0][0]:
            pass


async def test_confidential_cases_show_to_their_own_team_only(
    room: Room, agent: MakeClient
) -> None:
    await room.hear(message())
    await room.rows(
        "UPDATE cases SET team = 'privacy', "
        "doc = jsonb_set(doc, '{team}', '\"privacy\"') RETURNING id"
    )
    own, other = await agent("pat", teams=("privacy",)), await agent("jo")
    case = await first(own)
    for path in ("", "/timeline", "/decisions"):
        assert (await own.get(f"/v1/cases/{case['id']}{path}")).status_code == 200
        assert (await other.get(f"/v1/cases/{case['id']}{path}")).status_code == 404
    assert (await other.get("/v1/inbox")).json()["items"] == []
    assert (await other.post("/v1/inbox/next")).status_code == 204
    assert (await other.post(f"/v1/cases/{case['id']}/claim")).status_code == 404
    await own.post(f"/v1/cases/{case['id']}/claim")
    offered = await own.post(f"/v1/cases/{case['id']}/handoffs", json={"to_team": "frontdesk"})
    assert offered.status_code == 201, offered.text
    desk = await agent("sam", teams=("frontdesk",))
    declined = await desk.post(f"/v1/handoffs/{offered.json()['id']}/decline")
    assert declined.status_code == 200
    assert "subject" not in declined.json()


async def test_what_cannot_be_stored_is_refused_with_its_field(
    room: Room, agent: MakeClient
) -> None:
    await room.hear(message())
    jo = await agent("jo")
    case = await first(jo)
    await jo.post(f"/v1/cases/{case['id']}/claim")
    for body in (
        {"text": "a\x00b"},
        {"outcome": "reached", "occurred_at": "2026-11-17T09:00:00"},
        {"outcome": "reached", "occurred_at": "0001-01-01T00:00:00+14:00"},
        {"template": "t" * 5000},
    ):
        answer = await jo.post(f"/v1/cases/{case['id']}/replies", json=body)
        assert answer.status_code == 422, body


async def test_a_call_answers_what_was_said_before_it(room: Room, agent: MakeClient) -> None:
    await room.hear(message())
    jo = await agent("jo")
    case = await first(jo)
    room.clock.at = after(hours=1)

    async def record(at: datetime, outcome: str = "reached") -> tuple[int, str]:
        version = (await jo.get(f"/v1/cases/{case['id']}")).json()["version"]
        answer = await jo.post(
            f"/v1/cases/{case['id']}/replies",
            json={"outcome": outcome, "occurred_at": at.isoformat()},
            headers={"If-Match": f'"{version}"'},
        )
        return answer.status_code, answer.json().get("name", "")

    assert await record(after(hours=1, minutes=6)) == (422, "too-far")
    assert await record(after(hours=-1)) == (422, "past")
    assert await room.rows("SELECT 1 FROM case_events WHERE type = 'reply.recorded'") == []
    assert await record(after(hours=-1), "no_answer") == (202, "")
    assert await record(after(hours=1, minutes=4)) == (202, ""), "two clocks, one moment"
    (last,) = await room.rows(
        "SELECT data ->> 'occurred_at' AS at FROM case_events WHERE type = 'reply.recorded' "
        "ORDER BY seq DESC LIMIT 1"
    )
    assert datetime.fromisoformat(last.at) == after(hours=1)
    assert await record(after(hours=-1)) == (202, ""), "nobody waits: it answers nothing"


async def test_next_with_the_same_key_claims_once(room: Room, agent: MakeClient) -> None:
    await room.hear(*(message(sender=sender(f"+316100000{n:02d}")) for n in range(3)))
    jo = await agent("jo")
    same = {"Idempotency-Key": "k"}
    one, two = [await jo.post("/v1/inbox/next", headers=same) for _ in range(2)]
    assert one.json()["id"] == two.json()["id"]


async def test_states_are_named_alone_or_together(room: Room, agent: MakeClient) -> None:
    await room.hear(message())
    jo = await agent("jo")
    both = await jo.get("/v1/inbox", params={"state": "open,waiting_customer"})
    assert len(both.json()["items"]) == 1
    assert (await jo.get("/v1/inbox", params={"state": "opne"})).status_code == 422
