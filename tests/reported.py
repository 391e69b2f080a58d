"""A history with something in it for every figure of every report, made by the real handlers."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx

from services.router import commands as cmd
from services.router.api import routers
from shared.api_keys import Grant, create
from shared.database import transaction
from shared.web.app import make_app
from tests.builders import NOON, after, mail, message, sender
from tests.histories import Past, Town
from tests.rooms import Room

Client = httpx.AsyncClient
MakeClient = Callable[..., Awaitable[Client]]


@asynccontextmanager
async def making(room: Room) -> AsyncIterator[MakeClient]:
    """`await client("sam")`: a supervisor over all teams; or of some, or of another role."""
    app = make_app(room.runtime, routers(room.handlers))
    clients: list[Client] = []

    async def make(name: str, role: Any = "supervisor", teams: tuple[str, ...] = ()) -> Client:
        async with transaction(room.engine) as connection:
            key = await create(connection, Grant(role=role, agent=name, teams=teams))
        headers = {"Authorization": f"Bearer {key}"}
        transport = httpx.ASGITransport(app)
        clients.append(Client(transport=transport, base_url="http://regie", headers=headers))
        return clients[-1]

    yield make
    for each in clients:
        await each.aclose()


class Desk:
    """People at work over HTTP, at the times that are set."""

    def __init__(self, room: Room, past: Past, clients: dict[str, Client]) -> None:
        self.room, self.past, self.clients = room, past, clients

    async def do(self, who: str, case: UUID, deed: str, **body: Any) -> dict[str, Any]:
        client = self.clients[who]
        version = (await client.get(f"/v1/cases/{case}")).json()["version"]
        answer = await client.post(
            f"/v1/cases/{case}/{deed}", json=body, headers={"If-Match": f'"{version}"'}
        )
        assert answer.status_code < 300, (deed, answer.text)
        done: dict[str, Any] = answer.json()
        return done

    async def post(self, who: str, path: str, **body: Any) -> dict[str, Any]:
        answer = await self.clients[who].post(path, json=body)
        assert answer.status_code < 300, answer.text
        done: dict[str, Any] = answer.json()
        return done

    async def hear(self, **given: Any) -> UUID:
        """A new customer's message, and its case."""
        kind = mail if given.pop("by_mail", False) else message
        received = kind(at=self.room.clock(), **given)
        await self.room.hear(received)
        return await self.case_of(received.id)

    async def case_of(self, message_id: UUID) -> UUID:
        (row,) = await self.room.rows("SELECT case_id FROM messages WHERE id = :id", id=message_id)
        found: UUID = row.case_id
        return found

    async def answer(self, who: str, case: UUID, **body: Any) -> None:
        said = await self.do(who, case, "replies", text="Here you are.", **body)
        if said["state"] == "pending":
            await self.past.sent((case, UUID(said["id"])))

    async def transfer(self, who: str, case: UUID, team: str, by: str = "") -> str:
        """Offered; accepted by `by` some minutes later."""
        handoff = await self.do(who, case, "handoffs", to_team=team, reason="agent")
        id: str = handoff["id"]
        if by:
            self.room.clock.at += timedelta(minutes=3 + len(team))
            await self.post(by, f"/v1/handoffs/{id}/accept")
        return id


_numbers = itertools.count(10_000_000)


def person() -> Any:
    return sender(f"+316{next(_numbers)}")


async def make_history(room: Room, client: MakeClient) -> None:
    """Two days of several channels and teams, told by the real handlers and the real clock."""
    town = Town(room, seed=11)
    await town.live(steps=5, arrivals=7)
    clients = {name: await client(name) for name in ("ada", "bo", "=cleo")}
    desk = Desk(room, town, clients)
    await switches(desk)
    await promises(desk)
    await to_and_fro(desk)
    await families(desk)
    await journeys(desk)
    caller = await bounces_and_breaches(desk)
    await town.pass_until(room.clock() + timedelta(hours=7))
    await answered_too_late(desk, caller)
    await room.hear(
        message(at=room.clock() - timedelta(hours=30), received_at=room.clock(), sender=person()),
        mail("lost for days", room.clock() - timedelta(days=9), received_at=room.clock(),
             address="late@example.org", subject="Late"),
    )  # fmt: skip
    query = "SELECT case_id AS id FROM deadlines WHERE late ORDER BY started_at LIMIT 1"
    (quick,) = await room.rows(query)
    await desk.answer("=cleo", quick.id)  # before the clock comes round
    await town.fire()
    await waits(desk)


