"""Word of a message that is handled before it: edits, withdrawals and reactions, in any order."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import permutations
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from msgspec.structs import replace

from shared.database import transaction
from shared.events import Kind, MessageReceived, Sender, Thread
from tests.builders import after, message, sender
from tests.rooms import Room, make_room

NOBODY = Sender(identities=(), authentication="asserted")


@pytest.fixture
async def room(database_url: str, tmp_path: Path) -> AsyncIterator[Room]:
    room = await make_room(database_url, tmp_path)
    room.clock.at = after(minutes=5)
    yield room
    await room.engine.dispose()


# --- before its message --------------------------------------------------------------------------


def original(text: str = "Teh parcel") -> MessageReceived:
    return message(text, reference="w1")


def about(kind: Kind, text: str, minute: float, **given: Any) -> MessageReceived:
    return message(text, kind=kind, at=after(minutes=minute), thread=Thread(target="w1"), **given)


async def said(room: Room) -> Any:
    (row,) = await room.rows("SELECT text, data FROM messages WHERE provider_id = 'w1'")
    return row


async def state(room: Room) -> tuple[Any, ...]:
    """Of the one case there is: what it shows, who waits, what is due."""
    (case,) = await room.rows("SELECT id, state, subject, preview, waiting_since FROM cases")
    clocks = await room.rows(
        "SELECT metric, due_at FROM deadlines WHERE state = 'running' ORDER BY metric"
    )
    return (*tuple(case)[1:], [tuple(clock) for clock in clocks])


STORIES: dict[str, list[MessageReceived]] = {
    "an edit": [original(), about("edit", "The parcel", 1)],
    "two edits": [original(), about("edit", "The", 1), about("edit", "The parcel", 2)],
    "a withdrawal": [original(), about("revoke", "", 1)],
    "an edit withdrawn": [original(), about("edit", "The parcel", 1), about("revoke", "", 2)],
    "brought back": [original(), about("revoke", "", 1), about("edit", "The parcel", 2)],
    "a reaction": [original(), about("reaction", "👍", 1)],
}


def again(story: list[MessageReceived], number: int) -> list[MessageReceived]:
    """The same of another person and message."""

    def renamed(thread: Thread) -> Thread:
        return Thread(
            message_id=f"{thread.message_id}-{number}" if thread.message_id == "w1" else "",
            target=f"{thread.target}-{number}" if thread.target else "",
        )

    who = sender(f"+3160000{number:04d}")
    return [replace(m, id=uuid4(), sender=who, thread=renamed(m.thread)) for m in story]


async def stands(room: Room, number: int) -> tuple[Any, ...]:
    (row,) = await room.rows(
        "SELECT text, case_id, data -> 'earlier' AS earlier, data -> 'added' AS added "
        "FROM messages WHERE provider_id = :id",
        id=f"w1-{number}",
    )
    cases = await room.rows(
        "SELECT state, waiting_since, subject, id FROM cases WHERE id IN (SELECT case_id FROM "
        "messages JOIN identities USING (customer_id) WHERE value = :number)",
        number=f"+3160000{number:04d}",
    )
    clocks = await room.rows(
        "SELECT metric, due_at FROM deadlines WHERE case_id = :id AND state = 'running' "
        "ORDER BY metric", id=row.case_id,
    )  # fmt: skip
    shown = [(case.state, case.waiting_since, case.subject) for case in cases]
    return row.text, row.earlier, row.added, shown, [tuple(clock) for clock in clocks]


@pytest.mark.parametrize("name", STORIES)
@pytest.mark.parametrize("at_once", [False, True])
async def test_every_order_ends_the_same(room: Room, name: str, at_once: bool) -> None:
    story = STORIES[name]
    wanted = None
    for number, order in enumerate(permutations(range(len(story)))):
        told = again(story, number)
        ordered = [told[place] for place in order]
        for batch in [ordered] if at_once else [[each] for each in ordered]:
            await room.hear(*batch)
        found = await stands(room, number)
        wanted = wanted or found
        assert found == wanted, order
        assert len(found[3]) == 1


async def test_an_edit_before_its_message(room: Room) -> None:
    await room.hear(about("edit", "The parcel", 1))
    assert (await state(room))[4] == [], "an edit alone promises nothing"
    await room.hear(original())
    row = await said(room)
    assert row.text == "The parcel"
    assert [old["text"] for old in row.data["earlier"]] == ["Teh parcel"]
    found = await state(room)
    assert found[0] == "open"
    assert found[1:3] == ("The parcel", "The parcel")
    assert dict(found[4])["first_response"] == after(minutes=60), "of the message, not of its edit"


async def test_a_withdrawal_before_its_message_waits_for_no_answer(room: Room) -> None:
    await room.hear(about("revoke", "", 1))
    await room.hear(original("my address is Elm Street 1"))
    row = await said(room)
    assert row.text == ""
    _, subject, preview, waiting, clocks = await state(room)
    assert (waiting, [metric for metric, _ in clocks]) == (None, ["resolution"])
    assert "Elm" not in subject + preview


async def test_a_withdrawal_ends_the_clock_of_an_unanswered_message(room: Room) -> None:
    await room.hear(original())
    await room.hear(about("revoke", "", 1))
    (case,) = await room.rows("SELECT waiting_since FROM cases")
    assert case.waiting_since is None
    clocks = await room.rows("SELECT state FROM deadlines WHERE metric = 'first_response'")
    assert [clock.state for clock in clocks] == ["met"]


async def test_what_else_waits_goes_on_waiting(room: Room) -> None:
    await room.hear(original(), message("And the other?", at=after(minutes=2)))
    await room.hear(about("revoke", "", 3))
    (case,) = await room.rows("SELECT waiting_since FROM cases")
    assert case.waiting_since == after(minutes=2)
    assert dict((await state(room))[4])["first_response"] == after(minutes=60), "never later"


async def test_what_is_brought_back_waits_again_since_it_was_sent(room: Room) -> None:
    await room.hear(original())
    wanted = await state(room)
    await room.hear(about("revoke", "", 1))
    await room.hear(about("edit", "Teh parcel", 2))
    assert (await said(room)).data.get("earlier") is None
    assert await state(room) == wanted


async def test_an_edit_moves_no_deadline(room: Room) -> None:
    await room.hear(original())
    before = (await state(room))[4]
    await room.hear(about("edit", "The parcel!", 4), about("edit", "The parcel?", 3))
    assert (await state(room))[4] == before
    row = await said(room)
    assert row.text == "The parcel!", "the newest by its time"
    assert [old["text"] for old in row.data["earlier"]] == ["Teh parcel", "The parcel?"]


async def test_nobody_edits_or_withdraws_what_another_said(room: Room) -> None:
    eve = sender("+31600000666", authentication="asserted")
    await room.hear(about("revoke", "", 1, sender=eve))
    await room.hear(original())
    await room.hear(about("edit", "Never mind", 2, sender=eve))
    assert (await said(room)).text == "Teh parcel"
    (case,) = await room.rows("SELECT waiting_since FROM cases WHERE waiting_since IS NOT NULL")
    assert case.waiting_since == original().occurred_at


async def test_words_that_were_forgotten_do_not_come_back(room: Room) -> None:
    await room.hear(original())
    await room.rows("UPDATE messages SET text = '', data = '{\"forgotten\": true}' RETURNING id")
    await room.hear(about("edit", "The parcel", 1))
    assert (await said(room)).text == ""


async def test_a_transcript_of_a_withheld_call_is_of_one_case(room: Room) -> None:
    call: dict[str, Any] = {"account": "desk-phone", "channel": "phone", "sender": NOBODY,
                            "reply_window_closes_at": None}  # fmt: skip
    await room.hear(message("Please call", kind="edit", thread=Thread(target="w1"), **call))
    await room.hear(message("Voicemail", kind="voicemail", reference="w1", **call))
    row = await said(room)
    assert row.text == "Voicemail\nPlease call"
    assert len(await room.rows("SELECT 1 FROM cases")) == 1


async def test_an_edit_whose_words_are_not_told_stands_below(room: Room) -> None:
    note = about("edit", "[edited]", 1, attributes={"text_missing": True})
    await room.hear(note)
    await room.hear(original())
    assert (await said(room)).text == "Teh parcel\n[edited]"


async def test_one_query_reads_all_that_came_early(room: Room) -> None:
    """However many messages a batch has."""
    asked: list[str] = []

    async def count(messages: list[MessageReceived]) -> int:
        async with transaction(room.engine) as connection:
            raw = await connection.get_raw_connection()
            real = raw.driver_connection
            assert real is not None
            with real.query_logger(lambda record: asked.append(record.query)):
                await room.handlers.on_messages(connection, room.received(messages))
        found = len([query for query in asked if "wanted (account, target)" in query])
        asked.clear()
        return found

    few = await count(again(STORIES["an edit"], 1))
    many = await count([m for n in range(2, 40) for m in again(STORIES["an edit"], n)])
    assert few == many == 1
