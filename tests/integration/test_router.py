"""The router's handlers on a real PostgreSQL: people, joining, deduplication, races."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from msgspec.structs import replace

from services.router import commands as cmd
from services.router.clock import Clock
from shared.database import is_deadlock, transaction
from shared.events import (
    Call,
    DeliveryReported,
    DeliveryStatusReceived,
    Identity,
    MessageReceived,
    Sender,
    Thread,
)
from tests.builders import NOON, after, mail, message, sender
from tests.rooms import Room, make_room


@pytest.fixture
async def room(database_url: str, tmp_path: Path) -> AsyncIterator[Room]:
    room = await make_room(database_url, tmp_path)
    yield room
    await room.engine.dispose()


async def cases(room: Room) -> list[object]:
    return await room.rows("SELECT * FROM cases ORDER BY id")


async def test_a_message_becomes_a_case_with_everything_beside_it(room: Room) -> None:
    await room.hear(message("Where is my parcel?"))
    (case,) = await room.rows("SELECT team, channel, due_at, due_metric, version FROM cases")
    assert case[:4] == ("parcels", "whatsapp", NOON + timedelta(hours=1), "first_response")
    counts = await room.rows(
        "SELECT (SELECT count(*) FROM case_events), (SELECT count(*) FROM messages), "
        "(SELECT count(*) FROM deadlines), (SELECT count(*) FROM timers), "
        "(SELECT count(*) FROM outbox), (SELECT count(*) FROM identities), "
        "(SELECT count(*) FROM customers)"
    )
    assert counts[0] == (4, 1, 2, 1, 4, 1, 1)


async def test_a_repeat_has_no_second_effect(room: Room) -> None:
    first = message()
    for _ in range(10):
        await room.hear(first, first)
    assert len(await cases(room)) == 1
    assert (await room.rows("SELECT count(*) FROM messages"))[0][0] == 1


async def test_two_quick_messages_make_one_case(room: Room) -> None:
    await room.hear(message("Hello"), message("Anyone?", at=after(seconds=2)))
    (case,) = await room.rows("SELECT waiting_since FROM cases")
    assert case.waiting_since == NOON


async def test_a_user_without_a_number_is_a_customer(room: Room) -> None:
    user = Sender(
        identities=(Identity(scheme="bsuid", value="US.1349"),), authentication="proven", name="Bo"
    )
    await room.hear(message(sender=user))
    both = Sender(
        identities=(*sender().identities, *user.identities), authentication="proven", name="Bo"
    )
    await room.hear(message(sender=both, at=after(minutes=1)))
    assert len(await cases(room)) == 1
    rows = await room.rows("SELECT scheme, verified FROM identities ORDER BY scheme")
    assert rows == [("bsuid", True), ("e164", True)]


CALL: dict[str, Any] = {
    "account": "desk-phone", "channel": "phone", "kind": "call_missed",
    "reply_window_closes_at": None,
}  # fmt: skip


async def test_an_asserted_sender_finds_but_adds_and_verifies_nothing(room: Room) -> None:
    await room.hear(message())
    asserted = Sender(
        identities=(*sender().identities, Identity(scheme="email", value="evil@example.net")),
        authentication="asserted",
    )
    await room.hear(message(sender=asserted, at=after(minutes=1), **CALL))
    rows = await room.rows("SELECT scheme, value FROM identities")
    assert rows == [("e164", "+31612345678")]
    assert (await room.rows("SELECT count(*) FROM customers"))[0][0] == 1
    seen = await room.rows("SELECT authentication FROM messages ORDER BY occurred_at")
    assert [row[0] for row in seen] == ["proven", "asserted"]


async def test_a_forged_from_opens_a_customer_that_is_not_verified(room: Room) -> None:
    await room.hear(mail())
    assert await room.rows("SELECT scheme, verified FROM identities") == [("email", False)]


async def test_a_withheld_caller_gets_a_case_per_call(room: Room) -> None:
    nobody = Sender(identities=(), authentication="asserted")
    call = {**CALL, "sender": nobody}
    await room.hear(message("", **call), message("", at=after(seconds=9), **call))
    assert len(await cases(room)) == 2
    assert await room.rows("SELECT * FROM identities") == []


async def test_a_switchboard_never_joins(room: Room) -> None:
    shared = sender("+31880000001", authentication="asserted")
    call = {**CALL, "sender": shared}
    await room.hear(message("", **call))
    await room.hear(message("", at=after(seconds=9), **call))
    assert len(await cases(room)) == 2


async def test_a_reply_by_mail_joins_its_thread(room: Room) -> None:
    first = mail("Where is it?", reference="<one@example.org>")
    await room.hear(first)
    other = mail(
        "Re", address="partner@example.org", at=after(minutes=1),
        thread=Thread(message_id="<two@example.org>", references=("<one@example.org>",)),
    )  # fmt: skip
    await room.hear(other)
    assert len(await cases(room)) == 1
    marks = await room.rows("SELECT marked FROM messages ORDER BY occurred_at")
    assert [row[0] for row in marks] == ["", "other_sender"]


async def test_another_channel_joins_the_same_product_within_the_window(room: Room) -> None:
    person = Sender(
        identities=(*sender().identities, Identity(scheme="email", value="ada@example.org")),
        authentication="proven",
    )
    await room.hear(message("my parcel", sender=person))
    await room.hear(mail("that parcel again", at=after(hours=1)))
    await room.hear(mail("a damaged thing", at=after(hours=2), account="post-room"))
    products = await room.rows("SELECT product FROM cases ORDER BY opened_at, product")
    assert [row[0] for row in products] == ["claims", "parcels"]


async def test_a_closed_case_reopens_within_the_policys_time(room: Room) -> None:
    await room.hear(message())
    (case,) = await room.rows("SELECT id FROM cases")
    await room.tell(case.id, cmd.Close("jo"))
    room.clock.at = after(days=2)
    await room.hear(message("Not yet!", at=after(days=2)))
    assert [row.state for row in await room.rows("SELECT state FROM cases")] == ["open"]
    await room.tell(case.id, cmd.Close("jo"))
    room.clock.at = after(days=20)
    await room.hear(message("A new thing", at=after(days=20)))
    assert len(await cases(room)) == 2


async def test_one_call_one_outcome(room: Room) -> None:
    call = {**CALL, "reference": "CA1", "sender": sender(authentication="asserted")}
    missed = message("Missed call", call=Call(outcome="missed"), **call)
    call |= {"kind": "voicemail"}
    left = message("Call me", call=Call(outcome="voicemail", duration=9), **call)
    await room.hear(missed)
    await room.hear(left)
    await room.hear(replace(missed, id=uuid4()))
    rows = await room.rows("SELECT kind, text FROM messages")
    assert rows == [("voicemail", "Call me")]


async def test_a_reply_is_sent_and_its_statuses_are_ranked(room: Room) -> None:
    await room.hear(message())
    (case,) = await room.rows("SELECT id FROM cases")
    reply = cmd.Reply(uuid4(), "jo", "On its way", answers=1)
    await room.tell(case.id, reply)
    early = status("wamid.out", "delivered")
    await room.report(early)
    assert (await room.rows("SELECT count(*) FROM pending_statuses"))[0][0] == 1
    await room.report(report(case.id, reply.message_id, "wamid.out"))
    await room.report(status("wamid.out", "sent"))
    rows = await room.rows("SELECT state, provider_id FROM messages WHERE direction = 'out'")
    assert rows == [("delivered", "wamid.out")]
    await room.report(status("wamid.out", "read"), status("wamid.out", "delivered"))
    assert (await room.rows("SELECT state FROM messages WHERE direction = 'out'"))[0][0] == "read"
    assert await room.rows("SELECT * FROM pending_statuses") == []


def status(provider_id: str, state: str) -> DeliveryStatusReceived:
    return DeliveryStatusReceived(
        id=uuid4(), account="desk-whatsapp", provider_id=provider_id, status=state, at=NOON  # type: ignore[arg-type]
    )  # fmt: skip


def report(case_id: object, message_id: object, provider_id: str) -> DeliveryReported:
    return DeliveryReported(
        delivery_id=uuid4(), case_id=case_id, effect="reply", status="sent", at=NOON,  # type: ignore[arg-type]
        message_id=message_id, account="desk-whatsapp", provider_id=provider_id,  # type: ignore[arg-type]
    )  # fmt: skip


async def test_thousands_of_first_messages_on_two_channels_and_two_routers(
    database_url: str, tmp_path: Path
) -> None:
    """No deadlock that loses, no second open case, one customer each."""
    one, two = await make_room(database_url, tmp_path), await make_room(database_url, tmp_path)
    people = [f"+316{number:08d}" for number in range(600)]

    def said(number: str, index: int) -> MessageReceived:
        if index % 2:
            return message(f"{index}", sender=sender(number))
        return message(
            f"{index}", account="desk-phone", channel="phone", kind="call_missed",
            sender=sender(number, authentication="asserted"), reply_window_closes_at=None,
        )  # fmt: skip

    forwards = [said(number, index) for index in range(4) for number in people]
    backwards = [said(number, index) for index in range(4) for number in reversed(people)]

    async def work(room: Room, messages: list[MessageReceived]) -> None:
        for start in range(0, len(messages), 200):
            batch = messages[start : start + 200]
            while True:
                try:
                    await room.hear(*batch)
                    break
                except Exception as error:
                    if not is_deadlock(error):
                        raise

    await asyncio.gather(work(one, forwards), work(two, backwards))
    counts = await one.rows(
        "SELECT (SELECT count(*) FROM customers), (SELECT count(*) FROM identities), "
        "(SELECT count(*) FROM messages), (SELECT count(DISTINCT customer_id) FROM cases), "
        "(SELECT count(*) FROM cases)"
    )
    assert counts[0] == (600, 600, 4800, 600, 600)
    await one.engine.dispose()
    await two.engine.dispose()


async def fire(room: Room, watermark: bool = True) -> int:
    """One round of the clock; the log is level with it unless told otherwise."""
    if watermark:
        async with transaction(room.engine) as connection:
            await connection.exec_driver_sql(
                "INSERT INTO positions (grp, cluster, topic, partition, next, last_at) "
                "SELECT 'regie.router', $1, 'messages.received', p, 1, $2 "
                "FROM generate_series(0, 11) AS p ON CONFLICT (grp, cluster, topic, partition) "
                "DO UPDATE SET last_at = excluded.last_at",
                (room.runtime.broker.cluster, room.clock()),
            )
    return await Clock(room.handlers).fire()


async def test_the_clock_warns_then_breaches_once(room: Room) -> None:
    await room.hear(message())
    room.clock.at = after(minutes=30)
    assert await fire(room) == 1
    assert await fire(room) == 0
    room.clock.at = after(minutes=61)
    await fire(room)
    room.clock.at = after(minutes=62)
    await fire(room)
    rows = await room.rows("SELECT type FROM case_events WHERE type LIKE 'deadline.%' ORDER BY seq")
    happened = [row.type for row in rows]
    assert happened.count("deadline.warned") == 1
    assert happened.count("deadline.breached") == 1
    (case,) = await room.rows("SELECT team, priority FROM cases")
    assert case == ("frontdesk", 1)


async def test_no_breach_behind_the_watermark(room: Room) -> None:
    await room.hear(message())
    room.clock.at = after(minutes=59)
    await fire(room)
    room.clock.at = after(minutes=61)
    await fire(room, watermark=False)
    (row,) = await room.rows("SELECT state, at_risk FROM deadlines WHERE metric = 'first_response'")
    assert row == ("running", "pipeline_lag")
    room.clock.at = after(minutes=64)
    await fire(room)
    (row,) = await room.rows("SELECT state, at_risk FROM deadlines WHERE metric = 'first_response'")
    assert row == ("breached", "")


async def test_the_floor_never_hides_a_timer(room: Room) -> None:
    await room.hear(message())
    clock = Clock(room.handlers)
    room.clock.at = after(hours=3)
    await clock.raise_floor()
    assert await fire(room) == 1, "the overdue one was above the floor"
    await clock.raise_floor()
    await room.hear(message("old", at=NOON, sender=sender("+31600000001")))
    assert await fire(room) == 1, "what is overdue at birth fires now, not in the past"


async def test_two_clocks_fire_each_step_once(database_url: str, tmp_path: Path) -> None:
    one, two = await make_room(database_url, tmp_path), await make_room(database_url, tmp_path)
    await one.hear(*(message(f"{n}", sender=sender(f"+316{n:08d}")) for n in range(300)))
    one.clock.at = two.clock.at = after(minutes=30)
    await fire(one)
    await asyncio.gather(*(fire(room, watermark=False) for room in (one, two) * 4))
    (row,) = await one.rows("SELECT count(*) FROM case_events WHERE type = 'deadline.warned'")
    assert row[0] == 300
    await one.engine.dispose()
    await two.engine.dispose()


async def test_a_changed_number_detaches(room: Room) -> None:
    await room.hear(message())
    now, former = (Identity(scheme="e164", value=v) for v in ("+31687654321", "+31612345678"))
    changed = Sender(identities=(now,), authentication="proven", former=former)
    notice = message("changed", kind="auto_reply", automatic=True, sender=changed)
    earlier = message("Before that")
    await room.hear(earlier, notice)
    rows = await room.rows("SELECT value FROM identities")
    assert [row[0] for row in rows] == ["+31687654321"]
    assert (await room.rows("SELECT count(*) FROM customers"))[0][0] == 1
    await room.hear(message("A stranger now", at=after(minutes=2)))
    assert (await room.rows("SELECT count(*) FROM customers"))[0][0] == 2


async def test_a_call_that_turns_out_answered_waits_no_more(room: Room) -> None:
    call = {**CALL, "reference": "CA2", "sender": sender(authentication="asserted")}
    await room.hear(message("Missed call", call=Call(outcome="missed"), **call))
    call |= {"kind": "call_ended"}
    await room.hear(message("Call", call=Call(outcome="answered", duration=60), **call))
    (case,) = await room.rows("SELECT waiting_since, due_metric FROM cases")
    assert case == (None, "resolution")
    (clock,) = await room.rows("SELECT state FROM deadlines WHERE metric = 'first_response'")
    assert clock.state == "met"


async def test_a_transcript_adds_to_its_voicemail(room: Room) -> None:
    call = {**CALL, "sender": sender(authentication="asserted")}
    left = message(
        "Voicemail",
        reference="CA3",
        call=Call(outcome="voicemail"),
        **{**call, "kind": "voicemail"},
    )
    heard = message(
        "Please call me back", thread=Thread(target="CA3"), at=after(seconds=30),
        **{**call, "kind": "edit"},
    )  # fmt: skip
    await room.hear(left)
    await room.hear(heard)
    (row,) = await room.rows("SELECT text FROM messages WHERE kind = 'voicemail'")
    assert row.text == "Voicemail\nPlease call me back"


async def test_an_edit_replaces_and_a_withdrawal_empties(room: Room) -> None:
    first = message("Teh parcel", reference="w1")
    await room.hear(first)
    await room.hear(message("The parcel", kind="edit", thread=Thread(target="w1")))
    (row,) = await room.rows("SELECT text FROM messages WHERE kind = 'message'")
    assert row.text == "The parcel"
    await room.hear(message("", kind="revoke", thread=Thread(target="w1")))
    (row,) = await room.rows("SELECT text FROM messages WHERE kind = 'message'")
    assert row.text == ""


async def test_a_signed_reply_token_leads_to_its_case(room: Room) -> None:
    await room.hear(message())
    (case,) = await room.rows("SELECT id FROM cases")
    await room.hear(mail("Here", at=after(minutes=3), thread=Thread(token=str(case.id))))
    assert len(await cases(room)) == 1


async def test_a_customers_group_follows_them_to_every_channel(room: Room) -> None:
    member = Sender(
        identities=(*sender().identities, Identity(scheme="customer_no", value="1001")),
        authentication="proven",
    )
    await room.hear(message("Hello", sender=member, channel="portal", account="service-portal"))
    await room.hear(message("Quick", at=after(minutes=1)))
    rules = await room.rows("SELECT rule FROM deadlines WHERE metric = 'first_response'")
    assert "gold chat" in {row.rule for row in rules}


async def test_updates_of_one_message_follow_each_other(room: Room) -> None:
    call = {**CALL, "sender": sender(authentication="asserted")}
    await room.hear(message("Missed", reference="CA9", call=Call(outcome="missed"), **call))
    left = message(
        "Voicemail",
        reference="CA9",
        call=Call(outcome="voicemail"),
        **{**call, "kind": "voicemail"},
    )
    heard = message("Call me", thread=Thread(target="CA9"), **{**call, "kind": "edit"})
    await room.hear(left, heard)
    (row,) = await room.rows("SELECT kind, text FROM messages WHERE kind <> 'edit'")
    assert row == ("voicemail", "Voicemail\nCall me")


async def test_what_the_provider_said_first_is_not_taken_back(room: Room) -> None:
    await room.hear(message())
    (case,) = await room.rows("SELECT id FROM cases")
    reply = cmd.Reply(uuid4(), "jo", "On its way", answers=9)
    await room.tell(case.id, reply)
    early = replace(status("wamid.out", "delivered"), correlation=str(reply.message_id))
    await room.report(early)
    for word in ("sent", "unknown"):
        told = replace(report(case.id, reply.message_id, "wamid.out"), status=word)
        await room.report(replace(told, delivery_id=uuid4()))
    (row,) = await room.rows("SELECT state FROM messages WHERE direction = 'out'")
    assert row.state == "delivered"


async def test_another_accounts_status_has_no_say(room: Room) -> None:
    await room.hear(message())
    (case,) = await room.rows("SELECT id FROM cases")
    reply = cmd.Reply(uuid4(), "jo", "On its way", answers=9)
    await room.tell(case.id, reply)
    foreign = replace(
        status("wamid.x", "failed"), account="support-mail", correlation=str(reply.message_id)
    )
    await room.report(foreign)
    (row,) = await room.rows("SELECT state FROM messages WHERE direction = 'out'")
    assert row.state == "pending"


async def test_any_account_the_customer_used_leads_to_the_open_case(room: Room) -> None:
    person = Sender(
        identities=(*sender().identities, Identity(scheme="email", value="ada@example.org")),
        authentication="proven",
    )
    await room.hear(message("my parcel", sender=person))
    await room.hear(mail("that parcel again", at=after(minutes=5)))
    await room.hear(message("and it is damaged", at=after(minutes=9)))
    assert len(await cases(room)) == 1


async def test_a_portal_cannot_move_anybodys_number(room: Room) -> None:
    await room.hear(message())
    claim = {"old_identity": "e164:+31612345678", "new_identity": "email:eve@example.net"}
    eve = sender("eve@example.net", "email")
    await room.hear(message("Mine now", kind="auto_reply", automatic=True, attributes=claim,
                            sender=eve, channel="portal", account="service-portal"))  # fmt: skip
    rows = await room.rows("SELECT value FROM identities ORDER BY value")
    assert [row[0] for row in rows] == ["+31612345678", "eve@example.net"]


async def test_mail_from_ourselves_is_nobodys_and_waits_for_no_answer(room: Room) -> None:
    await room.hear(mail(address="support@example.org"))
    assert await room.rows("SELECT * FROM identities") == []
    assert await room.rows("SELECT * FROM deadlines") == []


async def test_a_mail_that_wants_its_answer_at_our_own_address_gets_it_at_its_senders(
    room: Room,
) -> None:
    who = sender("jo@example.org", "email", "proven")
    asked = {"reply_to": ["support@example.org"]}
    await room.hear(mail(sender=who, attributes=asked))
    who = sender("bo@example.org", "email", "proven")
    await room.hear(mail(sender=who, attributes={"reply_to": ["team@example.org"]}))
    added = await room.rows(
        "SELECT data -> 'reply_to' ->> 'value' FROM case_events WHERE type = 'message.added'"
        " ORDER BY 1"
    )
    assert added == [("jo@example.org",), ("team@example.org",)]


async def test_what_is_asserted_brings_one_identity_at_most(room: Room) -> None:
    known, other = sender().identities[0], Identity(scheme="email", value="eve@example.net")
    new = Identity(scheme="email", value="bo@example.org")
    await room.hear(message(sender=Sender(identities=(other, new), authentication="asserted")))
    await room.hear(message(at=after(minutes=1)))
    finds = Sender(
        identities=(Identity(scheme="chat", value="c1"), known), authentication="asserted"
    )
    await room.hear(message(sender=finds, at=after(minutes=2)))
    rows = await room.rows("SELECT value, verified FROM identities ORDER BY value")
    assert rows == [("+31612345678", True), ("eve@example.net", False)]


async def test_the_same_messages_at_two_routers_at_once_count_once(
    database_url: str, tmp_path: Path
) -> None:
    one, two = await make_room(database_url, tmp_path), await make_room(database_url, tmp_path)
    same = [message(f"{n}", sender=sender(f"+316{n:08d}")) for n in range(100)]
    await asyncio.gather(one.hear(*same), two.hear(*reversed(same)))
    (row,) = await one.rows("SELECT (SELECT count(*) FROM messages), (SELECT count(*) FROM cases)")
    assert row == (100, 100)
    await one.engine.dispose()
    await two.engine.dispose()
