"""Agents on a real PostgreSQL: who they are, what the queue gives them, what Regie gives them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import text

from services.router.agents import seize
from services.router.api import routers
from services.router.commands import Claim, PassTime, Release
from services.router.giving import Giving
from shared.api_keys import Grant, create
from shared.database import transaction
from shared.events import MessageReceived
from shared.web import encode_cursor
from shared.web.app import make_app
from tests.builders import NOON, after, mail, message, sender
from tests.rooms import Room, make_room
from tests.waiting import until

HOLD = text("SELECT FROM cases WHERE id = :id FOR UPDATE")
Client = httpx.AsyncClient
MakeClient = Callable[..., Awaitable[Client]]

POLICY = """
name: desk
timezone: UTC
calendars: {always: {hours: 24/7}}
teams:
  parcels: {calendar: always, skills: [customs, tracking], capacity: 3}
  claims: {calendar: always, skills: [french], capacity: 2, give: true}
  privacy: {calendar: always, confidential: true, give: true}
  frontdesk: {calendar: always}
weights: {email: 2}
routing:
  - {name: customs, when: 'text.contains("customs")', team: parcels, skills: [customs]}
  - {name: french, when: 'text.contains("bonjour")', team: claims, skills: [french]}
  - {name: privacy, when: 'text.contains("forget me")', team: privacy}
  - {name: damage, when: 'text.contains("damaged")', team: claims}
  - {name: parcels, when: 'text.contains("parcel")', team: parcels}
  - {name: rest, team: frontdesk}
service_levels:
  - {name: news, when: 'team == "frontdesk"', calendar: always, first_response: 4h,
     update_every: 8h}
  - {name: any, when: '!text.contains("whenever")', calendar: always, first_response: 4h}
