"""The survey on a real PostgreSQL: closed, asked by the clock, sent, answered, and its row."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from dataclasses import replace as evolved
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from services.notifier.handlers import Handlers as NotifierHandlers
from services.router import commands as cmd
from services.router.case import Case
from services.router.clock import Clock
from services.router.evolve import evolve
from services.router.handlers import Handlers
from shared import events as ev
from shared.accounts import Accounts
from shared.broker import Record
from shared.cloudevents import Received
from shared.database import transaction
from shared.events import DeliveryReported, Thread
from tests.builders import NOON, after, example_policy, mail, message, sender
from tests.notifying import notifying, texts
from tests.people import merge, owner
from tests.rooms import Room, make_room

CLOSED = after(minutes=20)
DUE = CLOSED + timedelta(hours=1)


@pytest.fixture
async def room(database_url: str, tmp_path: Path) -> AsyncIterator[Room]:
    room = await make_room(database_url, tmp_path)
    yield room
    await room.engine.dispose()


@dataclass(frozen=True)
class Survey:
    """A row of `surveys`."""

    case_id: UUID
    customer_id: UUID
    team: str
    agent: str
    channel: str
    product: str
    asked_at: datetime | None
    message_id: UUID | None
    skipped: str
    score: int | None
    comment: str
    answered_at: datetime | None


async def surveys(room: Room) -> list[Survey]:
    rows = await room.rows("SELECT * FROM surveys ORDER BY asked_at, case_id")
    return [Survey(**row._mapping) for row in rows]


async def fire(room: Room, at: datetime, rounds: int = 1) -> None:
    """The clock comes round; all that was written before has been read."""
    for _ in range(rounds):
        room.clock.at = at
        async with transaction(room.engine) as connection:
            await connection.exec_driver_sql(
                "INSERT INTO positions (grp, cluster, topic, partition, next, last_at) "
                "SELECT 'regie.router', $1, 'messages.received', p, 1, $2 "
                "FROM generate_series(0, 11) AS p ON CONFLICT (grp, cluster, topic, partition) "
                "DO UPDATE SET last_at = excluded.last_at",
                (room.runtime.broker.cluster, at),
            )
        await Clock(room.handlers).fire()
        at += timedelta(seconds=3)


async def closed(room: Room, first: ev.MessageReceived | None = None) -> UUID:
    """A case that jo answered and kim closed, at CLOSED."""
    first = first or message()
    room.clock.at = first.received_at
    await room.hear(first)
    (row,) = await room.rows("SELECT case_id FROM messages WHERE id = :id", id=first.id)
    case_id: UUID = row.case_id
    room.clock.at = after(minutes=10)
    (row,) = await room.rows("SELECT version FROM cases WHERE id = :id", id=case_id)
    reply = cmd.Reply(uuid4(), "jo", "It is on its way.", row.version)
    await room.tell(case_id, reply)
    await report(room, case_id, reply.message_id, first.account)
    room.clock.at = CLOSED
    await room.tell(case_id, cmd.Close("kim"))
    return case_id


async def report(
    room: Room, case_id: UUID, message_id: UUID, account: str, status: Any = "sent", **more: Any
) -> None:
    await room.report(
        DeliveryReported(
            delivery_id=uuid4(), case_id=case_id, effect="reply", status=status,
            at=room.clock(), message_id=message_id, account=account,
            provider_id="" if status == "failed" else f"p-{message_id}", **more,
        )
    )  # fmt: skip


async def asked(room: Room, first: ev.MessageReceived | None = None) -> UUID:
    """And the question was sent."""
    case_id = await closed(room, first)
    await fire(room, DUE)
    survey = next(survey for survey in await surveys(room) if survey.case_id == case_id)
    assert survey.message_id is not None
    account = (first or message()).account
    await report(room, case_id, survey.message_id, account)
    return case_id


async def case_of(room: Room, case_id: UUID) -> Case:
    (row,) = await room.rows("SELECT doc::text AS doc FROM cases WHERE id = :id", id=case_id)
    return msgspec.json.decode(row.doc, type=Case)


async def history(room: Room, case_id: UUID) -> list[ev.CaseChanged]:
    rows = await room.rows(
        "SELECT seq, version, at, actor, data::text AS data FROM case_events "
        "WHERE case_id = :id ORDER BY seq",
        id=case_id,
    )
    return [
        ev.CaseChanged(
            case_id=case_id, seq=row.seq, version=row.version, at=row.at, actor=row.actor,
            customer_id=uuid4(), team="", channel="email",
            event=msgspec.json.decode(row.data, type=ev.CaseEvent),
        )
        for row in rows
    ]  # fmt: skip


async def recounted(room: Room, case_id: UUID) -> Survey | None:
    """The row, from the case's events alone; and the case is their fold."""
    case: Case | None = None
    row: Survey | None = None
    for change in await history(room, case_id):
        case = evolve(case, change)
        agent = case.answered[-1].author if case.answered else case.closed_by
        at, place = change.at, (case.id, case.customer_id, case.team, agent)
        match change.event:
            case ev.SurveySent(message_id=id, channel=channel):
                row = Survey(*place, channel, case.product, at, id, "", None, "", None)
            case ev.SurveySkipped(reason=reason):
                row = row or Survey(
                    *place, case.channel, case.product, None, None, "", None, "", None
                )
                row = Survey(**row.__dict__ | {"skipped": reason})
            case ev.SurveyAnswered(score=score, comment=comment):
                assert row is not None
                said = {"score": score, "comment": comment, "answered_at": at}
                row = Survey(**row.__dict__ | said)
            case ev.SurveyDeclined():
                assert row is not None
                if row.score is None:
                    row = Survey(**row.__dict__ | {"skipped": "declined"})
    assert case is not None
    assert case.pruned() == await case_of(room, case_id)
    return row


