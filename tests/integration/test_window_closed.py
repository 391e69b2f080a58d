"""A reply window that closed on a reply: the agent learns why and what is left, the customer is
offered the permitted switch at once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.router import commands as cmd
from shared.events import DeliveryReported
from tests.builders import after, message
from tests.rooms import Room, make_room


@pytest.fixture
async def room(database_url: str, tmp_path: Path) -> AsyncIterator[Room]:
    room = await make_room(database_url, tmp_path)
    yield room
    await room.engine.dispose()


async def replied(room: Room) -> tuple[UUID, UUID]:
    """A case with a reply on its way: their ids."""
    await room.hear(message("Where is my parcel?"))
    (case,) = await room.rows("SELECT id, version FROM cases")
    reply = cmd.Reply(uuid4(), "jo", "It left today.", case.version)
    await room.tell(case.id, reply)
    return case.id, reply.message_id


async def fails(room: Room, case: UUID, reply: UUID, code: str) -> None:
    await room.report(
        DeliveryReported(
            delivery_id=uuid4(), case_id=case, effect="reply", status="dropped", at=room.clock(),
            message_id=reply, account="desk-whatsapp", code=code,
            reason="the whatsapp reply window closed before it could be sent",
        )
    )  # fmt: skip


async def offered(room: Room) -> list[Any]:
    return await room.rows("SELECT reason, to_channel, state FROM handoffs")


async def test_the_switch_is_offered_and_the_agent_reads_what_is_left(room: Room) -> None:
    case, reply = await replied(room)
    room.clock.at = after(hours=25)
    await fails(room, case, reply, "window_closed")
    (row,) = await room.rows(
        "SELECT state, data ->> 'error' AS error FROM messages WHERE id = :id", id=reply
    )
    assert row.state == "failed"
    assert row.error.startswith("window_closed: the whatsapp reply window closed")
    assert row.error.endswith("permitted: a template, or a switch to phone, email")
    (clock,) = await room.rows(
        "SELECT state FROM deadlines WHERE case_id = :case AND metric = 'first_response'", case=case
    )
    assert clock.state in ("running", "breached")
    assert [row.reason for row in await offered(room)] == ["window_closing"]
    (invited,) = await room.rows(
        "SELECT data FROM case_events WHERE type = 'reply.requested' "
        "AND data ->> 'purpose' = 'invitation'"
    )
    assert invited.data["template"] == "resume_invite"  # free text would meet the same window


async def test_another_failure_offers_nothing_by_itself(room: Room) -> None:
    case, reply = await replied(room)
    await fails(room, case, reply, "invalid_recipient")
    assert await offered(room) == []
    (row,) = await room.rows(
        "SELECT data ->> 'error' AS error FROM messages WHERE id = :id", id=reply
    )
    assert row.error.endswith("permitted: a switch to phone, email")


async def test_it_is_offered_once_however_many_replies_fail(room: Room) -> None:
    case, reply = await replied(room)
    (row,) = await room.rows("SELECT version FROM cases")
    other = cmd.Reply(uuid4(), "jo", "And it is yellow.", row.version)
    await room.tell(case, other)
    room.clock.at = after(hours=25)
    await fails(room, case, reply, "window_closed")
    await fails(room, case, other.message_id, "window_closed")
    assert len(await offered(room)) == 1