claim_lease: 30m
return_unanswered_after: 2h
"""


@pytest.fixture
async def room(database_url: str, tmp_path: Path) -> AsyncIterator[Room]:
    room = await open_room(database_url, tmp_path)
    yield room
    await room.engine.dispose()


async def open_room(url: str, folder: Path) -> Room:
    room = await make_room(url, folder)
    file = folder / "policy.yaml"
    file.write_text(POLICY, encoding="utf-8")
    await room.handlers.policies.load(str(file))
    return room


@pytest.fixture
async def agent(room: Room) -> AsyncIterator[MakeClient]:
    """A client with a key of its own: `await agent("jo", teams=("parcels",))`."""
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


async def hear(room: Room, *texts: str, by: Callable[..., Any] = message) -> None:
    """One case each, by a customer each; the first is due first."""
    done = len(await room.rows("SELECT id FROM cases"))
    await room.hear(
        *(
            by(text, after(seconds=number), sender=sender(f"+316{number:08d}"))
            for number, text in enumerate(texts, done)
        )
    )


def without_window(text: str, at: datetime, **given: Any) -> MessageReceived:
    return message(text, at, reply_window_closes_at=None, **given)


async def is_online(client: Client, **more: Any) -> None:
    answer = await client.patch("/v1/agents/me", json={"presence": "online", **more})
    assert answer.status_code == 200, answer.text


async def owners(room: Room) -> dict[str, str]:
    return {row.subject: row.agent for row in await room.rows("SELECT subject, agent FROM cases")}


async def is_busy(room: Room, name: str) -> None:
    """They have a case already, so that anybody else would be given the next."""
    await hear(room, "hello")
    (row,) = await room.rows("SELECT id FROM cases WHERE subject = 'hello'")
    await room.tell(row.id, Claim(name))


async def give(room: Room) -> int:
    return await Giving(room.handlers).give()


# --- who they are --------------------------------------------------------------------------------


async def test_everybody_with_a_live_key_is_listed(room: Room, agent: MakeClient) -> None:
    jo = await agent("jo", teams=("parcels",))
    await agent("kim")
    await agent("shop", role="integrator")
    gone = await agent("gone")
    await gone.patch("/v1/agents/me", json={"presence": "online"})
    await room.rows("UPDATE api_keys SET revoked_at = now() WHERE agent = 'gone' RETURNING id")
    first = (await jo.get("/v1/agents", params={"limit": 2})).json()
    rest = (await jo.get("/v1/agents", params={"cursor": first["next_cursor"]})).json()
    items = first["items"] + rest["items"]
    assert [(item["name"], item["teams"]) for item in items] == [
        ("gone", []),
        ("jo", ["parcels"]),
        ("kim", ["claims", "frontdesk", "parcels"]),
    ]
    assert rest["next_cursor"] is None
    assert items[1] == {
        "name": "jo",
        "presence": "away",
        "skills": [],
        "capacity": None,
        "teams": ["parcels"],
        "load": 0,
        "given_at": None,
        "notify": [],
    }
    assert (await jo.get("/v1/agents/nobody")).status_code == 404
    assert (await jo.get("/v1/agents/%00")).status_code == 422
    forged = encode_cursor("\x00")
    assert (await jo.get("/v1/agents", params={"cursor": forged})).status_code == 200


async def test_presence_is_ones_own_the_rest_a_supervisors(agent: MakeClient) -> None:
    jo, sam = await agent("jo"), await agent("sam")
    chief = await agent("chief", role="supervisor")
    assert (await jo.put("/v1/agents/me", json={"presence": "online"})).json()["name"] == "jo"
    assert (await jo.get("/v1/agents/jo")).json()["presence"] == "online"
    assert (await sam.patch("/v1/agents/jo", json={"presence": "away"})).status_code == 403
    refused = await jo.patch("/v1/agents/me", json={"skills": ["customs"]})
    assert (refused.status_code, "skills" in refused.json()["detail"]) == (403, True)
    change = {"skills": ["customs"], "capacity": 5, "teams": ["parcels"]}
    changed = (await chief.patch("/v1/agents/jo", json=change)).json()
    assert {name: changed[name] for name in change} == change
    assert changed["presence"] == "online"
    assert (await chief.patch("/v1/agents/jo", json={"capacity": None})).json()["skills"] == [
        "customs"
    ]


async def test_unknown_words_are_refused_with_the_nearest(agent: MakeClient) -> None:
    chief = await agent("chief", role="supervisor")
    skill = await chief.patch("/v1/agents/chief", json={"skills": ["custom"]})
    assert (skill.status_code, skill.json()["name"]) == (422, "unknown-skill")
    assert "did you mean `customs`?" in skill.json()["detail"]
    team = await chief.patch("/v1/agents/chief", json={"teams": ["parcel"]})
    assert (team.status_code, team.json()["name"]) == (422, "unknown-team")
    assert (await chief.patch("/v1/agents/chief", json={"mood": "good"})).status_code == 422
    assert (await chief.patch("/v1/agents/chief", json={"presence": None})).status_code == 422


async def test_a_skill_that_only_the_routing_names_can_be_given(
    room: Room, agent: MakeClient, tmp_path: Path
) -> None:
    """Which of a policy's teams list no skills is only a warning: it can rule."""
    file = tmp_path / "unlisted.yaml"
    asks = "team: parcels, skills: [customs], targets: [{for: 30m}, {skills: [tracking]}]}"
    text = POLICY.replace(", skills: [customs, tracking]", "")
    file.write_text(text.replace("team: parcels, skills: [customs]}", asks), encoding="utf-8")
    await room.handlers.policies.load(str(file))
    chief = await agent("chief", role="supervisor")
    given = await chief.patch("/v1/agents/jo", json={"skills": ["customs", "tracking", "french"]})
    assert given.status_code == 200, given.text
    assert given.json()["skills"] == ["customs", "tracking", "french"]
    wrong = await chief.patch("/v1/agents/jo", json={"skills": ["custom"]})
    assert "did you mean `customs`?" in wrong.json()["detail"]