async def types(room: Room, case_id: UUID, since: str) -> list[str]:
    """What happened after the last event of that type."""
    rows = await room.rows(
        "SELECT type FROM case_events WHERE case_id = :id ORDER BY seq", id=case_id
    )
    all = [row.type for row in rows]
    return all[len(all) - all[::-1].index(since) :]


# --- the whole way ---------------------------------------------------------------------------


async def test_closed_asked_sent_answered(room: Room, database_url: str, tmp_path: Path) -> None:
    case_id = await closed(room)
    await fire(room, DUE - timedelta(seconds=1))
    assert await surveys(room) == []
    await fire(room, DUE)
    (survey,) = await surveys(room)
    assert (survey.team, survey.agent, survey.channel) == ("parcels", "jo", "whatsapp")
    assert (survey.product, survey.asked_at, survey.skipped) == ("parcels", DUE, "")
    assert survey.score is None
    (row,) = await room.rows(
        "SELECT direction, state, text, author FROM messages WHERE id = :id", id=survey.message_id
    )
    assert (row.direction, row.state, row.author) == ("out", "pending", "regie")
    assert row.text.startswith("How well did we help you?")

    async with notifying(database_url, tmp_path / "notifier", DUE) as notifier:
        outgoing = await room.rows("SELECT id, value FROM outbox WHERE topic = 'cases.changed'")
        batch = [
            Received(str(row.id), body, Record("cases.changed", 0, 0, b"", b"", (), DUE))
            for row in outgoing
            for body in [msgspec.json.decode(row.value, type=ev.CaseChanged)]
            if isinstance(body.event, ev.ReplyRequested) and body.event.purpose == "survey"
        ]
        async with transaction(notifier.runtime.engine) as connection:
            await NotifierHandlers(notifier.clock).on_case_events(connection, batch)
        async with notifier.sending():
            await notifier.settled("sent")
        assert texts(notifier.endpoint) == [row.text]
        (sent,) = await notifier.reports()
    await room.report(sent)
    (row,) = await room.rows("SELECT state FROM messages WHERE id = :id", id=survey.message_id)
    assert row.state == "sent"

    room.clock.at = said = DUE + timedelta(minutes=5)
    answer = message("4\nQuick, thank you", said)
    await room.hear(answer)
    await room.hear(answer)  # the provider repeats it
    assert await types(room, case_id, "reply.sent") == [
        "delivery.status_changed", "message.added", "survey.answered",
    ]  # fmt: skip
    (survey,) = await surveys(room)
    assert (survey.score, survey.comment, survey.answered_at) == (4, "Quick, thank you", said)
    assert survey == await recounted(room, case_id)
    case = await case_of(room, case_id)
    assert (case.state, case.unanswered, case.running) == ("closed", (), ())
    assert await room.rows("SELECT 1 FROM timers") == []
    (row,) = await room.rows("SELECT case_id FROM messages WHERE id = :id", id=answer.id)
    assert row.case_id == case_id


