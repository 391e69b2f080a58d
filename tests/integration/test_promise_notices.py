"""Reminders of promises, from the event to the webhook: none leaves once its promise is over."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import msgspec
import pytest

from services.router.case import Promise
from shared.events import CaseChanged, PromiseReminded
from tests.builders import NOON, after
from tests.notifying import Notifying, notifying


@pytest.fixture
async def room(database_url: str, tmp_path: Path) -> AsyncIterator[Notifying]:
    async with notifying(database_url, tmp_path) as room:
        yield room


async def promise(room: Notifying, case_id: UUID, *promises: Promise) -> None:
    """What the router commits."""
    doc = msgspec.json.encode({"promises": promises}).decode()
    await room.run(
        "UPDATE cases SET version = version + 1, doc = CAST(:doc AS jsonb) WHERE id = :id",
        id=case_id, doc=doc,
    )  # fmt: skip


def open_promise() -> Promise:
    return Promise(id=uuid4(), kind="call_back", what="x", due_at=after(hours=1), by="jo")


def reminder(room: Notifying, case_id: UUID, of: Promise) -> CaseChanged:
    event = PromiseReminded(
        promise_id=of.id, step=1, due_at=of.due_at, expires_at=of.due_at, by="jo",
        notify=(room.webhook(),),
    )  # fmt: skip
    return room.change(case_id, event)


async def test_a_reminder_of_an_open_promise_leaves(room: Notifying) -> None:
    case_id, one = await room.open_case(), open_promise()
    await promise(room, case_id, open_promise(), one)
    await room.hear(reminder(room, case_id, one))
    async with room.sending():
        await room.settled("sent")
    (request,) = room.endpoint.at("/parcels")
    told = request.json()
    assert told["type"] == "promise.reminded"
    assert told["data"]["promise_id"] == str(one.id)
    assert "x" not in told["data"].values(), "what was promised is the customer's matter"


@pytest.mark.parametrize("broken", [True, False])
async def test_one_of_a_promise_that_is_over_is_dropped(room: Notifying, broken: bool) -> None:
    case_id, one, other = await room.open_case(), open_promise(), open_promise()
    await promise(room, case_id, one, other)
    await room.hear(reminder(room, case_id, one))
    room.clock.at = NOON + timedelta(minutes=1)
    ended = (msgspec.structs.replace(one, state="broken"),) if broken else ()
    await promise(room, case_id, *ended, other)
    async with room.sending():
        await room.settled("dropped")
    assert room.endpoint.at("/parcels") == []