async def promises(desk: Desk) -> None:
    case = await desk.hear(sender=person())
    for what, within in (("kept by hand", "30m"), ("moved", "1h"), ("broken", "20m")):
        await desk.do("ada", case, "promises", kind="other", what=what, within=within)
    ids = {
        row.what: row.id for row in await desk.room.rows("SELECT id, what FROM promises")
    }  # fmt: skip
    for what, body in (
        ("kept by hand", {"state": "kept"}),
        ("moved", {"due_at": after(hours=6).isoformat(), "consent": {
            "by": "Ada", "at": "2026-11-17T10:05:00Z", "how": "on the phone"}}),
    ):  # fmt: skip
        version = (await desk.clients["ada"].get(f"/v1/cases/{case}")).json()["version"]
        answer = await desk.clients["ada"].patch(
            f"/v1/promises/{ids[what]}", json=body, headers={"If-Match": f'"{version}"'}
        )
        assert answer.status_code == 200, answer.text
    tried = await desk.hear(sender=person())
    await desk.do("bo", tried, "promises", kind="call_back", within="3h")
    call = {"channel": "phone", "outcome": "no_answer"}
    for _ in range(3):
        await desk.do("bo", tried, "replies", **call)
    await desk.past.pass_until(desk.room.clock() + timedelta(minutes=50))
    await desk.past.fire()
    kept_late = ids["broken"]
    await desk.room.tell(case, cmd.KeepPromise(kept_late, "=cleo", "called from home"))


async def to_and_fro(desk: Desk) -> None:
    """A case that is frozen, thawed, and frozen again; one that goes there and stays."""
    case = await desk.hear(text="A question", sender=person())
    await desk.transfer("ada", case, "claims", by="bo")
    await desk.transfer("bo", case, "frontdesk", by="ada")
    desk.room.clock.at += timedelta(minutes=20)
    await desk.post("ada", f"/v1/cases/{case}/thaw", reason="again")
    for to in ("parcels", "frontdesk"):
        await desk.transfer("ada", case, to, by="ada")
    gone = await desk.hear(text="A third question", sender=person())
    await desk.transfer("ada", gone, "parcels", by="=cleo")
    await desk.do("=cleo", gone, "close")
    other = await desk.hear(text="Another question", sender=person())
    await desk.transfer("=cleo", other, "claims", by="bo")
    declined = await desk.transfer("bo", other, "frontdesk")
    await desk.post("ada", f"/v1/handoffs/{declined}/decline", reason="not ours")
    await desk.transfer("bo", other, "frontdesk")  # expires
    await desk.transfer("bo", other, "carrier")


async def switches(desk: Desk) -> None:
    """One accepted by the code told on the phone, one left open; with what they cost."""
    case = await desk.hear(
        text="It arrived damaged", by_mail=True, address="sw@example.org", subject="Damage"
    )  # fmt: skip
    handoff = await desk.do(
        "ada", case, "handoffs", to_channel="phone", address="+31612121212", reason="agent"
    )
    desk.room.clock.at += timedelta(minutes=35)
    await desk.post("bo", f"/v1/handoffs/{handoff['id']}/accept", code=handoff["code"])
    await desk.do("bo", case, "close")
    still = await desk.hear(
        text="It arrived damaged", by_mail=True, address="sx@example.org", subject="Damage"
    )
    await desk.do(
        "bo", still, "handoffs", to_channel="phone", address="+31612121213", reason="agent"
    )


async def families(desk: Desk) -> None:
    """Cases that wait for another team: answered, still waiting, and closed meanwhile."""
    for end in ("answered", "waiting", "closed"):
        parent = await desk.hear(sender=person())
        asked = [
            await desk.post("ada", "/v1/cases", parent=str(parent), team="claims", text=end)
            for _ in range(2 if end == "answered" else 1)
        ]
        desk.room.clock.at += timedelta(minutes=25)
        if end == "answered":
            await desk.do("bo", UUID(asked[-1]["id"]), "close")
        elif end == "closed":
            await desk.do("ada", parent, "close")


