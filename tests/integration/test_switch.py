"""DESIGN 5.10: what a resume code does, from where, how often, and for whom."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from services.router import commands as cmd
from shared import codes
from shared.events import MessageReceived
from tests.builders import NOON, after, mail, message
from tests.rooms import Room, make_room

CODE = codes.written(0x12_3456_789A)


@pytest.fixture
async def room(database_url: str, tmp_path: Path) -> AsyncIterator[Room]:
    room = await make_room(database_url, tmp_path)
    await room.hear(message("Where is my parcel?"))
    (case,) = await room.rows("SELECT id FROM cases")
    offer = cmd.OfferHandoff(
        uuid4(), "jo", "agent", to_channel="email", address="ada@example.org", code=CODE,
        way=cmd.Way(address="support@example.org"), invitation_id=uuid4(),
    )  # fmt: skip
    await room.tell(case.id, offer)
    yield room
    await room.engine.dispose()


async def joined(room: Room, received: MessageReceived) -> tuple[str, str]:
    """(why it joined, how it is marked), as the case's history tells."""
    await room.hear(received)
    rows = await room.rows(
        "SELECT data ->> 'joined', coalesce(data ->> 'marked', '') FROM case_events "
        "WHERE type = 'message.added' AND data ->> 'message_id' = :id",
        id=str(received.id),
    )
    return rows[0][0], rows[0][1]


def with_code(
    address: str = "ada@example.org", text: str = f"As asked: {CODE}", **more: Any
) -> MessageReceived:
    return mail(text, address=address, at=after(minutes=20), **more)


async def test_from_the_named_address_case_and_identity_join(room: Room) -> None:
    assert await joined(room, with_code()) == ("code", "")
    (case,) = await room.rows("SELECT channel, due_at FROM cases")
    assert case == ("email", after(minutes=60)), "the promise made on WhatsApp is kept"
    owners = await room.rows("SELECT DISTINCT customer_id FROM identities")
    assert len(owners) == 1
    assert (await room.rows("SELECT state FROM handoffs"))[0][0] == "accepted"


async def test_from_another_address_only_the_message_joins_marked(room: Room) -> None:
    assert await joined(room, with_code("eve@example.net")) == ("code", "code_from_elsewhere")
    owners = await room.rows("SELECT DISTINCT customer_id FROM identities")
    assert len(owners) == 2
    (case,) = await room.rows("SELECT doc -> 'routes' -> 'email' FROM cases")
    assert case[0] is None, "no reply is redirected to it"


async def test_a_spent_code_is_a_thread_for_its_customer_and_nothing_for_others(room: Room) -> None:
    await joined(room, with_code())
    assert (await joined(room, with_code()))[0] == "thread"
    why, _ = await joined(room, with_code("eve@example.net"))
    assert why == "new"
    assert (await room.rows("SELECT count(*) FROM cases"))[0][0] == 2


async def test_two_at_once_redeem_it_once(room: Room) -> None:
    await room.hear(with_code("eve@example.net"), with_code())
    spent = await room.rows("SELECT redeemed_by FROM resume_codes")
    assert [row[0] for row in spent] == ["email:eve@example.net"]
    assert (await room.rows("SELECT count(*) FROM cases"))[0][0] == 1


async def test_a_batch_counts_a_code_as_two_batches_would(room: Room) -> None:
    await room.hear(with_code(), mail("One more thing", at=after(minutes=21)))
    assert (await room.rows("SELECT count(*) FROM cases"))[0][0] == 1
    owners = await room.rows("SELECT DISTINCT customer_id FROM messages")
    assert len(owners) == 1, "the messages are the customer's, not a stranger's"


async def test_words_are_no_guesses(room: Room) -> None:
    words = "Regarding my reference: returning, refunding, recording and reworking."
    assert await joined(room, with_code(text=f"{words} {CODE}")) == ("code", "")


async def test_a_spent_code_does_not_wake_an_old_case(room: Room) -> None:
    await joined(room, with_code())
    (case,) = await room.rows("SELECT id FROM cases")
    await room.tell(case.id, cmd.Close("jo"))
    room.clock.at = after(days=200)
    late = mail(f"Re: {CODE}", at=after(days=200))
    assert (await joined(room, late))[0] == "new"


async def test_an_auto_reply_never_redeems(room: Room) -> None:
    why, _ = await joined(room, with_code(kind="auto_reply", automatic=True))
    assert why != "code"
    assert (await room.rows("SELECT redeemed_at FROM resume_codes"))[0][0] is None


async def test_an_expired_code_is_worth_nothing(room: Room) -> None:
    room.clock.at = after(hours=73)
    why, _ = await joined(room, mail(f"{CODE}", at=after(hours=73)))
    assert why == "new"


async def test_five_wrong_ones_an_hour_then_refusal(room: Room) -> None:
    guesses = " ".join(codes.written(number) for number in range(5))
    await room.hear(mail(guesses, at=NOON))
    assert (await room.rows("SELECT count(*) FROM wrong_codes"))[0][0] == 5
    why, _ = await joined(room, with_code())
    assert why != "code"
    room.clock.at = after(hours=2)
    assert (await joined(room, with_code()))[0] == "code"


async def test_it_is_read_as_people_write_it(room: Room) -> None:
    spoken = CODE.replace("-", " ").lower().replace("0", "o").replace("1", "l")
    assert (await joined(room, with_code(text=f"code {spoken}")))[0] == "code"


async def test_nothing_stored_shows_it(room: Room) -> None:
    tables = ("case_events", "messages", "resume_codes", "handoffs", "decisions", "cases")
    for table in tables:
        rows = await room.rows(f"SELECT {table}::text FROM {table}")
        assert not any(CODE in row[0] for row in rows), table