async def test_a_supervisor_moves_people_between_their_own_teams_only(agent: MakeClient) -> None:
    await agent("jo", teams=("parcels", "claims"))
    await agent("sam", teams=("frontdesk",))
    chief = await agent("chief", role="supervisor", teams=("parcels", "claims"))
    path = "/v1/agents/jo"
    assert (await chief.patch(path, json={"teams": ["claims"]})).json()["teams"] == ["claims"]
    assert (await chief.patch("/v1/agents/sam", json={"capacity": 1})).status_code == 403
    refused = await chief.patch("/v1/agents/sam", json={"teams": ["claims"]})
    assert (refused.status_code, "frontdesk" in refused.json()["detail"]) == (403, True)
    assert (await chief.patch("/v1/agents/new", json={"capacity": 1})).status_code == 403
    prepared = await chief.put("/v1/agents/new", json={"teams": ["claims"], "skills": ["french"]})
    assert (prepared.status_code, prepared.json()["teams"]) == (200, ["claims"])


# --- the queue -----------------------------------------------------------------------------------


async def test_next_passes_over_what_asks_for_other_skills(room: Room, agent: MakeClient) -> None:
    await hear(room, "customs first", "parcel second")
    jo, chief = await agent("jo"), await agent("chief", role="supervisor")
    listed = (await jo.get("/v1/inbox")).json()["items"]
    assert [item["skills"] for item in listed] == [["customs"], []]
    assert (await jo.post("/v1/inbox/next")).json()["subject"] == "parcel second"
    assert (await jo.post("/v1/inbox/next")).status_code == 204
    await chief.patch("/v1/agents/jo", json={"skills": ["tracking", "customs"]})
    assert (await jo.post("/v1/inbox/next")).json()["subject"] == "customs first"


async def test_a_claim_by_name_is_ones_own_decision(room: Room, agent: MakeClient) -> None:
    await hear(room, "customs", "parcel 1", "parcel 2", "parcel 3", "parcel 4")
    jo = await agent("jo", teams=("parcels",))
    for item in (await jo.get("/v1/inbox")).json()["items"]:
        assert (await jo.post(f"/v1/cases/{item['id']}/claim")).status_code == 200
    assert (await jo.get("/v1/agents/me")).json()["load"] == 5


async def test_who_is_away_gets_nothing_until_they_come_back(room: Room, agent: MakeClient) -> None:
    await hear(room, "parcel")
    jo = await agent("jo")
    await jo.patch("/v1/agents/me", json={"presence": "away"})
    refused = await jo.post("/v1/inbox/next")
    assert (refused.status_code, refused.json()["name"]) == (409, "agent-away")
    assert "/v1/agents/me" in refused.json()["detail"]
    await is_online(jo)
    assert (await jo.post("/v1/inbox/next")).status_code == 200


async def test_who_asks_for_a_case_is_there(room: Room, agent: MakeClient) -> None:
    await hear(room, "parcel")
    jo = await agent("jo")
    await jo.post("/v1/inbox/next")
    shown = (await jo.get("/v1/agents/me")).json()
    assert (shown["presence"], shown["load"]) == ("online", 1)
    assert shown["given_at"] == "2026-11-17T09:00:00Z"


async def test_a_full_agent_is_told_so_while_something_waits(room: Room, agent: MakeClient) -> None:
    await hear(room, "parcel 1", "parcel 2")
    await hear(room, "a parcel by mail", by=mail)
    await hear(room, "hello")
    jo = await agent("jo", teams=("parcels",))
    for _ in range(2):
        assert (await jo.post("/v1/inbox/next")).status_code == 200
    refused = await jo.post("/v1/inbox/next")  # 2 of 3, and a mail counts 2
    problem = refused.json()
    assert (refused.status_code, problem["name"]) == (409, "at-capacity")
    assert (problem["load"], problem["capacity"]) == (2, 3)
    everywhere = await agent("jo")
    assert (await everywhere.post("/v1/inbox/next")).json()["subject"] == "hello"
    assert (await jo.post("/v1/inbox/next")).status_code == 409
    await room.rows("UPDATE cases SET state = 'closed' WHERE agent = '' RETURNING id")
    assert (await jo.post("/v1/inbox/next")).status_code == 204