async def journeys(desk: Desk) -> None:
    """Over two channels; reopened by the customer; split; closed while an answer was on its way."""
    who = person()
    case = await desk.hear(sender=who)
    await desk.answer("ada", case)
    await desk.room.hear(
        message("", at=desk.room.clock(), account="desk-phone", channel="phone",
                kind="call_missed", sender=who, reply_window_closes_at=None)
    )  # fmt: skip
    await desk.do("=cleo", case, "replies", channel="phone", outcome="reached")
    desk.room.clock.at += timedelta(minutes=40)
    await desk.do("=cleo", case, "close")
    patient = person()
    quick = await desk.hear(sender=patient)
    await desk.answer("bo", quick)
    machine = message("I am away", at=desk.room.clock(), sender=patient, automatic=True)
    await desk.room.hear(machine)
    await desk.do("bo", quick, "close")
    again = person()
    back = await desk.hear(sender=again)
    await desk.answer("ada", back)
    await desk.do("ada", back, "close")
    desk.room.clock.at += timedelta(minutes=5)
    await desk.room.hear(message("And now?", at=desk.room.clock(), sender=again))
    await desk.answer("bo", back)
    await desk.do("bo", back, "close")
    joined = person()
    mixed = await desk.hear(sender=joined)
    desk.room.clock.at += timedelta(minutes=5)
    wrong = message("Something else", at=desk.room.clock(), sender=joined)
    await desk.room.hear(wrong)
    split = await desk.do("ada", mixed, "split", messages=[str(wrong.id)])
    await desk.answer("bo", UUID(split["id"]))
    await desk.do("bo", UUID(split["id"]), "close")
    leaving = await desk.hear(sender=person())
    erased = await desk.hear(sender=person())
    await desk.room.tell(erased, cmd.Forget("erasure"))
    bye = await desk.do("ada", leaving, "replies", text="Bye.")
    await desk.do("ada", leaving, "close")
    await desk.past.sent((leaving, UUID(bye["id"])))


async def bounces_and_breaches(desk: Desk) -> Any:
    """An answer that keeps a promise bounces, and nobody gives another; who waits for one longer
    than promised is returned."""
    case = await desk.hear(sender=person())
    await desk.do("bo", case, "promises", kind="answer", within="30m")
    said = await desk.do("bo", case, "replies", text="It is there.")
    await desk.past.sent((case, UUID(said["id"])))
    await desk.past.sent((case, UUID(said["id"])), status="failed")
    caller = person()
    await desk.hear(sender=caller)
    return caller


async def answered_too_late(desk: Desk, caller: Any) -> None:
    """By phone, where they called by then; another case is closed without any answer."""
    call = message(
        "", at=desk.room.clock(), account="desk-phone", channel="phone", kind="call_missed",
        sender=caller, reply_window_closes_at=None,
    )  # fmt: skip
    await desk.room.hear(call)
    case = await desk.case_of(call.id)
    await desk.do("=cleo", case, "replies", channel="phone", outcome="reached")
    query = (
        "SELECT case_id AS id FROM deadlines WHERE state = 'breached' AND ended_at IS NULL "
        "AND metric = 'first_response' AND case_id NOT IN (SELECT case_id FROM promises) "
        "ORDER BY started_at, due_at LIMIT 1"
    )
    (silent,) = await desk.room.rows(query)
    await desk.do("ada", silent.id, "close")


async def waits(desk: Desk) -> None:
    """What is at risk, paused, overdue at the moment of the report; scores of the surveys."""
    for said in ("1", "4", "stop", "", "failed"):
        who = person()
        case = await desk.hear(sender=who)
        await desk.answer("ada", case)
        await desk.do("ada", case, "close")
        await desk.past.pass_until(desk.room.clock() + timedelta(hours=1, minutes=5))
        (asked,) = await desk.room.rows(
            "SELECT message_id FROM surveys WHERE case_id = :id", id=case
        )
        await desk.past.sent(
            (case, asked.message_id), status="failed" if said == "failed" else "sent"
        )
        if said not in ("", "failed"):
            desk.room.clock.at += timedelta(minutes=1)
            await desk.room.hear(message(said, at=desk.room.clock(), sender=who))
    case = await desk.hear(sender=person())
    await desk.answer("bo", case)
    await desk.do("bo", case, "promises", kind="answer", within="3h")
    lagging = await desk.hear(text="", sender=person(), kind="call_missed", account="desk-phone",
                              channel="phone", reply_window_closes_at=None)  # fmt: skip
    desk.room.clock.at += timedelta(days=1)
    await desk.room.tell(lagging, cmd.PassTime(NOON))
