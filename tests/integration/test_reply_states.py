"""What becomes of a reply: its states by rank, in whatever order they are heard of; and what an
agent learns, at once, of one that failed.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import permutations
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

import httpx
import msgspec
import pytest

from services.router import commands as cmd
from services.router import keeping
from services.router.api import routers
from shared.api_keys import Grant, create
from shared.database import transaction
from shared.events import RANK, CaseChanged, DeliveryReported, DeliveryStatusReceived, ReplyFailed
from shared.web.app import make_app
from tests.builders import NOON, after, message, sender
from tests.rooms import Room, make_room

Word = DeliveryReported | DeliveryStatusReceived
ACCOUNT: Final = "desk-whatsapp"


@pytest.fixture
async def room(database_url: str, tmp_path: Path) -> AsyncIterator[Room]:
    room = await make_room(database_url, tmp_path)
    yield room
    await room.engine.dispose()


@dataclass(frozen=True)
class Sent:
    """One customer's case with a reply that is on its way."""

    case_id: UUID
    message_id: UUID

    @property
    def provider_id(self) -> str:
        return f"wamid.{self.message_id.hex}"

    def told(self, status: str, code: str = "", reason: str = "") -> DeliveryReported:
        """By the notifier, which knows the provider's id of what was sent."""
        return DeliveryReported(
            delivery_id=uuid4(), case_id=self.case_id, effect="reply", status=status, at=NOON,  # type: ignore[arg-type]
            message_id=self.message_id, account=ACCOUNT, code=code, reason=reason,
            provider_id=self.provider_id if status == "sent" else "",
        )  # fmt: skip

    def heard(self, status: str, *, echoed: bool = False) -> DeliveryStatusReceived:
        """By the provider, who names our own id where it is `echoed`."""
        return DeliveryStatusReceived(
            id=uuid4(), account=ACCOUNT, provider_id=self.provider_id, status=status, at=NOON,  # type: ignore[arg-type]
            correlation=str(self.message_id) if echoed else "",
            code="undeliverable" if status == "failed" else "",
        )  # fmt: skip

    def word(self, name: str) -> Word:
        """`told sent`, `read`, or `read!` for one that echoes our id."""
        if name.startswith("told "):
            return self.told(name.removeprefix("told "))
        return self.heard(name.removesuffix("!"), echoed=name.endswith("!"))


async def replies(room: Room, count: int) -> list[Sent]:
    people = [sender(f"+316{number:08d}") for number in range(count)]
    await room.hear(*(message(sender=person) for person in people))
    found = []
    for case in await room.rows("SELECT id, version FROM cases ORDER BY id"):
        reply = cmd.Reply(uuid4(), "jo", "It left today.", answers=case.version)
        await room.tell(case.id, reply)
        found.append(Sent(case.id, reply.message_id))
    return found


async def states(room: Room) -> dict[UUID, str]:
    rows = await room.rows("SELECT id, state FROM messages WHERE direction = 'out'")
    return {row.id: row.state for row in rows}


async def counted(room: Room, sent: Sent, *types: str) -> dict[str, int]:
    rows = await room.rows(
        "SELECT type, count(*) AS number FROM case_events WHERE case_id = :id GROUP BY type",
        id=sent.case_id,
    )
    return {type: {row.type: row.number for row in rows}.get(type, 0) for type in types}


def highest(names: Sequence[str]) -> str:
    return max(
        (name.removeprefix("told ").removesuffix("!") for name in names), key=lambda n: RANK[n]
    )


# --- every order -------------------------------------------------------------------------------

SETS = [
    ("told sent", "sent", "delivered", "read"),
    ("told sent", "accepted", "delivered", "failed"),
    ("told sent", "sent!", "delivered!", "read"),
    ("told sent", "delivered!", "failed!"),
    ("told unknown", "delivered!", "read!"),
    ("told unknown", "told sent", "delivered"),
    ("told failed", "failed!", "delivered!"),
]


def orders() -> Iterator[tuple[str, ...]]:
    for names in SETS:
        yield from permutations(names)


