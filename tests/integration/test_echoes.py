"""What comes back of our own, and statuses that name a time instead of a message, at the router."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.router import commands as cmd
from shared.events import (
    Attachment,
    DeliveryReported,
    DeliveryStatusReceived,
    Identity,
    MessageReceived,
    Thread,
)
from tests.builders import NOON, after, message, sender
from tests.rooms import Room, make_room

PERSON = Identity(scheme="igsid", value="1254459154682919")
WRITER = sender("1254459154682919", "igsid")


@pytest.fixture
async def room(database_url: str, tmp_path: Path) -> AsyncIterator[Room]:
    room = await make_room(database_url, tmp_path)
    yield room
    await room.engine.dispose()


def direct(text: str = "Where is my parcel?", **given: Any) -> MessageReceived:
    values: dict[str, Any] = {"account": "desk-instagram", "channel": "instagram"}
    return message(text, **(values | {"sender": WRITER} | given))


def echo(text: str, mid: str, **given: Any) -> MessageReceived:
    thread = Thread(message_id=mid)
    return direct(text, **{"echo": True, "thread": thread, "at": after(seconds=30)} | given)


async def answered(room: Room, text: str = "On its way") -> tuple[UUID, UUID]:
    """A case with a reply of ours that waits to be reported: the ids of both."""
    await room.hear(direct())
    (case,) = await room.rows("SELECT id FROM cases")
    reply = cmd.Reply(uuid4(), "jo", text, answers=1, senders=frozenset({"desk-instagram"}))
    await room.tell(case.id, reply)
    room.clock.at = after(seconds=40)
    return case.id, reply.message_id


def sent(case_id: UUID, message_id: UUID, mid: str) -> DeliveryReported:
    return DeliveryReported(
        delivery_id=uuid4(), case_id=case_id, effect="reply", status="sent", at=after(seconds=20),
        message_id=message_id, account="desk-instagram", provider_id=mid,
    )  # fmt: skip


async def outgoing(room: Room) -> list[tuple[str, str]]:
    rows = await room.rows("SELECT text, state FROM messages WHERE direction = 'out' ORDER BY text")
    return [tuple(row) for row in rows]


async def test_what_we_sent_comes_back_by_its_id(room: Room) -> None:
    case_id, message_id = await answered(room)
    await room.report(sent(case_id, message_id, "m_1"))
    await room.hear(echo("other words", "m_1"))
    assert await outgoing(room) == [("On its way", "sent")]


async def test_what_we_sent_comes_back_before_we_know_its_id(room: Room) -> None:
    await answered(room)
    await room.hear(echo("On its way", "m_1"))
    assert await outgoing(room) == [("On its way", "pending")]


async def test_our_own_words_a_moment_ago_are_ours_under_another_id(room: Room) -> None:
    case_id, message_id = await answered(room)
    await room.report(sent(case_id, message_id, "m_last"))
    await room.hear(echo("On its way", "m_first"))
    assert await outgoing(room) == [("On its way", "sent")]


async def test_a_reply_typed_elsewhere_is_a_reply(room: Room) -> None:
    case_id, message_id = await answered(room)
    await room.report(sent(case_id, message_id, "m_1"))
    await room.hear(echo("Typed by hand", "m_2"))
    assert await outgoing(room) == [("On its way", "sent"), ("Typed by hand", "recorded")]


async def test_the_same_words_much_later_are_another_reply(room: Room) -> None:
    case_id, message_id = await answered(room)
    await room.report(sent(case_id, message_id, "m_1"))
    room.clock.at = after(hours=3)
    await room.hear(echo("On its way", "m_2", at=after(hours=3)))
    assert len(await outgoing(room)) == 2


async def test_whatsapp_gives_back_only_what_was_typed(room: Room) -> None:
    await room.hear(message())
    (case,) = await room.rows("SELECT id FROM cases")
    await room.tell(case.id, cmd.Reply(uuid4(), "jo", "On its way", answers=1))
    typed = message("On its way", echo=True, at=after(seconds=5), thread=Thread(message_id="w_1"))
    await room.hear(typed)
    assert len(await outgoing(room)) == 2


async def test_a_robots_words_answer_nobody(room: Room) -> None:
    await room.hear(direct())
    await room.hear(echo("I am a robot", "m_1", automatic=True))
    (case,) = await room.rows("SELECT state, waiting_since FROM cases")
    assert (case.state, case.waiting_since) == ("open", NOON)
    (note,) = await room.rows("SELECT data FROM case_events WHERE type = 'note.added'")
    assert "I am a robot" in str(note.data)


@pytest.mark.parametrize("kind", ["reaction", "edit", "revoke"])
async def test_what_we_did_to_an_earlier_reply_answers_nobody(room: Room, kind: Any) -> None:
    await room.hear(direct())
    await room.hear(echo("changed", "m_1", kind=kind))
    (case,) = await room.rows("SELECT waiting_since FROM cases")
    assert case.waiting_since == NOON


async def test_an_edit_without_its_words_keeps_the_old_ones(room: Room) -> None:
    await room.hear(direct("Teh parcel", reference="m_1"))
    missing = {"text_missing": True}
    await room.hear(
        direct("[changed]", kind="edit", thread=Thread(target="m_1"), attributes=missing)
    )
    (row,) = await room.rows("SELECT text FROM messages WHERE kind = 'message'")
    assert row.text == "Teh parcel\n[changed]"


# --- up to a time ------------------------------------------------------------------------------


def read(until: Any, account: str = "desk-instagram", who: Identity = PERSON) -> Any:
    return DeliveryStatusReceived(
        id=uuid4(), account=account, provider_id=f"until {who.value}", status="read",
        at=until, recipient=who,
    )  # fmt: skip


async def test_all_that_was_sent_until_then_was_read(room: Room) -> None:
    case_id, message_id = await answered(room, "first")
    await room.report(sent(case_id, message_id, "m_1"))
    room.clock.at = after(minutes=5)
    later = cmd.Reply(uuid4(), "jo", "second", answers=1, senders=frozenset({"desk-instagram"}))
    await room.tell(case_id, later)
    await room.report(sent(case_id, later.message_id, "m_2"))
    await room.report(read(after(minutes=2)))
    assert await outgoing(room) == [("first", "read"), ("second", "sent")]
    await room.report(read(after(minutes=6)))
    assert await outgoing(room) == [("first", "read"), ("second", "read")]
    assert await room.rows("SELECT * FROM pending_statuses") == []


async def test_a_time_says_nothing_of_what_has_not_left_or_of_others(room: Room) -> None:
    case_id, message_id = await answered(room)
    await room.report(read(after(hours=1)))
    assert await outgoing(room) == [("On its way", "pending")]
    await room.report(sent(case_id, message_id, "m_1"))
    await room.report(read(after(hours=1), account="night-instagram"))
    await room.report(read(after(hours=1), who=Identity(scheme="igsid", value="1")))
    assert await outgoing(room) == [("On its way", "sent")]
    assert await room.rows("SELECT * FROM pending_statuses") == []


async def test_a_file_of_ours_comes_back_under_another_address(room: Room) -> None:
    await room.hear(direct())
    (case,) = await room.rows("SELECT id FROM cases")
    file = Attachment(name="photo.png", content_type="image/png")
    reply = cmd.Reply(
        uuid4(),
        "jo",
        "Look:",
        answers=1,
        senders=frozenset({"desk-instagram"}),
        attachments=(file,),
    )
    await room.tell(case.id, reply)
    await room.report(sent(case.id, reply.message_id, "m_2"))
    room.clock.at = after(minutes=1)
    theirs = Attachment(name="image.png", content_type="image/png", url="https://cdn.example.net/1")
    await room.hear(echo("[image]", "m_1", attachments=(theirs,)))
    assert len(await outgoing(room)) == 1