async def test_ones_own_capacity_stands_before_the_teams(room: Room, agent: MakeClient) -> None:
    await hear(room, "parcel 1", "parcel 2")
    jo, chief = await agent("jo"), await agent("chief", role="supervisor")
    await chief.patch("/v1/agents/jo", json={"capacity": 1})
    assert (await jo.post("/v1/inbox/next")).status_code == 200
    assert (await jo.post("/v1/inbox/next")).json()["capacity"] == 1


async def test_only_cases_whose_clock_runs_count(room: Room, agent: MakeClient) -> None:
    await hear(room, "parcel 1", "hello")
    await hear(room, "parcel, whenever you like", by=without_window)
    jo = await agent("jo")
    taken = [(await jo.post("/v1/inbox/next")).json() for _ in range(3)]
    assert [case["due_at"] is None for case in taken] == [False, False, True]
    assert (await jo.get("/v1/agents/me")).json()["load"] == 2
    news = next(case for case in taken if case["subject"] == "hello")
    path = f"/v1/cases/{news['id']}/replies"
    answered = (await jo.post(path, json={"outcome": "reached"})).json()["case"]
    assert (answered["state"], answered["due_metric"]) == ("waiting_customer", "update")
    assert (await jo.get("/v1/agents/me")).json()["load"] == 1


async def test_the_list_of_what_is_takeable_is_what_next_takes(
    room: Room, agent: MakeClient
) -> None:
    await hear(room, "parcel 1", "customs", "hello", "bonjour", "parcel 2", "damaged")
    jo = await agent("jo", teams=("parcels", "claims"))
    listed = (await jo.get("/v1/inbox", params={"takeable": True})).json()["items"]
    taken = [(await jo.post("/v1/inbox/next")).json()["id"] for _ in listed[:2]]
    assert [item["subject"] for item in listed] == ["parcel 1", "parcel 2", "damaged"]
    assert taken == [item["id"] for item in listed[:2]]


async def test_work_is_narrowed_to_the_teams_a_supervisor_names(
    room: Room, agent: MakeClient
) -> None:
    await hear(room, "hello", "parcel")
    jo, chief = await agent("jo"), await agent("chief", role="supervisor")
    await chief.patch("/v1/agents/jo", json={"teams": ["parcels"]})
    assert (await jo.post("/v1/inbox/next")).json()["subject"] == "parcel"
    assert (await jo.post("/v1/inbox/next")).status_code == 204


async def test_many_ask_at_once_and_each_case_goes_to_one(room: Room, agent: MakeClient) -> None:
    await hear(room, *(f"hello {number}" for number in range(12)))
    people = [await agent(name) for name in ("jo", "kim", "sam")]
    answers = await asyncio.gather(*(who.post("/v1/inbox/next") for who in people * 6))
    ids = [answer.json()["id"] for answer in answers if answer.status_code == 200]
    assert len(ids) == len(set(ids)) == 12
    assert Counter(answer.status_code for answer in answers) == {200: 12, 204: 6}


async def test_asking_many_times_at_once_exceeds_no_capacity(room: Room, agent: MakeClient) -> None:
    await hear(room, *(f"parcel {number}" for number in range(8)))
    jo = await agent("jo")
    await is_online(jo)
    answers = await asyncio.gather(*(jo.post("/v1/inbox/next") for _ in range(8)))
    assert Counter(answer.status_code for answer in answers) == {200: 3, 409: 5}


async def test_of_many_claims_one_wins_and_all_others_learn_who(
    room: Room, agent: MakeClient
) -> None:
    await hear(room, "hello")
    people = [await agent(f"agent {number}") for number in range(20)]
    case_id = (await people[0].get("/v1/inbox")).json()["items"][0]["id"]
    claims = (who.post(f"/v1/cases/{case_id}/claim") for who in people)
    answers = await asyncio.gather(*claims)
    winners = [answer.json()["agent"] for answer in answers if answer.status_code == 200]
    assert len(winners) == 1
    losers = [answer.json() for answer in answers if answer.status_code == 409]
    assert [(loser["name"], loser["owner"]) for loser in losers] == [
        ("already-claimed", winners[0])
    ] * 19


