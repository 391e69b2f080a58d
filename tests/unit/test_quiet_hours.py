"""Quiet hours: until when somebody is left alone, for whom not, and what is sent meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest

from services.notifier.effects import NOTICE_LIVES, plan
from services.notifier.models import Delivery, Head, Planned
from services.notifier.staleness import staleness
from services.router.policy import Policy
from services.router.rules.quiet import Quiet
from shared import values
from shared.events import (
    CaseChanged,
    CaseEvent,
    DeadlineBreached,
    DeadlineEscalated,
    DeadlineWarned,
    Priority,
    Target,
)

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
NIGHT = Quiet(time(20), time(7), AMSTERDAM)


def local(text: str, zone: ZoneInfo = AMSTERDAM) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)


# --- when --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "end", "now", "until"),
    [
        ("20:00", "07:00", "2026-11-20T19:59", None),
        ("20:00", "07:00", "2026-11-20T20:00", "2026-11-21T07:00"),
        ("20:00", "07:00", "2026-11-20T23:59", "2026-11-21T07:00"),
        ("20:00", "07:00", "2026-11-21T06:59", "2026-11-21T07:00"),
        ("20:00", "07:00", "2026-11-21T07:00", None),
        ("12:00", "13:30", "2026-11-20T11:59", None),
        ("12:00", "13:30", "2026-11-20T12:00", "2026-11-20T13:30"),
        ("12:00", "13:30", "2026-11-20T13:30", None),
        ("12:00", "13:30", "2026-11-20T23:00", None),
        ("20:00", "00:00", "2026-11-20T23:00", "2026-11-21T00:00"),
        # the night that lasts ten hours, and the one that lasts twelve
        ("20:00", "07:00", "2026-03-28T21:00", "2026-03-29T07:00"),
        ("20:00", "07:00", "2026-10-24T21:00", "2026-10-25T07:00"),
        # an end that clocks skip: when they skip it
        ("20:00", "02:30", "2026-03-28T21:00", "2026-03-29T03:00"),
    ],
)
def test_until_the_end_of_the_night(start: str, end: str, now: str, until: str | None) -> None:
    quiet = Quiet(time.fromisoformat(start), time.fromisoformat(end), AMSTERDAM)
    expected = None if until is None else local(until)
    assert quiet.until(local(now), "normal") == expected


def test_an_end_that_occurs_twice_is_the_first() -> None:
    quiet = Quiet(time(20), time(2, 30), AMSTERDAM)
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)  # 02:30 summer time
    assert quiet.until(first - timedelta(minutes=1), "low") == first
    assert quiet.until(first + timedelta(minutes=45), "low") is None  # 02:15 again


@pytest.mark.parametrize(
    ("spared", "priority", "kept"),
    [
        ("urgent", "urgent", False),
        ("urgent", "high", True),
        ("high", "urgent", False),
        ("low", "low", False),
        (None, "urgent", True),
    ],
)
def test_what_is_urgent_does_not_wait(
    spared: Priority | None, priority: Priority, kept: bool
) -> None:
    quiet = Quiet(time(20), time(7), AMSTERDAM, spared)
    assert (quiet.until(local("2026-11-20T22:00"), priority) is not None) == kept


# --- for whom ----------------------------------------------------------------------------------

POLICY = Policy.parse("""
timezone: Europe/Amsterdam
quiet_hours: {from: "20:00", to: "07:00", except: urgent}
calendars: {always: {hours: 24/7}}
supervisors:
  notify:
    - {webhook: "https://hooks.example.org/boss", quiet_hours: {from: "22:00", to: "06:00"}}
teams:
  desk:
    notify:
      - {webhook: "https://hooks.example.org/desk"}
      - email: lisbon@example.org
        quiet_hours: {from: "20:00", to: "07:00", timezone: Europe/Lisbon, except: high}
