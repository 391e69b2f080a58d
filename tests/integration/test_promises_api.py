"""Promises, results and freezing over HTTP, on a real PostgreSQL: answers, rows, notices."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest
from pydantic import ValidationError

from services.notifier import effects
from services.notifier.models import Delivery, Head
from services.notifier.staleness import staleness
from services.router import commands as cmd
from services.router.api import routers
from services.router.api.handoffs import Consent, HandoffBody
from services.router.api.promises import PromisePatch
from services.router.case import Case
from services.router.decide import evolve
from shared import events as ev
from shared.api_keys import Grant, create
from shared.database import transaction
from shared.errors import Invalid
from shared.web.app import make_app
from tests.builders import NOON, after, mail, message
from tests.rooms import Room, make_room

Client = httpx.AsyncClient
MakeClient = Callable[..., Awaitable[Client]]
CONSENT = {"by": "Ada", "at": "2026-11-17T09:00:00Z", "how": "on the phone"}


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


async def claimed(room: Room, client: Client) -> str:
    """A case about a parcel that this agent has: no If-Match is needed."""
    await room.hear(message())
    case: dict[str, Any] = (await client.post("/v1/inbox/next")).json()
    return f"/v1/cases/{case['id']}"


async def case_of(client: Client, at: str, **params: Any) -> dict[str, Any]:
    answer = await client.get(at, params=params)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def pass_time(room: Room, at: str, now: datetime) -> None:
    room.clock.at = now
    await room.tell(UUID(at.rpartition("/")[2]), cmd.PassTime(now))


def written(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


async def check_history(room: Room, at: str) -> None:
    """The stored events fold to the stored case."""
    id = UUID(at.rpartition("/")[2])
    (doc,) = await room.rows("SELECT doc::text FROM cases WHERE id = :id", id=id)
    rows = await room.rows(
        "SELECT case_events.*, data::text AS body FROM case_events WHERE case_id = :id "
        "ORDER BY seq", id=id,
    )  # fmt: skip
    stored = msgspec.json.decode(doc[0], type=Case)
    folded: Case | None = None
    for row in rows:
        change = ev.CaseChanged(
            case_id=id, seq=row.seq, version=row.version, at=row.at, actor=row.actor,
            customer_id=stored.customer_id, team="", channel="email",
            event=msgspec.json.decode(row.body, type=ev.CaseEvent),
        )  # fmt: skip
        folded = evolve(folded, change)
    assert folded is not None
    assert folded.pruned() == stored


# --- promises --------------------------------------------------------------------------------


async def test_a_promise_is_made_stands_in_the_inbox_and_is_kept(
    room: Room, agent: MakeClient
) -> None:
    jo = await agent("jo")
    at = await claimed(room, jo)
    made = await jo.post(
        f"{at}/promises", json={"kind": "call_back", "what": "the parcel", "within": "30m"}
    )
    assert made.status_code == 201, made.text
    assert made.json()["due_at"] == written(after(minutes=30))
    assert made.headers["etag"] == f'"{made.json()["case"]["version"]}"'
    item = (await jo.get("/v1/inbox")).json()["items"][0]
    assert (item["due_at"], item["due_metric"]) == (written(after(minutes=30)), "promise")
    assert (await case_of(jo, at))["promises"] == [{
        "id": made.json()["id"], "kind": "call_back", "what": "the parcel", "by": "jo",
        "team": "parcels", "state": "open", "made_at": written(NOON),
        "due_at": written(after(minutes=30)), "attempts": 0, "most": 3, "ended_at": None,
        "reason": None, "replaces": None, "consent": None,
    }]  # fmt: skip
    room.clock.at = after(minutes=5)
    reached = await jo.post(f"{at}/replies", json={"outcome": "reached", "channel": "phone"})
    assert reached.status_code == 202
    (kept,) = (await case_of(jo, at))["promises"]
    assert (kept["state"], kept["reason"]) == ("kept", "reached")
    assert kept["ended_at"] == written(after(minutes=5))
    await check_history(room, at)


async def test_versions_scope_and_names_are_asked_for(room: Room, agent: MakeClient) -> None:
    jo, sam = await agent("jo"), await agent("sam", teams=("claims",))
    at = await claimed(room, jo)
    body = {"kind": "answer", "within": "1h"}
    stranger = await agent("kim")
    assert (await stranger.post(f"{at}/promises", json=body)).status_code == 428
    assert (await sam.post(f"{at}/promises", json=body)).status_code == 403
    stale = await jo.post(f"{at}/promises", json=body, headers={"If-Match": '"1"'})
    assert stale.status_code == 412
    nameless = await agent("", role="supervisor")
    version = (await case_of(jo, at))["version"]
    match = {"If-Match": f'"{version}"'}
    refused = await nameless.post(f"{at}/promises", json=body, headers=match)
    assert (refused.status_code, refused.json()["name"]) == (422, "agent-missing")
    id = (await jo.post(f"{at}/promises", json=body)).json()["id"]
    patch = {"state": "kept", "how": "x"}
    assert (await stranger.patch(f"/v1/promises/{id}", json=patch)).status_code == 428
    assert (await sam.patch(f"/v1/promises/{id}", json=patch)).status_code == 403
    assert (await jo.patch(f"/v1/promises/{UUID(int=1)}", json=patch)).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "answer"},
        {"kind": "answer", "within": "1h", "due_at": "2026-11-17T10:00:00Z"},
        {"kind": "other", "within": "1h"},
        {"kind": "answer", "due_at": "2026-11-17T10:00:00"},
        {"kind": "answer", "within": "soon"},
    ],
)
async def test_a_promise_says_by_when(room: Room, agent: MakeClient, body: Any) -> None:
    jo = await agent("jo")
    at = await claimed(room, jo)
    assert (await jo.post(f"{at}/promises", json=body)).json()["name"] == "invalid"


async def test_closed_time_is_refused_with_the_next_opening(room: Room, agent: MakeClient) -> None:
    jo = await agent("jo")
    at = await claimed(room, jo)
    sunday = {"kind": "call_back", "due_at": "2026-11-22T12:00:00+01:00"}
    refused = await jo.post(f"{at}/promises", json=sunday)
    assert (refused.status_code, refused.json()["name"]) == (422, "closed-then")
    assert refused.json()["next_opening"] == "2026-11-23T07:30:00Z"


async def test_consent_has_a_time_that_has_come() -> None:
    given = Consent.model_validate(CONSENT)
    assert given.given(NOON) == CONSENT, "as it goes into the event"
    with pytest.raises(Invalid, match="future"):
        given.given(after(minutes=-6))
    for wrong in ("yesterday", "2026-11-17T10:05:00"):
        with pytest.raises(ValidationError):
            Consent.model_validate(CONSENT | {"at": wrong})
    body = {"to_channel": "phone", "consent": CONSENT | {"at": "yesterday"}}
    with pytest.raises(ValidationError):
        HandoffBody.model_validate(body)
    with pytest.raises(ValidationError):
        PromisePatch.model_validate({"within": "1h", "consent": body["consent"]})


async def test_another_time_needs_consent_only_when_it_is_later(
    room: Room, agent: MakeClient
) -> None:
    jo = await agent("jo")
    at = await claimed(room, jo)
    body = {"kind": "call_back", "what": "x", "within": "1h"}
    first = (await jo.post(f"{at}/promises", json=body)).json()["id"]
    later = {"due_at": written(after(hours=2))}
    refused = await jo.patch(f"/v1/promises/{first}", json=later)
    assert (refused.status_code, refused.json()["name"]) == (422, "consent-missing")
    moved = await jo.patch(f"/v1/promises/{first}", json=later | {"consent": CONSENT})
    assert moved.status_code == 200
    second = moved.json()["id"]
    earlier = await jo.patch(f"/v1/promises/{second}", json={"within": "20m"})
    assert earlier.json()["due_at"] == written(after(minutes=20))
    promises = (await case_of(jo, at))["promises"]
    assert [p["state"] for p in promises] == ["renegotiated", "renegotiated", "open"]
    assert [p["replaces"] for p in promises] == [None, first, second]
    assert [p["consent"] for p in promises] == [CONSENT, None, None]
    over = await jo.patch(f"/v1/promises/{first}", json={"state": "kept", "how": "x"})
    assert (over.status_code, over.json()["name"]) == (409, "promise-ended")
    await check_history(room, at)


async def test_an_open_promise_holds_the_case_until_it_is_kept_by_hand(
    room: Room, agent: MakeClient
) -> None:
    jo = await agent("jo")
    at = await claimed(room, jo)
    body = {"kind": "call_back", "within": "1h"}
    id = (await jo.post(f"{at}/promises", json=body)).json()["id"]
    refused = await jo.post(f"{at}/close")
    assert (refused.status_code, refused.json()["name"]) == (409, "promise-open")
    assert [each["id"] for each in refused.json()["promises"]] == [id]
    silent = await jo.patch(f"/v1/promises/{id}", json={"state": "kept"})
    assert silent.json()["name"] == "how-missing"
    kept = await jo.patch(f"/v1/promises/{id}", json={"state": "kept", "how": "she called us"})
    assert kept.status_code == 200
    assert (await jo.post(f"{at}/close")).status_code == 200


async def test_broken_stays_broken_though_it_is_kept_late(room: Room, agent: MakeClient) -> None:
    jo = await agent("jo")
    at = await claimed(room, jo)
    await jo.post(f"{at}/promises", json={"kind": "call_back", "within": "20m"})
    await pass_time(room, at, after(minutes=20))
    (broken,) = (await case_of(jo, at))["promises"]
    assert (broken["state"], broken["reason"], broken["ended_at"]) == ("broken", "late", None)
    await jo.post(f"{at}/replies", json={"outcome": "reached"})
    (kept,) = (await case_of(jo, at))["promises"]
    assert (kept["state"], kept["reason"]) == ("broken", "late")
    assert kept["ended_at"] == written(after(minutes=20))
    await check_history(room, at)


async def test_three_tries_in_one_story(room: Room, agent: MakeClient) -> None:
    jo = await agent("jo")
    at = await claimed(room, jo)
    await jo.post(f"{at}/promises", json={"kind": "call_back", "within": "3h"})
    for minute in (10, 20, 30):
        room.clock.at = after(minutes=minute)
        answer = await jo.post(f"{at}/replies", json={"outcome": "no_answer", "channel": "phone"})
        assert answer.status_code == 202, answer.text
    (promise,) = (await case_of(jo, at))["promises"]
    assert (promise["state"], promise["reason"]) == ("broken", "unreached")
    assert (promise["attempts"], promise["most"]) == (3, 3)
    told = await room.rows("SELECT text, channel, author FROM messages WHERE state = 'pending'")
    assert [(row.channel, row.author) for row in told] == [("whatsapp", "regie")]
    assert "3 times" in told[0].text
    await check_history(room, at)


async def test_a_promise_goes_along_and_its_row_names_who_had_it(
    room: Room, agent: MakeClient
) -> None:
    jo = await agent("jo")
    at = await claimed(room, jo)
    await jo.post(f"{at}/promises", json={"kind": "call_back", "within": "1h"})
    to = {"to_team": "frontdesk"}
    handoff = (await jo.post(f"{at}/handoffs", json=to)).json()["id"]
    await jo.post(f"/v1/handoffs/{handoff}/accept")
    assert (await case_of(jo, at))["promises"][0]["team"] == "frontdesk"
    await pass_time(room, at, after(hours=1))
    (broken,) = (await case_of(jo, at))["promises"]
    assert (broken["state"], broken["team"], broken["by"]) == ("broken", "frontdesk", "jo")
    to = {"to_team": "privacy"}
    version = {"If-Match": f'"{(await case_of(jo, at))["version"]}"'}
    handoff = (await jo.post(f"{at}/handoffs", json=to, headers=version)).json()["id"]
    admin = await agent("root", role="admin")
    await admin.post(f"/v1/handoffs/{handoff}/accept")
    assert (await case_of(admin, at))["promises"][0]["team"] == "frontdesk", "who broke it"


async def test_a_reminder_is_told_and_stale_once_the_promise_is_over(
    room: Room, agent: MakeClient
) -> None:
    jo = await agent("jo")
    at = await claimed(room, jo)
    id = (await jo.post(f"{at}/promises", json={"kind": "call_back", "within": "1h"})).json()["id"]
    case_id = UUID(at.rpartition("/")[2])
    room.clock.at = after(minutes=45)
    async with transaction(room.engine) as connection:
        tick = cmd.PassTime(after(minutes=45))
        decided = await room.handlers.on_command(connection, case_id, lambda _: tick)
    (change,) = (c for c in decided.changes if isinstance(c.event, ev.PromiseReminded))
    (planned,) = effects.plan("x", change)
    payload = msgspec.json.decode(planned.payload)
    assert payload["type"] == "promise.reminded"
    assert (payload["data"]["promise_id"], payload["data"]["by"]) == (id, "jo")
    assert planned.expires_at == after(hours=1)

    async def stale() -> str:
        (row,) = await room.rows("SELECT * FROM case_heads WHERE id = :id", id=case_id)
        head = Head(row.version, row.state, row.answered_at, frozenset(row.promises))
        found = staleness(
            Delivery(
                id=planned.id, case_id=case_id, effect=planned.effect, target=planned.target,
                payload=payload, version=planned.version, at=planned.at, attempts=0,
                attempts_before=0, expires_at=planned.expires_at, head=head,
            ),
            room.clock.at,
        )  # fmt: skip
        return found.code if found else ""

    assert await stale() == ""
    await jo.post(f"{at}/notes", json={"text": "nothing to do with it"})
    assert await stale() == ""
    earlier = {"due_at": written(after(minutes=50))}
    version = {"If-Match": f'"{(await case_of(jo, at))["version"]}"'}
    moved = await jo.patch(f"/v1/promises/{id}", json=earlier, headers=version)
    assert moved.status_code == 200, moved.text
    assert await stale() == "over"


def test_what_is_broken_tried_and_frozen_is_told_with_its_particulars() -> None:
    target = (ev.Target(kind="webhook", address="https://hooks.example.org"),)
    events: list[tuple[Any, str]] = [
        (ev.PromiseBroken(promise_id=UUID(int=1), due_at=NOON, by="jo", notify=target), "breach"),
        (ev.PromiseAttempted(promise_id=UUID(int=1), count=3, most=3, outcome="no_answer",
                             notify=target), "escalation"),
        (ev.CaseFrozen(owner="supervisors", reason="to and fro", trail=("a → b",),
                       notify=target), "escalation"),
    ]  # fmt: skip
    for event, effect in events:
        change = ev.CaseChanged(
            case_id=UUID(int=2), seq=1, version=1, at=NOON, actor="jo", customer_id=UUID(int=3),
            team="desk", channel="email", event=event,
        )  # fmt: skip
        (planned,) = effects.plan("x", change)
        data = msgspec.json.decode(planned.payload)["data"]
        assert planned.effect == effect
        assert planned.expires_at > NOON + timedelta(days=1)
        assert data.keys() & {"promise_id", "owner"}


# --- results ---------------------------------------------------------------------------------


async def test_results_have_versions_data_and_files(room: Room, agent: MakeClient) -> None:
    jo = await agent("jo")
    at = await claimed(room, jo)
    scan = {"name": "../scan.pdf", "content_type": "application/pdf",
            "content": base64.b64encode(b"%PDF").decode()}  # fmt: skip
    draft = {"name": "tracking_number", "state": "draft", "data": {"number": "3S", "nul": "a\0b"}}
    first = await jo.post(f"{at}/results", json=draft)
    assert first.status_code == 201, first.text
    assert (first.json()["version"], first.json()["state"]) == (1, "draft")
    final = {"name": "tracking_number", "state": "final", "data": {"number": "3SABC"}}
    second = await jo.post(f"{at}/results", json=final | {"files": [scan]})
    assert second.json()["version"] == 2
    (newest,) = (await case_of(jo, at))["results"]
    assert (newest["version"], newest["data"], newest["author"]) == (2, {"number": "3SABC"}, "jo")
    assert newest["files"][0]["name"] == "scan.pdf"
    file = await jo.get(newest["files"][0]["url"])
    assert file.content == b"%PDF"
    assert file.headers["content-disposition"] == "attachment; filename*=UTF-8''scan.pdf"
    both = (await case_of(jo, at, history=True))["results"]
    assert [each["version"] for each in both] == [1, 2]
    assert both[0]["data"] == {"number": "3S", "nul": "ab"}
    for wrong in ("tracking_number/1/files/1", "tracking_number/2/files/0", "x/1/files/1"):
        assert (await jo.get(f"{at}/results/{wrong}")).status_code == 404
    await check_history(room, at)


async def test_a_handoff_waits_for_its_result(room: Room, agent: MakeClient) -> None:
    jo = await agent("jo")
    at = await claimed(room, jo)
    refused = await jo.post(f"{at}/handoffs", json={"to_team": "claims"})
    assert (refused.status_code, refused.json()["name"]) == (422, "results-missing")
    assert refused.json()["missing"] == ["tracking_number"]
    result = {"name": "tracking_number", "state": "final", "data": {"number": "3SABC"}}
    await jo.post(f"{at}/results", json=result)
    offered = await jo.post(f"{at}/handoffs", json={"to_team": "claims"})
    assert offered.status_code == 201, offered.text
    (event,) = await room.rows("SELECT data FROM case_events WHERE type = 'handoff.offered'")
    assert event[0]["results"] == ["tracking_number v1"]


async def test_what_is_no_result_is_refused(room: Room, agent: MakeClient) -> None:
    jo, sam = await agent("jo"), await agent("sam", teams=("claims",))
    at = await claimed(room, jo)
    good: dict[str, Any] = {"name": "tracking_number", "state": "final"}
    misspelt = await jo.post(f"{at}/results", json=good | {"name": "trackingnumber"})
    assert (misspelt.status_code, misspelt.json()["name"]) == (422, "unknown-result")
    assert "did you mean `tracking_number`" in misspelt.json()["detail"]
    faults: list[dict[str, Any]] = [
        {"state": "done"}, {"name": " "}, {"data": []}, {"data": {"x": "y" * 130_000}},
        {"files": [{"name": "x", "content": "?"}]}, {"more": 1},
    ]  # fmt: skip
    for wrong in faults:
        answer = await jo.post(f"{at}/results", json=good | wrong)
        assert (answer.status_code, answer.json()["name"]) == (422, "invalid"), wrong
        assert answer.json()["errors"][0]["field"].startswith("body.")
    assert (await jo.post(f"{at}/results", content=b"{")).json()["name"] == "not-json"
    content = base64.b64encode(b"x" * 3_000_000).decode()
    large = good | {"files": [{"name": "x", "content": content}] * 9}
    assert (await jo.post(f"{at}/results", json=large)).status_code == 413
    file = good | {"files": [{"name": "x", "content": "eA=="}]}
    assert (await sam.post(f"{at}/results", json=file)).status_code == 403
    folder = room.runtime.blobs.root
    assert not folder.exists() or not list(folder.iterdir()), "what was refused leaves nothing"


# --- to and fro ------------------------------------------------------------------------------


async def test_a_case_sent_to_and_fro_is_frozen_shown_and_thawed(
    room: Room, agent: MakeClient
) -> None:
    jo, boss = await agent("jo"), await agent("ann", role="supervisor")
    await room.hear(mail("Hello?"))
    case = (await jo.get("/v1/inbox")).json()["items"][0]
    at = f"/v1/cases/{case['id']}"
    assert case["frozen"] is None

    async def send(client: Client, team: str) -> httpx.Response:
        match = {"If-Match": f'"{(await case_of(jo, at))["version"]}"'}
        offered = await client.post(f"{at}/handoffs", json={"to_team": team}, headers=match)
        if offered.status_code == 201:
            await jo.post(f"/v1/handoffs/{offered.json()['id']}/accept")
        return offered

    home = case["team"]
    away = "parcels" if home != "parcels" else "claims"
    await send(jo, away)
    await send(jo, home)
    assert (await case_of(jo, at))["frozen"] == "supervisors"
    for frozen, number in (("true", 1), ("false", 0)):
        page = (await jo.get("/v1/inbox", params={"frozen": frozen})).json()
        assert len(page["items"]) == number
    rows = await room.rows("SELECT frozen, hops FROM cases")
    assert rows == [("supervisors", 2)]
    refused = await send(jo, away)
    assert (refused.status_code, refused.json()["name"]) == (409, "frozen")
    assert refused.json()["owner"] == "supervisors"
    assert (await jo.post(f"{at}/thaw")).status_code == 403
    assert (await send(boss, away)).status_code == 201
    thawed = await boss.post(f"{at}/thaw", json={"reason": "sorted out"})
    assert (thawed.status_code, thawed.json()["frozen"]) == (200, None)
    assert (await boss.post(f"{at}/thaw")).json()["name"] == "not-frozen"
    await check_history(room, at)