async def a_child(room: Room, jo: Client) -> tuple[UUID, UUID]:
    """A case that another waits for: (the one that waits, the child). Their ids are in order."""
    await hear(room, "hello")
    (parent,) = await room.rows("SELECT id FROM cases")
    await room.tell(parent.id, Claim("jo"))
    body = {"parent": str(parent.id), "team": "claims", "text": "damaged?"}
    child = UUID((await jo.post("/v1/cases", json=body)).json()["id"])
    await room.tell(child, Release("jo", True))
    assert parent.id < child
    return parent.id, child


async def test_next_holds_no_case_while_it_waits_for_the_one_that_waits_for_it(
    room: Room, agent: MakeClient
) -> None:
    jo, sam = await agent("jo"), await agent("sam", teams=("claims",))
    parent, child = await a_child(room, jo)
    async with transaction(room.engine) as connection:
        await connection.execute(HOLD, {"id": parent})
        asking = asyncio.create_task(sam.post("/v1/inbox/next"))
        await waits_for_lock(room)
        await connection.execute(HOLD, {"id": child})
    assert (await asking).json()["id"] == str(child)


async def test_what_changes_while_next_waits_for_it_is_passed_over(
    room: Room, agent: MakeClient
) -> None:
    await hear(room, "hello 1", "hello 2")
    jo = await agent("jo")
    first: UUID = (await room.rows("SELECT id FROM cases WHERE subject = 'hello 1'"))[0].id
    async with transaction(room.engine) as connection:
        await room.handlers.on_command(connection, first, lambda _: Claim("sam"))
        asking = asyncio.create_task(jo.post("/v1/inbox/next"))
        await waits_for_lock(room)
    assert (await asking).json()["subject"] == "hello 2"
    assert await owners(room) == {"hello 1": "sam", "hello 2": "jo"}


@pytest.mark.parametrize("what", ["next", "claim", "notes"])
async def test_a_request_that_meets_a_deadlock_is_repeated(
    room: Room, agent: MakeClient, what: str
) -> None:
    """Somebody locks the other way round and has more patience: ours is the one cancelled."""
    jo, sam = await agent("jo"), await agent("sam", teams=("claims",))
    parent, child = await a_child(room, jo)
    path = "/v1/inbox/next" if what == "next" else f"/v1/cases/{child}/{what}"
    body = {"text": "Insured"} if what == "notes" else None
    async with transaction(room.engine) as connection:
        await connection.execute(text("SET LOCAL deadlock_timeout = '30s'"))
        await connection.execute(HOLD, {"id": child})
        asking = asyncio.create_task(sam.post(path, json=body))
        await waits_for_lock(room)
        await connection.execute(HOLD, {"id": parent})
    answer = await asking
    assert answer.status_code == (201 if what == "notes" else 200), answer.text
    events = await room.rows(
        "SELECT seq FROM case_events WHERE case_id = :id AND actor = 'sam' "
        "AND type IN ('case.claimed', 'note.added')", id=child,
    )  # fmt: skip
    assert len(events) == 1


async def test_a_declined_or_transferred_case_keeps_its_place(
    room: Room, agent: MakeClient
) -> None:
    await hear(room, "hello 1", "hello 2", "hello 3")
    jo = await agent("jo")

    async def order() -> list[str]:
        return [item["id"] for item in (await jo.get("/v1/inbox")).json()["items"]]

    before = await order()
    room.clock.at = after(minutes=30)
    for how in ("decline", "accept"):
        offered = await jo.post(
            f"/v1/cases/{before[0]}/handoffs",
            json={"to_team": "claims", "reason": "agent"},
            headers={"If-Match": (await jo.get(f"/v1/cases/{before[0]}")).headers["etag"]},
        )
        assert offered.status_code < 300, offered.text
        handoff = (await jo.get(f"/v1/cases/{before[0]}")).json()["handoffs"][-1]["id"]
        answer = await jo.post(f"/v1/handoffs/{handoff}/{how}")
        assert answer.status_code == 200, answer.text
        assert await order() == before
    moved = (await jo.get(f"/v1/cases/{before[0]}")).json()
    assert (moved["team"], moved["opened_at"]) == ("claims", "2026-11-17T09:00:00Z")