routing: [{name: all, team: desk}]
service_levels: [{name: all, calendar: always, first_response: 1h}]
on_breach: {notify: [supervisors, team, supervisors]}
""")


def woken(targets: tuple[Target, ...]) -> list[tuple[str, datetime | None]]:
    return [(target.address.rpartition("/")[2], target.not_before) for target in targets]


def test_each_recipient_has_their_own_hours_and_clock() -> None:
    at = local("2026-11-20T20:30")  # 19:30 in Lisbon
    morning = local("2026-11-21T07:00")
    assert woken(POLICY.notify_team("desk", at, "normal")) == [
        ("desk", morning),
        ("lisbon@example.org", None),
    ]
    assert woken(POLICY.notify_supervisors(at, "normal")) == [("boss", None)]
    at = local("2026-11-20T23:00")
    lisbon = local("2026-11-21T07:00", ZoneInfo("Europe/Lisbon"))
    assert woken(POLICY.notify_team("desk", at, "normal")) == [
        ("desk", morning),
        ("lisbon@example.org", lisbon),
    ]


def test_each_recipient_has_their_own_exception() -> None:
    at = local("2026-11-20T23:00")
    assert [at for _, at in woken(POLICY.notify_team("desk", at, "high"))] == [
        local("2026-11-21T07:00"), None,
    ]  # fmt: skip
    assert [at for _, at in woken(POLICY.notify_team("desk", at, "urgent"))] == [None, None]
    # the supervisor's own hours except nothing
    assert woken(POLICY.notify_supervisors(at, "urgent")) == [("boss", local("2026-11-21T06:00"))]


def test_the_hours_travel_along_by_day_too_but_for_what_wakes_people() -> None:
    """What is tried again, or told with others, may come at night though it was decided by day."""
    noon = local("2026-11-20T12:00")
    hours = [target.quiet for target in POLICY.notify_team("desk", noon, "high")]
    assert hours == [values.Quiet(start=time(20), end=time(7), zone="Europe/Amsterdam"), None]
    assert [target.not_before for target in POLICY.notify_team("desk", noon, "low")] == [None, None]


def test_those_named_are_told_in_order_and_once() -> None:
    noon = local("2026-11-20T12:00")
    names = [
        target.name for target in POLICY.notify_named(POLICY.on_breach.notify, "desk", noon, "low")
    ]
    assert names == ["supervisors", "desk", "desk"]
    told = POLICY.notify_named(["team"], "desk", noon, "low")
    assert told == POLICY.notify_team("desk", noon, "low")
    assert POLICY.notify_named([], "desk", noon, "low") == ()


# --- what is sent meanwhile --------------------------------------------------------------------

AT = local("2026-11-20T22:00")
MORNING = local("2026-11-21T07:00")


def planned(event: CaseEvent) -> Planned:
    change = CaseChanged(
        case_id=uuid4(), seq=3, version=2, at=AT, actor="clock", customer_id=uuid4(),
        team="desk", channel="email", event=event,
    )  # fmt: skip
    (delivery,) = plan("event", change)
    return delivery


def target(not_before: datetime | None = MORNING) -> tuple[Target, ...]:
    address = "https://hooks.example.org/desk"
    return (Target(kind="webhook", address=address, not_before=not_before),)


def warned(expires_at: datetime, not_before: datetime | None = MORNING) -> Planned:
    return planned(
        DeadlineWarned(
            number=1, metric="first_response", step=1, due_at=expires_at, expires_at=expires_at,
            notify=target(not_before),
        )
    )  # fmt: skip


def test_a_reminder_waits_for_the_morning() -> None:
    assert warned(MORNING + timedelta(hours=2)).first_try_at(AT) == MORNING
    assert warned(MORNING + timedelta(hours=2), None).first_try_at(AT) == AT
    # read so late that it is morning already
    late = MORNING + timedelta(minutes=5)
    assert warned(MORNING + timedelta(hours=2)).first_try_at(late) == late


@pytest.mark.parametrize("margin", [timedelta(), timedelta(hours=3)])
def test_what_expires_by_then_is_dropped_as_it_expires(margin: timedelta) -> None:
    expires_at = MORNING - margin
    delivery = warned(expires_at)
    assert delivery.first_try_at(AT) == expires_at
    stale = staleness(claimed(delivery), expires_at)
    assert stale is not None
    assert stale.code == "expired"


def test_a_breach_is_told_in_the_morning() -> None:
    delivery = planned(
        DeadlineBreached(number=1, metric="first_response", due_at=AT, notify=target())
    )
    assert delivery.first_try_at(AT) == MORNING
    assert delivery.expires_at == AT + NOTICE_LIVES
    assert staleness(claimed(delivery), MORNING) is None


def escalated() -> Planned:
    return planned(
        DeadlineEscalated(
            number=1, metric="first_response", step=2, due_at=AT, notify=target(),
            expires_at=AT + NOTICE_LIVES,
        )
    )  # fmt: skip


def test_an_escalation_says_which_step_and_waits_too() -> None:
    delivery = escalated()
    assert delivery.effect == "escalation"
    assert delivery.first_try_at(AT) == MORNING
    assert b'"type":"deadline.escalated"' in delivery.payload
    assert b'"step":2' in delivery.payload


def test_nobody_is_told_in_the_morning_of_what_was_answered_at_night() -> None:
    answered = AT + timedelta(minutes=5)
    stale = staleness(claimed(escalated(), answered), MORNING)
    assert stale is not None
    assert stale.code == "answered"
    assert staleness(claimed(escalated()), MORNING) is None


def claimed(delivery: Planned, answered_at: datetime | None = None) -> Delivery:
    """As the sender has it, with the head of its case: answered later, or just another version."""
    return Delivery(
        id=delivery.id, case_id=delivery.case_id, effect=delivery.effect, target=delivery.target,
        payload={"data": {"metric": "first_response"}}, version=delivery.version, at=delivery.at,
        attempts=0, attempts_before=0, expires_at=delivery.expires_at,
        head=Head(delivery.version + 1, "open", answered_at),
    )  # fmt: skip
