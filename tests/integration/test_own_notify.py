"""Agents' own addresses, and previews, over HTTP on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from services.router.api import routers
from services.router.clock import Clock
from shared.api_keys import Grant, create
from shared.database import transaction
from shared.events import CaseChanged, DeadlineWarned, PromiseReminded, Target
from shared.web.app import make_app
from tests.builders import EXAMPLE, after, message
from tests.command import said
from tests.rooms import Room, make_room

Client = httpx.AsyncClient
MakeClient = Callable[..., Awaitable[Client]]
OWN = [
    {"email": "jo@example.net", "language": "nl"},
    {"ntfy": "https://ntfy.sh/jo", "priority": "high"},
]


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


async def told(room: Room, kind: type[DeadlineWarned] | type[PromiseReminded]) -> list[Target]:
    """Whom the events of a kind tell, in order."""
    rows = await room.rows("SELECT value FROM outbox WHERE topic = 'cases.changed' ORDER BY id")
    events = [msgspec.json.decode(row.value, type=CaseChanged).event for row in rows]
    return [each for event in events if isinstance(event, kind) for each in event.notify]


async def held_case(room: Room, client: Client) -> str:
    await room.hear(message())
    case = (await client.get("/v1/inbox")).json()["items"][0]
    claimed = await client.post(f"/v1/cases/{case['id']}/claim")
    assert claimed.status_code == 200, claimed.text
    return str(case["id"])


async def pass_to(room: Room, **amount: float) -> None:
    room.clock.at = after(**amount)
    await Clock(room.handlers).fire()


# --- the addresses ---------------------------------------------------------------------------


async def test_addresses_are_kept_and_shown_to_oneself_alone(agent: MakeClient) -> None:
    jo, bo, boss = await agent("jo"), await agent("bo"), await agent("root", "admin")
    changed = await jo.patch("/v1/agents/me", json={"notify": OWN})
    assert changed.status_code == 200, changed.text
    assert changed.json()["notify"] == OWN
    assert (await jo.get("/v1/agents/me")).json()["notify"] == OWN
    assert (await boss.get("/v1/agents/jo")).json()["notify"] == OWN
    assert (await bo.get("/v1/agents/jo")).json()["notify"] is None
    shown = (await bo.get("/v1/agents")).json()["items"]
    assert {item["name"]: item["notify"] for item in shown} == {"bo": [], "jo": None, "root": None}
    assert (await jo.patch("/v1/agents/me", json={"presence": "away"})).json()["notify"] == OWN
    assert (await jo.put("/v1/agents/me", json={"notify": []})).json()["notify"] == []


async def test_nobody_says_it_for_a_colleague(agent: MakeClient) -> None:
    jo, bo = await agent("jo"), await agent("bo")
    await jo.patch("/v1/agents/me", json={"presence": "online"})
    assert (await bo.patch("/v1/agents/jo", json={"notify": OWN})).status_code == 403


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"slack": "http://127.0.0.1:9901/parcels"}, "private address"),  # the policy file's host
        ({"webhook": "https://10.0.0.7/x"}, "private address"),
        ({"ntfy": "http://169.254.169.254/x"}, "never called"),
        ({"ntfy": "https://intranet.local/x"}, "private network"),
        ({"teams": "https://host:99999/x"}, "leads nowhere"),
        ({"email": "jo@example.net", "slack": "https://hooks.slack.com/x"}, "give one of"),
        ({"email": "jo"}, "no mail address"),
        ({"email": "jo@example.net", "language": "es"}, "no words in `es`"),
        ({"pigeon": "loft"}, "pigeon"),
    ],
)
async def test_what_nobody_may_be_notified_at_is_refused(
    agent: MakeClient, entry: dict[str, str], words: str
) -> None:
    jo = await agent("jo")
    answer = await jo.patch("/v1/agents/me", json={"notify": [entry]})
    assert (answer.status_code, answer.json()["name"]) == (422, "notify-invalid"), answer.text
    assert words in answer.json()["detail"]
    assert (await jo.get("/v1/agents/me")).json()["notify"] == []


# --- reminders -------------------------------------------------------------------------------


async def test_who_has_the_case_is_reminded_beside_the_team(room: Room, agent: MakeClient) -> None:
    jo = await agent("jo")
    await jo.patch("/v1/agents/me", json={"notify": OWN})
    await held_case(room, jo)
    await pass_to(room, minutes=30)
    team, mail, phone = await told(room, DeadlineWarned)
    assert (team.kind, team.name) == ("webhook", "parcels")
    assert (mail.kind, mail.address, mail.name) == ("email", "jo@example.net", "jo")
    assert mail.manner is not None
    assert (mail.manner.own, mail.manner.language) == (True, "nl")
    assert (mail.manner.zone, mail.manner.sender) == ("Europe/Amsterdam", "support-mail")
    assert phone.manner is not None
    assert (phone.address, phone.manner.urgency) == ("https://ntfy.sh/jo", 4)


async def test_a_promise_is_called_to_mind_the_same_way(room: Room, agent: MakeClient) -> None:
    jo = await agent("jo")
    await jo.patch("/v1/agents/me", json={"notify": OWN[:1]})
    case = await held_case(room, jo)
    promise = {"kind": "call_back", "what": "ring", "due_at": "2026-11-17T09:25:00Z"}
    made = await jo.post(f"/v1/cases/{case}/promises", json=promise)
    assert made.status_code in (200, 201), made.text
    await pass_to(room, minutes=10)
    assert [each.name for each in await told(room, PromiseReminded)] == ["parcels", "jo"]


async def test_a_case_nobody_has_reminds_the_team_alone(room: Room, agent: MakeClient) -> None:
    jo = await agent("jo")
    await jo.patch("/v1/agents/me", json={"notify": OWN})
    await room.hear(message())
    await pass_to(room, minutes=30)
    assert [each.name for each in await told(room, DeadlineWarned)] == ["parcels"]


# --- previews --------------------------------------------------------------------------------


async def test_an_admin_previews_the_policy_in_force_and_another(agent: MakeClient) -> None:
    root, jo = await agent("root", "admin"), await agent("jo")
    asked = {"kind": "breach", "language": "de", "target": "slack"}
    found = (await root.post("/v1/policy/preview", json=asked)).json()
    assert found["subject"] == "Zu spät: Erste Antwort, parcels"
    assert found["body"]["blocks"][0]["text"]["text"] == found["subject"]
    own = EXAMPLE.read_text("utf-8") + "templates: {breach: {de: {subject: Oh}}}\n"
    found = (await root.post("/v1/policy/preview", json={**asked, "policy": own})).json()
    assert found["subject"] == "Oh"
    wrong = EXAMPLE.read_text("utf-8") + "templates: {breach: {de: {text: '{lef}'}}}\n"
    answer = await root.post("/v1/policy/preview", json={**asked, "policy": wrong})
    assert (answer.status_code, "did you mean `left`" in answer.text) == (422, True)
    assert (await root.post("/v1/policy/preview", json={"kind": "x"})).status_code == 422
    assert (await jo.post("/v1/policy/preview", json=asked)).status_code == 403


async def test_the_command_previews_a_file_without_a_server(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        EXAMPLE.read_text("utf-8") + "templates: {reminder: {nl: {subject: 'Nog {left}'}}}\n",
        "utf-8",
    )
    command = ("policy", "preview", str(file), "--kind", "reminder", "--language", "nl")
    status, words = await said(*command, "--target", "ntfy", env={})
    assert (status, words.splitlines()[0]) == (0, "Nog over 30 minuten"), words
    assert "Title: Nog over 30 minuten" in words
    status, words = await said(*command[:3], "--kind", "remindr", env={})
    assert (status, "did you mean `reminder`" in words) == (1, True), words
