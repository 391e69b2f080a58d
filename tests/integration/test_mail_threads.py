"""A mail finds its case, and a bounce its reply: from the raw mail to the router's tables."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.router import commands as cmd
from shared.channels import Parsed
from shared.channels.email import message_from_mime
from shared.channels.email.addresses import domain_of, own_address
from shared.channels.email.tokens import bounce_address, reply_secrets, subject_tag
from shared.events import DeliveryReported, Thread
from tests.builders import NOON, after, mail
from tests.contracts.channels.bounce_mails import OURS as SOME_MAIL
from tests.contracts.channels.bounce_mails import REPORTS, dsn, fields
from tests.rooms import Room, make_room


@pytest.fixture
async def room(database_url: str, tmp_path: Path) -> AsyncIterator[Room]:
    room = await make_room(database_url, tmp_path)
    yield room
    await room.engine.dispose()


class Desk:
    """The example's mailbox, with what it signs by."""

    def __init__(self, room: Room) -> None:
        found = room.runtime.accounts.get("support-mail")
        assert found is not None
        self.account = found
        self.address = own_address(self.account)
        self.secret = reply_secrets(self.account)[0]

    def ours(self, message_id: UUID) -> str:
        return f"<regie.{message_id}@{domain_of(self.address)}>"

    def read(self, raw: str, recipient: str = "") -> Parsed:
        recipients = [recipient or self.address]
        return message_from_mime(raw.encode(), self.account, "", recipients, after(hours=2))


async def answered(room: Room, desk: Desk) -> tuple[UUID, UUID]:
    """A case whose reply has left: its id and the reply's."""
    await room.hear(mail())
    ((case_id, version),) = await room.rows("SELECT id, version FROM cases")
    reply = uuid4()
    room.clock.at = after(hours=1)
    await room.tell(case_id, cmd.Reply(message_id=reply, agent="jo", text="Today", answers=version))
    await room.report(
        DeliveryReported(
            delivery_id=uuid4(), case_id=case_id, effect="reply", status="sent", at=after(hours=1),
            message_id=reply, account=desk.account.name, provider_id=desk.ours(reply),
        )
    )  # fmt: skip
    room.clock.at = after(hours=2)
    return case_id, reply


async def state(room: Room) -> tuple[Any, ...]:
    """Of the case, of its reply, and of the promise of an answer."""
    ((case_state,),) = await room.rows("SELECT state FROM cases")
    ((reply_state,),) = await room.rows("SELECT state FROM messages WHERE direction = 'out'")
    clocks = await room.rows("SELECT state, due_at FROM deadlines WHERE metric = 'first_response'")
    return case_state, reply_state, {at for _, at in clocks}, "running" in [s for s, _ in clocks]


async def test_a_bounce_marks_the_reply_failed_and_reopens_its_deadline(room: Room) -> None:
    desk = Desk(room)
    case_id, reply = await answered(room, desk)
    before = await state(room)
    assert (before[:2], before[3]) == (("waiting_customer", "sent"), False)

    raw = REPORTS["postfix"].raw.decode().replace(SOME_MAIL, desk.ours(reply))
    bounce = desk.read(raw)
    await room.hear(*bounce.messages)
    await room.report(*bounce.statuses)

    promised = before[2]
    assert await state(room) == ("open", "failed", promised, True), "the same promise runs again"
    rows = await room.rows("SELECT case_id, kind FROM messages WHERE kind = 'bounce'")
    assert rows == [(case_id, "bounce")], "it stands in the case of the reply"
    said = await room.rows("SELECT data::text FROM case_events WHERE type LIKE '%eply%ailed'")
    assert "the address does not exist: 550 5.1.1 user unknown" in said[0][0]


async def test_a_bounce_that_names_no_mail_is_known_by_its_return_address(room: Room) -> None:
    desk = Desk(room)
    _, reply = await answered(room, desk)
    bounce = desk.read(
        "\n\n".join(dsn(fields(), returned="")),
        bounce_address(desk.address, reply, desk.secret),
    )
    await room.hear(*bounce.messages)
    await room.report(*bounce.statuses)
    case_state, reply_state, _, runs = await state(room)
    assert (case_state, reply_state, runs) == ("open", "failed", True)
    assert len(await room.rows("SELECT id FROM cases")) == 1


async def test_a_delay_fails_nothing(room: Room) -> None:
    desk = Desk(room)
    _, reply = await answered(room, desk)
    raw = REPORTS["postfix-delayed"].raw.decode().replace(SOME_MAIL, desk.ours(reply))
    parsed = desk.read(raw)
    await room.hear(*parsed.messages)
    await room.report(*parsed.statuses)
    case_state, reply_state, _, runs = await state(room)
    assert (case_state, reply_state, runs) == ("waiting_customer", "sent", False)


# --- the tag in a subject ------------------------------------------------------------------