async def test_every_order_ends_in_the_highest_state(room: Room) -> None:
    """Each order of a set on a case of its own, one word a batch; then all words once more."""
    every = list(orders())
    sent = await replies(room, len(every))
    words = [[each.word(name) for name in order] for each, order in zip(sent, every, strict=True)]
    for step in range(max(map(len, every))):
        await room.report(*(said[step] for said in words if step < len(said)))
    await check(room, sent, every)
    # The same statuses under new ids, backwards.
    late = [
        each.word(name)
        for each, order in zip(sent, every, strict=True)
        for name in reversed(order)
        if not name.startswith("told ")
    ]
    await room.report(*late)
    await check(room, sent, every)


async def test_every_order_within_one_batch_ends_there_too(room: Room) -> None:
    every = list(orders())
    sent = await replies(room, len(every))
    batch = [each.word(name) for each, order in zip(sent, every, strict=True) for name in order]
    await room.report(*batch)
    await check(room, sent, every)


@pytest.mark.parametrize("seed", range(4))
async def test_any_mixture_of_words_and_batches_ends_there_too(room: Room, seed: int) -> None:
    """With repeats, in parts of any size; a report of the send among them."""
    chance = random.Random(seed)
    names = ("accepted", "sent", "delivered", "read", "failed", "delivered!", "read!", "sent!")
    sent = await replies(room, 25)
    every = [("told sent", *chance.choices(names, k=chance.randint(1, 6))) for _ in sent]
    words = [
        (chance.random(), each.word(name))
        for each, given in zip(sent, every, strict=True)
        for name in given
    ]
    line = [word for _, word in sorted(words, key=lambda pair: pair[0])]
    while line:
        part = chance.randint(1, 30)
        await room.report(*line[:part])
        line = line[part:]
    await check(room, sent, every)


async def check(room: Room, sent: Sequence[Sent], every: Sequence[Sequence[str]]) -> None:
    found = await states(room)
    for each, order in zip(sent, every, strict=True):
        assert found[each.message_id] == highest(order), order
        happened = await counted(room, each, "reply.sent", "reply.failed", "deadline.met")
        assert happened["reply.sent"] <= 1, order
        assert happened["reply.failed"] <= 1, order
        (case,) = await room.rows("SELECT state, doc FROM cases WHERE id = :id", id=each.case_id)
        if not any("failed" in name for name in order):
            assert (case.state, happened) == (
                "waiting_customer", {"reply.sent": 1, "reply.failed": 0, "deadline.met": 1},
            ), order  # fmt: skip
        elif highest(order) == "failed":
            assert (case.state, happened["reply.failed"]) == ("open", 1), order
            assert case.doc["unanswered"], "what it answered waits again"
    assert await room.rows("SELECT 1 FROM pending_statuses") == []


# --- before its send, and of nothing of ours ---------------------------------------------------


async def test_a_status_before_its_send_is_kept_and_matched_then(room: Room) -> None:
    (one,) = await replies(room, 1)
    await room.report(one.heard("read"), one.heard("delivered"))
    assert await states(room) == {one.message_id: "pending"}
    assert len(await room.rows("SELECT 1 FROM pending_statuses")) == 2
    await room.report(one.told("sent"))
    assert await states(room) == {one.message_id: "read"}
    assert await room.rows("SELECT 1 FROM pending_statuses") == []


async def test_a_failure_before_its_send_is_one(room: Room) -> None:
    (one,) = await replies(room, 1)
    await room.report(one.heard("failed"))
    await room.report(one.told("sent"))
    assert await states(room) == {one.message_id: "failed"}
    (case,) = await room.rows("SELECT state FROM cases")
    assert case.state == "open"