async def test_a_low_score_opens_the_case_with_a_clock(room: Room) -> None:
    case_id = await asked(room)
    room.clock.at = said = DUE + timedelta(minutes=5)
    await room.hear(message("1", said))
    (survey,) = await surveys(room)
    assert survey.score == 1
    assert survey == await recounted(room, case_id)
    (row,) = await room.rows("SELECT state, due_metric, waiting_since FROM cases")
    assert row == ("open", "next_response", said)
    reopened = await room.rows(
        "SELECT data ->> 'reason' FROM case_events WHERE type = 'case.reopened'"
    )
    assert [row[0] for row in reopened] == ["low score"]


async def test_an_answer_joins_where_reopening_is_over(room: Room) -> None:
    """`joining.reopen` is 7 days from closing, the question stands for 7 from when it was asked."""
    case_id = await asked(room)
    room.clock.at = late = CLOSED + timedelta(days=7, minutes=30)
    other, answer = message("Hello?", late), message("5", late)
    await room.hear(answer)
    await room.hear(other)
    (survey,) = await surveys(room)
    assert (survey.case_id, survey.score) == (case_id, 5)
    (row,) = await room.rows("SELECT case_id FROM messages WHERE id = :id", id=other.id)
    assert row.case_id != case_id, "any other message opens a case of its own by then"
    room.clock.at = over = DUE + timedelta(days=7, seconds=1)
    await room.hear(message("3", over, sender=sender("+31612345678")))
    assert (await surveys(room))[0].score == 5


async def test_a_mail_answers_by_its_thread(room: Room) -> None:
    case_id = await asked(room, mail())
    (survey,) = await surveys(room)
    assert survey.channel == "email"
    room.clock.at = late = DUE + timedelta(days=6, hours=23, minutes=30)
    ours = Thread(
        message_id="<answer@example.org>", references=(f"<regie.{survey.message_id}@regie>",)
    )
    await room.hear(mail("5\n\n> How well …", late, reply_text="5", thread=ours))
    (survey,) = await surveys(room)
    assert survey.score == 5
    assert survey == await recounted(room, case_id)


# --- not asked -------------------------------------------------------------------------------


async def test_stop_is_for_ever(room: Room) -> None:
    case_id = await asked(room)
    (before,) = await room.rows("SELECT version, opted_out FROM customers")
    assert not before.opted_out
    room.clock.at = DUE + timedelta(minutes=5)
    await room.hear(message("STOP", room.clock()))
    (now,) = await room.rows("SELECT version, opted_out FROM customers")
    assert (now.opted_out, now.version) == (True, before.version + 1)
    (survey,) = await surveys(room)
    assert survey.skipped == "declined"
    assert survey == await recounted(room, case_id)
    assert (await case_of(room, case_id)).state == "closed"
    counts = await room.rows("SELECT count(*) FROM messages WHERE direction = 'out'")
    assert counts[0][0] == 2, "confirmed by nothing"

    later = DUE + timedelta(days=40)
    room.clock.at = later
    await room.hear(message("And now?", later, reference="later"))
    (row,) = await room.rows("SELECT id FROM cases WHERE id <> :id", id=case_id)
    await room.tell(row.id, cmd.Close("jo"))
    await fire(room, later + timedelta(hours=1))
    second = next(s for s in await surveys(room) if s.case_id == row.id)
    assert (second.skipped, second.asked_at) == ("opted_out", None)
    assert second == await recounted(room, row.id)


async def test_nobody_is_asked_twice_within_the_rest(room: Room) -> None:
    """Two cases of one customer that fall due at once, and others weeks later."""
    first = await closed(room)
    second = await closed(room, mail(sender=sender("ada@example.org", "email", "asserted")))
    await merge(
        room, await owner(room, "e164:+31612345678"), await owner(room, "email:ada@example.org")
    )
    await fire(room, DUE, rounds=2)
    assert sorted(s.skipped for s in await surveys(room)) == ["", "rest"]
    for case_id in (first, second):
        assert (await case_of(room, case_id)).surveyed
    for days, skipped in ((20, "rest"), (31, "")):
        at = DUE + timedelta(days=days)
        room.clock.at = at
        await room.hear(mail(f"Another {days}", at, reference=f"<{days}@x>"))
        (row,) = await room.rows("SELECT id FROM cases WHERE state = 'open'")
        await room.tell(row.id, cmd.Close("jo"))
        await fire(room, at + timedelta(hours=1))
        survey = next(s for s in await surveys(room) if s.case_id == row.id)
        assert survey.skipped == skipped
        assert survey == await recounted(room, row.id)