async def waits_for_lock(room: Room) -> None:
    """Until somebody waits for a row that we hold."""
    query = (
        "SELECT pid FROM pg_stat_activity "
        "WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )

    async def waits() -> bool:
        return bool(await room.rows(query))

    await until(waits)


# --- given ---------------------------------------------------------------------------------------


async def test_what_waits_is_given_to_who_is_online(room: Room, agent: MakeClient) -> None:
    await hear(room, "damaged 1", "damaged 2", "hello")
    jo, _, sam = await agent("jo"), await agent("kim"), await agent("sam", teams=("claims",))
    assert await give(room) == 0  # nobody has said that they are there
    await is_online(jo)
    await is_online(sam)
    assert await give(room) == 2
    assert await owners(room) == {"damaged 1": "jo", "damaged 2": "sam", "hello": ""}
    shown = (await jo.get("/v1/inbox", params={"agent": "jo"})).json()["items"]
    assert [item["subject"] for item in shown] == ["damaged 1"]
    assert (await jo.get("/v1/agents/me")).json()["given_at"] == "2026-11-17T09:00:00Z"
    why = (await jo.get(f"/v1/cases/{shown[0]['id']}/decisions")).json()["items"]
    assert any("least loaded" in decision["words"] for decision in why)


async def test_nothing_is_given_to_who_is_away_and_they_keep_what_they_have(
    room: Room, agent: MakeClient
) -> None:
    await hear(room, "damaged 1")
    jo = await agent("jo")
    await is_online(jo)
    assert await give(room) == 1
    await jo.patch("/v1/agents/me", json={"presence": "away"})
    await hear(room, "damaged 2")
    assert await give(room) == 0
    assert await owners(room) == {"damaged 1": "jo", "damaged 2": ""}


async def test_what_was_given_and_not_answered_returns_and_goes_to_another(
    room: Room, agent: MakeClient
) -> None:
    await hear(room, "damaged")
    jo, sam = await agent("jo"), await agent("sam")
    await is_online(sam)
    await give(room)
    await is_online(jo)
    await is_busy(room, "jo")  # else they would be next anyway
    room.clock.at = NOON + timedelta(hours=2)
    case_id: UUID = (await room.rows("SELECT id FROM cases"))[0].id
    fires = await room.rows("SELECT fire_at FROM timers")
    assert fires[0].fire_at == room.clock.at
    case = await room.tell(case_id, PassTime(watermark=room.clock.at))
    assert case.agent == ""
    assert await give(room) == 1
    assert (await owners(room))["damaged"] == "jo"


async def test_what_was_released_goes_to_another_and_back_only_if_nobody_else_may(
    room: Room, agent: MakeClient
) -> None:
    await hear(room, "damaged")
    case_id = (await room.rows("SELECT id FROM cases"))[0].id
    jo, sam = await agent("jo"), await agent("sam")
    await is_online(sam)
    await give(room)
    await is_online(jo)
    await is_busy(room, "jo")
    for holder, heir in ((sam, "jo"), (jo, "sam")):
        assert (await holder.post(f"/v1/cases/{case_id}/release")).status_code == 200
        assert await give(room) == 1
        assert (await owners(room))["damaged"] == heir
    await jo.patch("/v1/agents/me", json={"presence": "away"})
    assert (await sam.post(f"/v1/cases/{case_id}/release")).status_code == 200
    assert await give(room) == 1
    assert (await owners(room))["damaged"] == "sam"


async def test_skills_capacity_and_live_keys_are_asked_for(room: Room, agent: MakeClient) -> None:
    await hear(room, "bonjour", "damaged 1", "damaged 2", "damaged 3")
    chief = await agent("chief", role="supervisor")
    jo, gone = await agent("jo"), await agent("gone")
    await is_online(jo)
    await is_online(gone)
    await room.rows("UPDATE api_keys SET revoked_at = now() WHERE agent = 'gone' RETURNING id")
    assert await give(room) == 2
    assert await owners(room) == {
        "bonjour": "", "damaged 1": "jo", "damaged 2": "jo", "damaged 3": ""
    }  # fmt: skip
    assert await give(room) == 0
    await chief.patch("/v1/agents/jo", json={"capacity": 3, "skills": ["french"]})
    assert await give(room) == 1
    assert (await owners(room))["bonjour"] == "jo"


async def test_a_confidential_teams_cases_go_to_people_its_keys_name(
    room: Room, agent: MakeClient
) -> None:
    await hear(room, "please forget me")
    await is_online(await agent("jo"))
    assert await give(room) == 0
    await is_online(await agent("sam", teams=("privacy",)))
    assert await give(room) == 1
    assert await owners(room) == {"please forget me": "sam"}


@pytest.mark.parametrize(("text", "by"), [("bonjour", message), ("damaged, by mail", mail)])
async def test_a_long_head_of_the_queue_that_fits_nobody_starves_nothing(
    room: Room, agent: MakeClient, text: str, by: Callable[..., Any]
) -> None:
    await hear(room, *(f"{text} {number}" for number in range(510)), by=by)
    await hear(room, "damaged")
    jo, chief = await agent("jo", teams=("claims",)), await agent("chief", role="supervisor")
    await is_online(jo)
    await chief.patch("/v1/agents/jo", json={"capacity": 1})
    assert await give(room) == 1
    assert (await owners(room))["damaged"] == "jo"


async def test_nothing_is_given_to_who_is_just_taking_something(
    room: Room, agent: MakeClient
) -> None:
    await hear(room, "damaged")
    await is_online(await agent("jo"))
    async with transaction(room.engine) as connection:
        await seize(connection, "jo")
        assert await give(room) == 0
    assert await give(room) == 1


async def test_what_somebody_is_changing_is_left_for_the_next_round(
    room: Room, agent: MakeClient
) -> None:
    await hear(room, "damaged 1", "damaged 2")
    await is_online(await agent("jo"))
    first: UUID = (await room.rows("SELECT id FROM cases WHERE subject = 'damaged 1'"))[0].id
    async with transaction(room.engine) as connection:
        await room.handlers.on_command(connection, first, lambda _: Claim("sam"))
        assert await give(room) == 1
    assert await give(room) == 0
    assert await owners(room) == {"damaged 1": "sam", "damaged 2": "jo"}


async def test_two_processes_give_and_people_take_and_each_case_goes_once(
    room: Room, agent: MakeClient, database_url: str, tmp_path: Path
) -> None:
    await hear(room, *(f"damaged {number}" for number in range(40)))
    people = [await agent(f"agent {number:02d}", teams=("claims",)) for number in range(15)]
    for person in people:
        await is_online(person)
    folder = tmp_path / "other"
    folder.mkdir()
    other = await open_room(database_url, folder)
    rounds = [give(each) for each in (room, other) * 4]
    asked = [person.post("/v1/inbox/next") for person in people[:8]]
    given, answers = await asyncio.gather(
        asyncio.gather(*rounds), asyncio.gather(*asked, return_exceptions=False)
    )
    total = sum(given)
    while more := await give(other):
        total += more
    await other.engine.dispose()
    taken = [answer for answer in answers if answer.status_code == 200]
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert total + len(taken) == 30  # two each
    loads = await room.rows("SELECT agent, count(*) FROM cases WHERE agent <> '' GROUP BY agent")
    assert {row.count for row in loads} == {2}
    events = await room.rows(
        "SELECT case_id FROM case_events WHERE type IN ('case.assigned', 'case.claimed')"
    )
    assert len(events) == len({row.case_id for row in events}) == 30


async def test_the_task_gives_by_itself(room: Room, agent: MakeClient) -> None:
    await is_online(await agent("jo"))
    task = asyncio.create_task(Giving(room.handlers).run())
    try:
        await hear(room, "damaged")

        async def is_given() -> bool:
            return await owners(room) == {"damaged": "jo"}

        await until(is_given)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