async def closed(room: Room, desk: Desk) -> str:
    """The tag of a case that is closed, while its customer has another one open."""
    await room.hear(mail("First"))
    ((case_id,),) = await room.rows("SELECT id FROM cases")
    await room.tell(case_id, cmd.Close("jo"))
    return subject_tag(desk.address, case_id, desk.secret)


def tagged(desk: Desk, tag: str, **given: Any) -> Any:
    found = desk.read(f"From: ada@example.org\nSubject: Re: x {tag}\n\nStill?").messages[0].thread
    return mail(
        "Still?", after(minutes=5), thread=Thread(message_id=uuid4().hex, tag=found.tag), **given
    )


async def test_a_tag_leads_its_customer_back(room: Room) -> None:
    desk = Desk(room)
    tag = await closed(room, desk)
    room.clock.at = after(minutes=5)
    await room.hear(mail("Second", after(minutes=1), account="post-room"))
    await room.hear(tagged(desk, tag))
    rows = await room.rows(
        "SELECT cases.state, text FROM messages JOIN cases ON cases.id = case_id"
    )
    assert ("open", "First") in rows
    assert len({case for case, in await room.rows(
        "SELECT case_id FROM messages WHERE text IN ('First', 'Still?')")}) == 1  # fmt: skip


async def test_a_tag_that_a_stranger_shows_opens_no_case_of_another(room: Room) -> None:
    desk = Desk(room)
    tag = await closed(room, desk)
    room.clock.at = NOON + timedelta(minutes=5)
    await room.hear(tagged(desk, tag, address="eve@evil.example"))
    assert len(await room.rows("SELECT id FROM cases")) == 2
    (first,) = await room.rows(
        "SELECT cases.state FROM cases JOIN messages ON cases.id = case_id WHERE text = 'First'"
    )
    assert first == ("closed",)


# --- what comes back of our notices ------------------------------------------------------------


NOTICE = UUID("5d0c5f5a-7f0c-5d6e-9b1a-64b7c1b0a5d2")


async def reminded(room: Room) -> UUID:
    """A case of which a colleague was reminded by mail; its id."""
    await room.hear(mail())
    ((case_id,),) = await room.rows("SELECT id FROM cases")
    await room.rows(
        "INSERT INTO deliveries (id, event_id, case_id, seq, version, effect, target, lane, "
        "payload, at, next_at, expires_at, created_at, state) VALUES (:id, 'e', :case, 1, 1, "
        "'reminder', 'email:jo@example.net', '', '{}', :at, :at, :at, :at, 'sent') RETURNING id",
        id=NOTICE, case=case_id, at=NOON,
    )  # fmt: skip
    return case_id  # type: ignore[no-any-return]


def notice(desk: Desk, id: UUID = NOTICE) -> str:
    return f"<regie.notice.{id}@{domain_of(desk.address)}>"


def colleague(desk: Desk, id: UUID = NOTICE, subject: str = "Re: Due in 30 minutes") -> str:
    return (
        f"From: Jo <jo@example.net>\r\nTo: {desk.address}\r\nSubject: {subject}\r\n"
        f"Message-ID: <1@example.net>\r\nIn-Reply-To: {notice(desk, id)}\r\n\r\nI am on it.\r\n"
    )


async def test_a_colleagues_answer_to_a_notice_is_a_note_in_its_case(room: Room) -> None:
    case_id, desk = await reminded(room), Desk(room)
    before = await room.rows("SELECT state, version FROM cases")
    parsed = desk.read(colleague(desk))
    await room.hear(*parsed.messages)
    await room.hear(*parsed.messages)  # once, however often it is read
    (note,) = await room.rows(
        "SELECT case_id, data FROM case_events WHERE data ->> 'type' = 'note.added'"
    )
    assert note.case_id == case_id
    assert note.data["author"] == "jo@example.net"
    assert "I am on it." in note.data["text"]
    ((state, version),) = await room.rows("SELECT state, version FROM cases")
    assert (state, version) == (before[0].state, before[0].version + 1)
    assert len(await room.rows("SELECT id FROM customers")) == 1, "nobody became a customer"


async def test_a_bounce_of_a_notice_is_a_note_too(room: Room) -> None:
    await reminded(room)
    desk = Desk(room)
    bounce = desk.read(REPORTS["postfix"].raw.decode().replace(SOME_MAIL, notice(desk)))
    await room.hear(*bounce.messages)
    assert len(await room.rows("SELECT id FROM cases")) == 1
    (note,) = await room.rows("SELECT data FROM case_events WHERE data ->> 'type' = 'note.added'")
    assert note.data["text"]


async def test_an_answer_to_a_notice_of_many_cases_is_kept_and_waits_for_nobody(
    room: Room,
) -> None:
    await reminded(room)
    desk = Desk(room)
    await room.hear(*desk.read(colleague(desk, uuid4())).messages)
    rows = await room.rows("SELECT state, due_metric FROM cases ORDER BY opened_at, id")
    assert sorted(row.state for row in rows) == ["closed", "open"]