async def test_whom_another_clock_is_asking_has_to_wait(room: Room) -> None:
    """It may be about another case; nobody waits for the lock, since that could deadlock."""
    case_id = await closed(room)
    async with transaction(room.engine) as other:
        await other.exec_driver_sql("SELECT id FROM customers FOR UPDATE")
        async with asyncio.timeout(20):
            await fire(room, DUE)
        assert await surveys(room) == []
        await other.exec_driver_sql(
            "INSERT INTO surveys (case_id, customer_id, team, agent, channel, product, asked_at) "
            "SELECT gen_random_uuid(), id, '', '', 'email', '', $1 FROM customers",
            (DUE,),
        )
    await fire(room, DUE + timedelta(seconds=3))
    survey = await recounted(room, case_id)
    assert survey is not None
    assert survey.skipped == "rest"


async def test_what_did_not_arrive_was_not_asked(room: Room) -> None:
    first = await closed(room)
    await fire(room, DUE)
    (survey,) = await surveys(room)
    assert survey.message_id is not None
    await report(room, first, survey.message_id, "desk-whatsapp", "failed", code="1", reason="x")
    second = await closed(room, mail())
    ada = await owner(room, "email:ada@example.org")
    await merge(room, await owner(room, "e164:+31612345678"), ada)
    await fire(room, DUE)
    assert {s.case_id: s.skipped for s in await surveys(room)} == {first: "failed", second: ""}


async def test_whose_replies_bounce_is_not_asked(room: Room) -> None:
    case_id = await closed(room)
    await room.rows("UPDATE messages SET state = 'failed' WHERE direction = 'out' RETURNING 1")
    await fire(room, DUE)
    (survey,) = await surveys(room)
    assert survey.skipped == "bouncing"
    assert survey == await recounted(room, case_id)


async def test_who_asked_to_be_forgotten_is_not_asked(room: Room) -> None:
    await closed(room)
    await room.rows(
        "INSERT INTO erasures (id, customer_id, by, reason, asked_at, due_at) "
        "SELECT id, id, 'kim', '', :at, :at FROM customers RETURNING 1",
        at=CLOSED,
    )
    await fire(room, DUE)
    assert [survey.skipped for survey in await surveys(room)] == ["opted_out"]


async def test_outside_the_window_nobody_is_asked(room: Room) -> None:
    case_id = await closed(room, message(at=NOON - timedelta(hours=23)))
    await fire(room, DUE)
    (survey,) = await surveys(room)
    assert (survey.skipped, survey.message_id) == ("window", None)
    assert survey == await recounted(room, case_id)


async def test_outside_the_window_by_the_accounts_template(room: Room) -> None:
    template = {"survey": {"name": "survey_1", "language": "en"}}
    room = _with_templates(room, "desk-whatsapp", template)
    await closed(room, message(at=NOON - timedelta(hours=23)))
    await fire(room, DUE)
    (survey,) = await surveys(room)
    assert survey.skipped == ""
    rows = await room.rows("SELECT data ->> 'template' FROM messages WHERE author = 'regie'")
    assert [row[0] for row in rows] == ["survey"]


def _with_templates(room: Room, name: str, templates: dict[str, Any]) -> Room:
    accounts = Accounts(
        {
            each.name: evolved(each, settings={**each.settings, "templates": templates})
            if each.name == name
            else each
            for each in room.runtime.accounts
        }
    )
    runtime = evolved(room.runtime, accounts=accounts)
    return Room(runtime, Handlers(runtime, room.handlers.policies), room.clock)


async def test_a_question_that_did_not_arrive(room: Room) -> None:
    case_id = await closed(room)
    await fire(room, DUE)
    (survey,) = await surveys(room)
    assert survey.message_id is not None
    await report(
        room, case_id, survey.message_id, "desk-whatsapp", "failed", code="131026", reason="gone"
    )
    (survey,) = await surveys(room)
    assert (survey.skipped, survey.asked_at) == ("failed", DUE)
    assert survey == await recounted(room, case_id)
    assert (await case_of(room, case_id)).state == "closed"
    room.clock.at = DUE + timedelta(minutes=5)
    await room.hear(message("5", room.clock()))
    assert (await case_of(room, case_id)).state == "open", "they were never asked"


def test_the_example_policy_has_the_survey_that_these_tests_lean_on() -> None:
    survey = example_policy().survey
    assert survey is not None
    assert (str(survey.after), survey.follow_up_below, str(survey.rest)) == ("1h", 2, "30d")