async def test_statuses_of_nothing_we_sent_are_forgotten_in_the_end(room: Room) -> None:
    (one,) = await replies(room, 1)
    stranger = Sent(one.case_id, uuid4())
    await room.report(*(stranger.heard(word) for word in ("sent", "delivered", "read")))
    await room.report(stranger.heard("read", echoed=True))
    assert len(await room.rows("SELECT 1 FROM pending_statuses")) == 4
    await room.rows("UPDATE pending_statuses SET created_at = :at RETURNING 1", at=room.clock())
    room.clock.at += timedelta(days=9)
    await keeping._forget(room.runtime)
    assert len(await room.rows("SELECT 1 FROM pending_statuses")) == 4, "a provider may be late"
    room.clock.at += timedelta(seconds=1)
    await keeping._forget(room.runtime)
    assert await room.rows("SELECT 1 FROM pending_statuses") == []
    assert await states(room) == {one.message_id: "pending"}


# --- what an agent learns ----------------------------------------------------------------------

REASONS = {
    "window_closed": "more than 24 hours have passed since the customer's message",
    "invalid_recipient": "this number has no WhatsApp",
    "opted_out": "the customer stopped messages of this number",
    "throttled": "HTTP 429; no time is left to try again",
    "strange": "something new",
}


async def client(room: Room) -> httpx.AsyncClient:
    async with transaction(room.engine) as connection:
        key = await create(connection, Grant(role="agent", agent="jo"))
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(make_app(room.runtime, routers(room.handlers))),
        base_url="http://regie",
        headers={"Authorization": f"Bearer {key}"},
    )


@pytest.mark.parametrize("after_sent", [False, True], ids=["never sent", "sent before"])
@pytest.mark.parametrize("code", REASONS)
async def test_a_failure_tells_why_and_what_else_is_permitted_and_the_deadline_runs_again(
    room: Room, code: str, after_sent: bool
) -> None:
    (one,) = await replies(room, 1)
    async with await client(room) as jo:
        if after_sent:
            await room.report(one.told("sent"))
            case = (await jo.get(f"/v1/cases/{one.case_id}")).json()
            assert (case["state"], running(case)) == ("waiting_customer", [])
        room.clock.at = after(minutes=10)
        await room.report(one.told("failed", code, REASONS[code]))
        case = (await jo.get(f"/v1/cases/{one.case_id}")).json()
        timeline = (await jo.get(f"/v1/cases/{one.case_id}/timeline")).json()
        inbox = (await jo.get("/v1/inbox")).json()["items"]
    assert case["state"] == "open"
    # The promise is the old one: no failure of ours makes it later.
    assert [(d["metric"], d["due_at"]) for d in running(case)] == [
        ("first_response", "2026-11-17T10:00:00Z")
    ]
    assert {row["to"] for row in case["allowed_switches"]} == {"phone", "email"}
    assert [item["id"] for item in inbox] == [str(one.case_id)], "it is in the inbox at once"
    (said,) = [entry for entry in timeline["items"] if failed(entry)]
    words = json_of(said)
    for part in (code, REASONS[code], "a switch to phone, email"):
        assert part in words, part
    assert ("a template" in words) is (code == "window_closed")
    (event,) = await published(room)
    assert (event.code, event.reason) == (code, REASONS[code])
    assert set(event.permitted) == {"phone", "email"}
    offered = await counted(room, one, "switch.suggested", "handoff.offered")
    started = int(code == "window_closed")
    assert offered == {"switch.suggested": started, "handoff.offered": started}


def running(case: dict[str, Any]) -> list[dict[str, Any]]:
    clocks = ("first_response", "next_response")
    return [d for d in case["deadlines"] if d["state"] == "running" and d["metric"] in clocks]


def failed(entry: dict[str, Any]) -> bool:
    return "It left today." in json_of(entry)


def json_of(value: Any) -> str:
    return msgspec.json.encode(value).decode()


async def published(room: Room) -> list[ReplyFailed]:
    """What the outbox holds for the notifier, and so for `/v1/events`."""
    rows = await room.rows("SELECT value FROM outbox WHERE topic = 'cases.changed' ORDER BY id")
    changes = [msgspec.json.decode(row.value, type=CaseChanged) for row in rows]
    return [c.event for c in changes if isinstance(c.event, ReplyFailed)]
