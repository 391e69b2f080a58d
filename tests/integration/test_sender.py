"""What leaves, leaves once and in time: the sender on a real PostgreSQL and a real endpoint."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from standardwebhooks.webhooks import Webhook

from services.notifier import letters, secrets
from services.notifier.handlers import Handlers
from services.notifier.keeping import forget
from services.notifier.sender import LEASE
from shared.database import transaction
from shared.errors import Conflict, NotFound
from shared.events import HandoffOffered, HeartbeatSent, Target
from tests.builders import NOON
from tests.fakes.endpoint import Behaviour, garbage, hang, held, reset, status, trickle
from tests.notifying import MESSAGES, Notifying, notifying, received, texts, whatsapp
from tests.waiting import BOUND, until


@pytest.fixture
async def room(database_url: str, tmp_path: Path) -> AsyncIterator[Notifying]:
    async with notifying(database_url, tmp_path) as room:
        yield room


# --- planning ----------------------------------------------------------------------------------


async def test_an_event_read_twice_is_delivered_once(room: Notifying) -> None:
    case = await room.open_case()
    warning = room.warning(case, room.webhook("/a"), room.webhook("/a"), room.webhook("/b"))
    reply = room.reply(case)
    await room.hear(warning, reply, warning)
    await room.hear(reply)
    rows = await room.rows("SELECT effect, target, lane FROM deliveries ORDER BY effect, target")
    assert [tuple(row) for row in rows] == [
        ("reminder", f"webhook:{room.endpoint.url}/a", ""),
        ("reminder", f"webhook:{room.endpoint.url}/b", ""),
        ("reply", "account:desk-whatsapp", f"case:{case}"),
    ]


async def test_heartbeats_are_seen_to_have_come_through(room: Notifying) -> None:
    beats = [
        HeartbeatSent(partition=partition, sent_at=NOON + timedelta(seconds=seconds))
        for partition, seconds in ((3, 5), (3, 0), (4, 0))
    ]
    async with transaction(room.runtime.engine) as connection:
        batch = [received(beat, str(uuid4())) for beat in beats]
        await Handlers(room.runtime.now).on_case_events(connection, batch)
    rows = await room.rows("SELECT stage, partition, sent_at FROM heartbeats ORDER BY partition")
    assert [tuple(row) for row in rows] == [
        ("notifier", 3, NOON + timedelta(seconds=5)),
        ("notifier", 4, NOON),
    ]


# --- webhooks ----------------------------------------------------------------------------------


async def test_a_reminder_arrives_signed_and_says_nothing_of_the_customer(
    database_url: str, tmp_path: Path
) -> None:
    # The official library compares with the real time.
    async with notifying(database_url, tmp_path, datetime.now(UTC)) as room:
        case = await room.open_case()
        await room.hear(room.warning(case))
        async with room.sending():
            (request,) = await room.endpoint.received(1, "/parcels")
            await room.settled("sent")
        (row,) = await room.rows(
            "SELECT d.id, t.secret FROM deliveries d JOIN targets t USING (target)"
        )
        body = Webhook(row.secret).verify(request.body, dict(request.headers))
        assert request.headers["webhook-id"] == f"msg_{row.id.hex}"
        due_at = (room.clock() + timedelta(minutes=30)).isoformat().replace("+00:00", "Z")
        assert body == {
            "type": "deadline.warned",
            "timestamp": room.clock().isoformat().replace("+00:00", "Z"),
            "data": {
                "case_id": str(case), "version": 1, "team": "parcels", "channel": "whatsapp",
                "url": f"/v1/cases/{case}", "metric": "first_response", "number": 1, "step": 1,
                "due_at": due_at,
            },
        }  # fmt: skip
        assert await room.reports() == []


async def test_while_a_secret_rotates_both_sign(database_url: str, tmp_path: Path) -> None:
    async with notifying(database_url, tmp_path, datetime.now(UTC)) as room:
        case = await room.open_case()
        await room.hear(room.warning(case))
        target = (await room.rows("SELECT id FROM targets"))[0].id
        shown = []
        for _ in range(2):
            async with transaction(room.runtime.engine) as connection:
                shown.append((await secrets.rotate(connection, target, room.clock()))[1])
        async with room.sending():
            (request,) = await room.endpoint.received(1, "/parcels")
            await room.settled("sent")
            room.clock.at += timedelta(hours=24, seconds=1)
            await room.hear(room.warning(case))
            (_, later) = await room.endpoint.received(2, "/parcels")
        for secret in shown:
            Webhook(secret).verify(request.body, dict(request.headers))
        # The second was the only one to be replaced after it was shown.
        assert len(request.headers["webhook-signature"].split(" ")) == 2
        assert len(later.headers["webhook-signature"].split(" ")) == 1


async def test_the_first_rotation_leaves_nothing_to_the_secret_nobody_saw(
    room: Notifying,
) -> None:
    async with transaction(room.runtime.engine) as connection:
        await secrets.know(connection, ["webhook:https://hooks.example.org/"], NOON)
        (target,) = await secrets.listing(connection)
        assert target.rotated_at is None
        after, secret = await secrets.rotate(connection, target.id, NOON)
        assert (after.rotated_at, after.previous_until) == (NOON, None)
        again, newer = await secrets.rotate(connection, target.id, NOON)
        assert again.previous_until == NOON + timedelta(hours=24)
        assert secret != newer
        with pytest.raises(NotFound, match="regie targets list"):
            await secrets.rotate(connection, uuid4(), NOON)


@pytest.mark.parametrize(
    ("behaviour", "error", "status_code"),
    [
        (status(500, b"oh \x00 no\xff"), "http_500: HTTP 500", 500),
        (status(302, location="http://169.254.169.254/"), "not followed", 302),
        (status(404), "http_404", 404),
        (hang(), "timeout: no answer within 0.5 s", None),
        (trickle(500), "http_500", 500),
        (reset(), "connection: ", None),
        (garbage(), "connection: RemoteProtocolError", None),
    ],
)
async def test_what_fails_is_tried_again_under_the_same_id(
    room: Notifying, behaviour: Behaviour, error: str, status_code: int | None
) -> None:
    case = await room.open_case()
    room.endpoint.script("/parcels", behaviour)
    await room.hear(room.breach(case))
    async with room.sending():
        await room.tried(1)
        (row,) = await room.rows("SELECT error, next_at, expires_at FROM deliveries")
        assert error in row.error
        assert row.next_at == NOON + timedelta(seconds=5)
        room.clock.at = row.next_at
        await room.settled("sent")
    first, second = room.endpoint.at("/parcels")
    assert first.id == second.id
    assert first.body == second.body
    assert first.headers["webhook-timestamp"] != second.headers["webhook-timestamp"]
    attempts = await room.rows("SELECT number, status, error FROM attempts ORDER BY number")
    assert [(a.number, a.status) for a in attempts] == [(1, status_code), (2, 200)]


async def test_a_success_that_trickles_is_a_success(room: Notifying) -> None:
    case = await room.open_case()
    room.endpoint.script("/parcels", trickle(200))
    await room.hear(room.breach(case))
    async with room.sending():
        await room.settled("sent")


async def test_a_response_is_kept_up_to_16_kb(room: Notifying) -> None:
    case = await room.open_case()
    room.endpoint.script("/parcels", status(200, b"x" * 50_000))
    await room.hear(room.breach(case))
    async with room.sending():
        await room.settled("sent")
    (row,) = await room.rows("SELECT length(response) AS size FROM attempts")
    assert row.size == 16 * 1024


@pytest.mark.parametrize(
    "header", ["3600", "Tue, 17 Nov 2026 10:00:00 GMT"], ids=["seconds", "date"]
)
async def test_retry_after_is_honoured(room: Notifying, header: str) -> None:
    case = await room.open_case()
    room.endpoint.script("/parcels", status(429, retry_after=header))
    await room.hear(room.breach(case))
    async with room.sending():
        await room.tried(1)
    (row,) = await room.rows("SELECT next_at FROM deliveries")
    assert row.next_at == NOON + timedelta(hours=1)


async def test_every_due_time_of_a_target_that_never_recovers(room: Notifying) -> None:
    case = await room.open_case()
    room.endpoint.always("/parcels", status(503))
    await room.hear(room.breach(case))
    waits = []
    async with room.sending():
        for attempt in range(1, 10):
            await room.tried(attempt)
            (row,) = await room.rows("SELECT next_at FROM deliveries")
            waits.append((row.next_at - room.clock.at).total_seconds())
            room.clock.at = row.next_at
        await room.settled("failed")
    assert waits == [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400]
    assert len(room.endpoint.at("/parcels")) == 10
    (letter,) = await room.rows("SELECT * FROM dead_letters")
    assert (letter.topic, letter.type, letter.state) == ("deliveries", "breach", "waiting")
    assert letter.reason == "http_503: HTTP 503; tried 10 times"


async def test_410_closes_a_target_and_keeps_its_events_for_a_replay(room: Notifying) -> None:
    case = await room.open_case()
    room.endpoint.script("/parcels", status(410))
    await room.hear(room.breach(case))
    async with room.sending():
        await room.settled("failed")
        await room.hear(room.breach(case))
        await room.settled("failed", "failed")
        assert len(room.endpoint.at("/parcels")) == 1
        (target,) = await room.rows("SELECT disabled_at, disabled_reason FROM targets")
        assert target.disabled_at == NOON
        assert "410" in target.disabled_reason
        for row in await room.rows("SELECT id FROM dead_letters"):
            async with transaction(room.runtime.engine) as connection:
                await letters.replay(connection, row.id, room.clock())
        await room.settled("sent", "sent")
    ids = [request.id for request in room.endpoint.at("/parcels")]
    assert len(ids) == 3
    assert ids[0] in ids[1:]


async def test_a_replay_starts_its_tries_anew(room: Notifying) -> None:
    case = await room.open_case()
    room.endpoint.always("/parcels", status(400))
    await room.hear(room.warning(case))
    async with room.sending():
        await room.tried(1)
        room.clock.at += timedelta(seconds=5)
        await room.tried(2)
        room.clock.at += timedelta(minutes=5)
        await room.tried(3, "failed")  # the next try, in 30 minutes, would be too late
        (row,) = await room.rows("SELECT id, error FROM deliveries")
        assert "no time is left" in row.error
        async with transaction(room.runtime.engine) as connection:
            await letters.replay(connection, row.id, room.clock())
            with pytest.raises(Conflict, match="pending"):
                await letters.replay(connection, row.id, room.clock())
        await room.tried(4)
        (row,) = await room.rows("SELECT next_at FROM deliveries")
        assert row.next_at == room.clock.at + timedelta(seconds=5)


async def test_a_private_address_that_nobody_named_is_refused_and_listed(
    room: Notifying,
) -> None:
    case = await room.open_case()
    stranger = Target(kind="webhook", address="http://127.0.0.1:1/hook")
    await room.hear(room.warning(case, stranger))
    async with room.sending():
        await room.settled("failed")
    (letter,) = await room.rows("SELECT reason FROM dead_letters")
    assert "REGIE_ALLOW_PRIVATE_TARGETS" in letter.reason


async def test_a_target_kind_that_is_not_there_yet_is_told_of(room: Notifying) -> None:
    case = await room.open_case()
    await room.hear(room.warning(case, Target(kind="pigeon", address="loft")))
    async with room.sending():
        await room.settled("failed")
    (letter,) = await room.rows("SELECT reason FROM dead_letters")
    assert "no target of kind pigeon yet" in letter.reason


async def test_a_handoff_is_offered_to_the_receiving_team(room: Notifying) -> None:
    case = await room.open_case()
    offer = HandoffOffered(
        handoff_id=uuid4(), reason="agent", author="jo", expires_at=NOON + timedelta(hours=4),
        from_team="parcels", from_channel="whatsapp", to_channel="email",
        address="ada@example.org", notify=(room.webhook(),),
    )  # fmt: skip
    await room.hear(room.change(case, offer))
    async with room.sending():
        (request,) = await room.endpoint.received(1, "/parcels")
    assert request.json()["type"] == "handoff.offered"
    assert request.json()["data"]["to_channel"] == "email"
    assert b"ada@" not in request.body


async def test_a_partners_link_is_kept_no_longer_than_it_is_needed(room: Notifying) -> None:
    """Whoever has it answers without a key."""
    offers = [
        HandoffOffered(
            handoff_id=uuid4(), reason="agent", author="jo", expires_at=NOON + timedelta(hours=4),
            from_team="parcels", from_channel="whatsapp", to_team="carrier",
            answer_url="https://regie.example.org/v1/partner/a-token", notify=(room.webhook(path),),
        )
        for path in ("/taken", "/gone")
    ]  # fmt: skip
    room.endpoint.always("/gone", status(410))
    await room.hear(*[room.change(await room.open_case(), offer) for offer in offers])
    async with room.sending():
        await room.settled("failed", "sent")
    assert b"a-token" in room.endpoint.at("/taken")[0].body
    kept = await room.rows("SELECT 1 FROM deliveries WHERE payload::text LIKE '%a-token%'")
    assert len(kept) == 1, "the one that may be replayed"
    letters = await room.rows("SELECT convert_from(value, 'UTF8') AS value FROM dead_letters")
    assert not any("a-token" in letter.value for letter in letters)


# --- what is stale -----------------------------------------------------------------------------


async def test_a_reminder_is_dropped_once_the_case_is_answered(room: Notifying) -> None:
    case = await room.open_case()
    await room.hear(room.warning(case), room.warning(case, metric="resolution"))
    await room.move_case(case, version=2, answered_at=NOON)
    async with room.sending():
        await room.settled("dropped", "sent")  # a resolution is still owed
    assert len(room.endpoint.at("/parcels")) == 1


async def test_an_answer_from_before_the_reminder_does_not_drop_it(room: Notifying) -> None:
    case = await room.open_case()
    await room.hear(room.warning(case))
    await room.move_case(case, version=2, answered_at=NOON - timedelta(seconds=1))
    async with room.sending():
        await room.settled("sent")


@pytest.mark.parametrize("change", ["closed", "gone", "late"])
async def test_a_reminder_is_dropped_when_it_means_nothing_any_more(
    room: Notifying, change: str
) -> None:
    case = await room.open_case()
    await room.hear(room.warning(case, metric="resolution"))
    if change == "closed":
        await room.move_case(case, version=2, state="closed")
    elif change == "gone":
        await room.run("DELETE FROM cases")
    else:
        room.clock.at += timedelta(minutes=30)
    async with room.sending():
        await room.settled("dropped")
    assert room.endpoint.requests == []
    assert await room.rows("SELECT * FROM dead_letters") == []


async def test_staleness_is_looked_at_before_every_try(room: Notifying) -> None:
    case = await room.open_case()
    room.endpoint.script("/parcels", status(500))
    await room.hear(room.warning(case))
    async with room.sending():
        await room.tried(1)
        await room.move_case(case, version=2, answered_at=NOON)
        room.clock.at += timedelta(seconds=5)
        await room.settled("dropped")
    assert len(room.endpoint.at("/parcels")) == 1


# --- replies -----------------------------------------------------------------------------------


async def test_a_reply_reaches_the_provider_and_is_reported_sent(room: Notifying) -> None:
    case = await room.open_case()
    room.endpoint.always(MESSAGES, whatsapp("wamid.1"))
    reply = room.reply(case, "Your parcel left today.")
    await room.hear(reply)
    async with room.sending():
        await room.settled("sent")
    assert texts(room.endpoint) == ["Your parcel left today."]
    (report,) = await room.reports()
    assert (report.status, report.provider_id, report.account) == (
        "sent", "wamid.1", "desk-whatsapp",
    )  # fmt: skip
    assert report.message_id == reply.event.message_id  # type: ignore[union-attr]
    assert (report.case_id, report.effect) == (case, "reply")


async def test_a_closed_or_answered_case_still_gets_its_reply(room: Notifying) -> None:
    case = await room.open_case()
    await room.hear(room.reply(case))
    await room.move_case(case, version=5, state="closed", answered_at=NOON)
    async with room.sending():
        await room.settled("sent")


async def test_a_throttled_reply_waits_as_long_as_the_provider_says(room: Notifying) -> None:
    case = await room.open_case()
    room.endpoint.script(MESSAGES, status(429, retry_after="90"))
    await room.hear(room.reply(case))
    async with room.sending():
        await room.tried(1)
        room.clock.at += timedelta(seconds=90)
        await room.settled("sent")
    assert [report.status for report in await room.reports()] == ["sent"]


async def test_a_refused_reply_fails_with_its_reason(room: Notifying) -> None:
    case = await room.open_case()
    refusal = b'{"error": {"code": 131047, "message": "Re-engagement message"}}'
    room.endpoint.script(MESSAGES, status(400, refusal))
    await room.hear(room.reply(case))
    async with room.sending():
        await room.settled("failed")
    (report,) = await room.reports()
    assert (report.status, report.code) == ("failed", "window_closed")
    (letter,) = await room.rows("SELECT id, account, type FROM dead_letters")
    assert (letter.account, letter.type) == ("desk-whatsapp", "reply")
    async with transaction(room.runtime.engine) as connection:
        with pytest.raises(Conflict, match="answer the customer there"):
            await letters.replay(connection, letter.id, room.clock())


@pytest.mark.parametrize("code", [400, 200])
async def test_what_no_row_can_hold_is_kept_without_it(room: Notifying, code: int) -> None:
    """JSON writes characters that PostgreSQL refuses: a sender that dies of them loses the rest."""
    refused = b'{"error": {"code": 100, "message": "no \\u0000 \\ud800"}}'
    taken = b'{"messages": [{"id": "wamid.\\u0000\\ud800"}]}'
    room.endpoint.always(MESSAGES, status(code, refused if code == 400 else taken))
    await room.hear(room.reply(await room.open_case()))
    async with room.sending():
        await room.settled("failed" if code == 400 else "sent")
    (report,) = await room.reports()
    assert "\0" not in report.reason + report.provider_id


@pytest.mark.parametrize("behaviour", [reset(), status(502), garbage(), status(200, b"{}")])
async def test_a_doubtful_reply_is_unknown_and_never_sent_again(
    room: Notifying, behaviour: Behaviour
) -> None:
    case = await room.open_case()
    room.endpoint.script(MESSAGES, behaviour)
    await room.hear(room.reply(case))
    async with room.sending():
        await room.settled("unknown")
        room.clock.at += timedelta(hours=10)
        await room.hear(room.warning(case))
        await room.settled("unknown", "sent")
    assert len(room.endpoint.at(MESSAGES)) == 1
    assert [report.status for report in await room.reports()] == ["unknown"]


async def test_a_reply_is_not_tried_beyond_its_window(room: Notifying) -> None:
    case = await room.open_case()
    room.endpoint.always(MESSAGES, status(429))
    await room.hear(room.reply(case, reply_window_closes_at=NOON + timedelta(seconds=20)))
    async with room.sending():
        await room.tried(1)
        room.clock.at += timedelta(seconds=5)
        await room.settled("failed")
    (report,) = await room.reports()
    assert (report.status, report.code) == ("failed", "throttled")


async def test_a_reply_whose_window_closed_before_the_first_try_is_dropped(
    room: Notifying,
) -> None:
    case = await room.open_case()
    await room.hear(room.reply(case, reply_window_closes_at=NOON + timedelta(minutes=1)))
    room.clock.at += timedelta(minutes=1)
    async with room.sending():
        await room.settled("dropped")
    (report,) = await room.reports()
    assert (report.status, report.code) == ("dropped", "window_closed")
    assert "send a template, or offer a permitted switch" in report.reason
    assert room.endpoint.requests == []


@pytest.mark.parametrize(
    ("account", "code"), [("nobody", "no_account"), ("service-portal", "no_outbound")]
)
async def test_a_reply_that_no_account_can_send_fails_with_advice(
    room: Notifying, account: str, code: str
) -> None:
    case = await room.open_case()
    await room.hear(room.reply(case, account=account))
    async with room.sending():
        await room.settled("failed")
    (report,) = await room.reports()
    assert (report.status, report.code) == ("failed", code)
    assert "reply_from" in report.reason


async def test_the_code_in_a_reply_is_forgotten_once_it_is_sent(room: Notifying) -> None:
    case, other = await room.open_case(), await room.open_case()
    room.endpoint.script(MESSAGES, whatsapp(), status(400))
    await room.hear(room.reply(case, "code R-7K4Q-2M9X", secret=True, human=False))
    async with room.sending():
        await room.settled("sent")
        await room.hear(room.reply(other, "code R-8K4Q-2M9X", secret=True, human=False))
        await room.settled("sent", "failed")
    stored = await room.rows(
        "SELECT payload::text AS text FROM deliveries "
        "UNION ALL SELECT convert_from(value, 'UTF8') FROM dead_letters"
    )
    assert len(stored) == 3
    assert not any("2M9X" in row.text for row in stored)


async def test_replies_of_a_case_leave_in_order_and_hold_up_no_other(room: Notifying) -> None:
    slow, other = await room.open_case(), await room.open_case()
    room.endpoint.script(MESSAGES, status(429))
    replies = [room.reply(slow, f"{n}") for n in range(4)]
    await room.hear(replies[0])
    async with room.sending():
        await room.tried(1)
        await room.hear(*replies[1:], room.reply(other, "other"))
        await room.settled("pending", "sent", "pending", "pending", "pending")
        room.clock.at += timedelta(seconds=5)
        await room.settled(*["sent"] * 5)
    assert texts(room.endpoint) == ["0", "other", "0", "1", "2", "3"]


async def test_a_failed_reply_lets_the_next_of_its_case_go(room: Notifying) -> None:
    case = await room.open_case()
    room.endpoint.script(MESSAGES, status(400))
    await room.hear(room.reply(case, "one"), room.reply(case, "two"))
    async with room.sending():
        await room.settled("failed", "sent")
    assert texts(room.endpoint) == ["one", "two"]


# --- crashes and company -----------------------------------------------------------------------


async def crash_during_the_call(room: Notifying, path: str) -> None:
    """A sender is gone between its call and the record of it."""
    room.endpoint.script(path, hang())
    task = asyncio.create_task(room.sender(timeout=60, drain=0).run())
    await room.endpoint.received(1, path)
    task.cancel()
    await asyncio.wait({task}, timeout=10)


async def test_a_reply_whose_sender_died_in_the_call_is_unknown(room: Notifying) -> None:
    case = await room.open_case()
    await room.hear(room.reply(case, "one"), room.reply(case, "two"))
    await crash_during_the_call(room, MESSAGES)
    assert await room.states() == ["sending", "pending"]
    room.clock.at += LEASE - timedelta(seconds=1)
    async with room.sending():
        await room.hear(room.warning(case))
        await room.settled("sending", "pending", "sent")
        room.clock.at += timedelta(seconds=1)
        await room.settled("unknown", "sent", "sent")
    assert texts(room.endpoint) == ["one", "two"]
    assert [report.status for report in await room.reports()] == ["unknown", "sent"]
    (attempt,) = await room.rows(
        "SELECT a.error FROM attempts a JOIN deliveries d "
        "ON d.id = a.delivery_id WHERE d.state = 'unknown'"
    )
    assert "stopped between the call and its record" in attempt.error


async def test_a_webhook_whose_sender_died_in_the_call_is_sent_again(room: Notifying) -> None:
    case = await room.open_case()
    await room.hear(room.breach(case))
    await crash_during_the_call(room, "/parcels")
    room.clock.at += LEASE
    async with room.sending():
        await room.tried(1)
        room.clock.at += timedelta(seconds=5)
        await room.settled("sent")
    first, second = room.endpoint.at("/parcels")
    assert first.id == second.id


async def test_a_sender_that_was_only_slow_still_settles_a_doubt(room: Notifying) -> None:
    case = await room.open_case()
    gate = asyncio.Event()
    room.endpoint.script(MESSAGES, held(gate, body=b'{"messages": [{"id": "wamid.L"}]}'))
    await room.hear(room.reply(case))
    async with room.sending(count=2):
        await room.endpoint.received(1, MESSAGES)
        room.clock.at += LEASE
        await room.settled("unknown")
        gate.set()
        await room.settled("sent")
    reports = await room.reports()
    assert [report.status for report in reports] == ["unknown", "sent"]
    rows = await room.rows("SELECT headers FROM outbox WHERE topic = 'deliveries.reported'")
    assert len({bytes(row.headers) for row in rows}) == 2  # two ids: the router takes both
    assert len(room.endpoint.at(MESSAGES)) == 1


async def test_stopping_lets_calls_under_way_end(room: Notifying) -> None:
    case = await room.open_case()
    gate = asyncio.Event()
    room.endpoint.script(MESSAGES, held(gate, body=b'{"messages": [{"id": "wamid.S"}]}'))
    await room.hear(room.reply(case))
    task = asyncio.create_task(room.sender(drain=20).run())
    await room.endpoint.received(1, MESSAGES)
    task.cancel()
    gate.set()
    await asyncio.wait({task}, timeout=20)
    assert task.cancelled()
    assert await room.states() == ["sent"]


async def test_no_transaction_is_open_during_a_call(room: Notifying) -> None:
    case, gate = await room.open_case(), asyncio.Event()
    room.endpoint.script("/parcels", held(gate))
    room.endpoint.script(MESSAGES, held(gate, body=b'{"messages": [{"id": "wamid.S"}]}'))
    await room.hear(room.warning(case), room.reply(case))

    async def none_is_open() -> bool:
        """For a moment a claim is; through a call none may be."""
        (row,) = await room.rows(
            "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() "
            "AND pid <> pg_backend_pid() AND xact_start IS NOT NULL"
        )
        return int(row.n) == 0

    async with room.sending(timeout=BOUND):
        await room.endpoint.received(1, "/parcels")
        await room.endpoint.received(1, MESSAGES)
        await until(none_is_open)
        assert await room.states() == ["sending", "sending"]
        gate.set()
        await room.settled("sent", "sent")


async def test_a_dead_target_delays_nobody_else(room: Notifying) -> None:
    cases = [await room.open_case() for _ in range(60)]
    room.endpoint.always("/dead", hang())
    await room.hear(*(room.warning(case, room.webhook("/dead")) for case in cases))
    async with room.sending(timeout=60, drain=0):
        await room.endpoint.received(2, "/dead")
        await room.hear(*(room.warning(case, room.webhook("/alive")) for case in cases))
        await room.hear(*(room.reply(case) for case in cases))
        await room.endpoint.received(60, "/alive")
        await room.endpoint.received(60, MESSAGES)
    assert len(room.endpoint.at("/dead")) == 2


async def test_many_senders_share_the_work_and_send_nothing_twice(room: Notifying) -> None:
    cases = [await room.open_case() for _ in range(20)]
    for n in range(10):
        await room.hear(*(room.reply(case, str(n)) for case in cases))
    await room.hear(*(room.warning(case) for case in cases))
    async with room.sending(count=3):
        await room.settled(*["sent"] * 220)
    assert len(room.endpoint.at(MESSAGES)) == 200
    assert len({request.id for request in room.endpoint.at("/parcels")}) == 20
    assert len(room.endpoint.at("/parcels")) == 20
    reports = await room.reports()
    assert len({report.delivery_id for report in reports}) == 200
    order: dict[UUID, list[UUID]] = {}
    for report in reports:
        assert report.message_id is not None
        order.setdefault(report.case_id, []).append(report.message_id)
    planned = await room.rows(
        "SELECT case_id, array_agg(payload ->> 'message_id' ORDER BY seq) AS ids "
        "FROM deliveries WHERE effect = 'reply' GROUP BY case_id"
    )
    for row in planned:
        assert [str(id) for id in order[row.case_id]] == row.ids


async def test_what_ended_long_ago_is_forgotten(room: Notifying) -> None:
    case = await room.open_case()
    await room.hear(room.breach(case))
    async with room.sending():
        await room.settled("sent")
    room.clock.at += timedelta(days=29)
    await room.hear(room.breach(case))
    assert await forget(room.runtime) == 0
    room.clock.at += timedelta(days=2)
    assert await forget(room.runtime) == 1
    assert await room.states() == ["pending"]
    assert await room.rows("SELECT * FROM attempts") == []
