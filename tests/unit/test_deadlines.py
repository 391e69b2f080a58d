"""Deadlines: due, warnings, reply windows, pauses; and what always holds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.router import deadlines
from services.router.policy import Facts, Policy, ServiceLevel
from shared.events import Metric

POLICY = Policy.parse(
    (Path(__file__).parents[2] / "deploy" / "policy.yaml").read_text(encoding="utf-8"),
    "policy.yaml",
)
OFFICE = POLICY.calendar("office")
AMSTERDAM = ZoneInfo("Europe/Amsterdam")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=AMSTERDAM).astimezone(UTC)


def level_of(channel: str) -> ServiceLevel:
    level = POLICY.service_level(Facts(channel=channel), "frontdesk", at("2026-11-20 12:00"))
    assert level is not None
    return level


def planned(channel: str, metric: Metric, start: str) -> deadlines.DeadlinePlan:
    plan = deadlines.plan(POLICY, level_of(channel), metric, at(start))
    assert plan is not None
    return plan


# --- due and warnings ------------------------------------------------------------------------


def test_a_plan_says_all_that_the_event_will() -> None:
    plan = planned("whatsapp", "first_response", "2026-11-20 17:10")
    assert plan.due_at == at("2026-11-21 10:40")
    assert plan.warn_at == (at("2026-11-21 10:10"), at("2026-11-21 10:30"))
    assert (plan.rule, plan.calendar) == ("chat", "office")
    assert plan.words == "1h in `office` from Fri 17:10 = Sat 10:40"


@pytest.mark.parametrize(
    ("channel", "metric", "start", "due"),
    [
        ("email", "first_response", "2026-11-20 17:10", "2026-11-23 08:30"),
        ("email", "next_response", "2026-11-20 17:10", "2026-11-23 08:30"),
        ("email", "resolution", "2026-11-18 09:00", "2026-11-24 09:00"),
        ("email", "update", "2026-11-18 09:00", "2026-11-20 09:00"),
        ("whatsapp", "next_response", "2026-11-20 16:00", "2026-11-21 10:30"),
        ("webchat", "first_response", "2026-11-20 17:29", "2026-11-21 10:01"),
    ],
)
def test_due(channel: str, metric: Metric, start: str, due: str) -> None:
    assert planned(channel, metric, start).due_at == at(due)


def test_warnings_are_counted_back_in_open_time() -> None:
    # due Monday 08:30: two hours before is Saturday 12:00
    plan = planned("email", "first_response", "2026-11-20 17:10")
    assert plan.warn_at == (at("2026-11-21 12:00"),)


def test_a_step_at_or_before_the_start_is_skipped() -> None:
    level = level_of("webchat")  # 2m, warns 1m before
    start = at("2026-11-20 12:00")
    assert deadlines.plan(POLICY, level, "first_response", start) is not None
    long_warning = Policy.parse(
        POLICY.text.replace("first_response: 2m, warn_before: [1m]",
                            "first_response: 2m, warn_before: [2m, 1h, 1m]")
    )  # fmt: skip
    longer = long_warning.service_level(Facts(channel="webchat"), "frontdesk", start)
    assert longer is not None
    plan = deadlines.plan(long_warning, longer, "first_response", start)
    assert plan is not None
    assert plan.warn_at == (at("2026-11-20 12:01"),)


def test_no_target_no_deadline() -> None:
    assert deadlines.plan(POLICY, level_of("counter"), "resolution", at("2026-11-20 12:00")) is None


# --- the reply window ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "closes", "bound"),
    [
        # open at the bound: the window's end less an hour
        ("2026-11-18 10:00", "2026-11-19 10:00", "2026-11-19 09:00"),
        # in the evening: back to that day's closing
        ("2026-11-18 20:00", "2026-11-19 20:00", "2026-11-19 17:30"),
        # at lunch: back to the morning's closing
        ("2026-11-18 13:45", "2026-11-19 13:45", "2026-11-19 12:30"),
        # exactly at closing
        ("2026-11-18 18:30", "2026-11-19 18:30", "2026-11-19 17:30"),
        # a Saturday evening message: nothing was open since, so the bound stays in closed time
        ("2026-11-21 19:00", "2026-11-22 19:00", "2026-11-22 18:00"),
        # a Saturday morning message: Saturday's closing
        ("2026-11-21 11:00", "2026-11-22 11:00", "2026-11-21 14:00"),
        # started at that closing: it is not after the start
        ("2026-11-21 14:00", "2026-11-22 14:00", "2026-11-22 13:00"),
    ],
)
def test_the_bound_of_a_reply_window(start: str, closes: str, bound: str) -> None:
    assert deadlines.reply_window_bound(POLICY, "office", at(closes), at(start)) == at(bound)


def test_the_earliest_promise_stands() -> None:
    early, late = at("2026-11-18 10:00"), at("2026-11-18 11:00")
    assert deadlines.tighten(None, late) == late
    assert deadlines.tighten(early, late) == early
    assert deadlines.tighten(late, early) == early


# --- pauses ----------------------------------------------------------------------------------


def test_a_pause_over_a_weekend_adds_the_open_time_only() -> None:
    resumed = deadlines.resume(
        POLICY,
        "office",
        due_at=at("2026-11-24 09:00"),
        paused_at=at("2026-11-20 17:00"),
        resumed_at=at("2026-11-23 09:00"),
        warn_at=(at("2026-11-23 15:30"),),
    )
    # paused: Friday 30 minutes, Saturday 4 hours, Monday 30 minutes = 5 open hours
    assert resumed.due_at == at("2026-11-24 14:30")
    assert resumed.warn_at == (at("2026-11-24 11:30"),)


def test_a_pause_in_closed_time_adds_nothing() -> None:
    due = at("2026-11-23 17:30")
    resumed = deadlines.resume(
        POLICY, "office", due, at("2026-11-21 15:00"), at("2026-11-22 15:00")
    )
    assert resumed == deadlines.Resumed(due, (), ())


def test_a_calendar_that_is_gone_counts_as_always_open() -> None:
    due = at("2026-11-23 10:00")
    resumed = deadlines.resume(
        POLICY, "gone", due, at("2026-11-21 10:00"), at("2026-11-22 10:00"), (due,)
    )
    later = due + timedelta(days=1)
    assert resumed == deadlines.Resumed(later, (later,), ())


# --- what always holds -----------------------------------------------------------------------

INSTANTS = st.integers(0, 3 * 365 * 86_400).map(
    lambda seconds: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
)
HOURS = st.integers(0, 500).map(lambda hours: timedelta(hours=hours))
CHANNELS = st.sampled_from(["email", "whatsapp", "webchat", "counter", "internal"])


@settings(max_examples=150, deadline=None)
@given(CHANNELS, INSTANTS)
def test_warnings_lie_between_start_and_due(channel: str, start: datetime) -> None:
    plan = deadlines.plan(POLICY, level_of(channel), "first_response", start)
    assert plan is not None
    assert all(start < warn < plan.due_at for warn in plan.warn_at)
    assert list(plan.warn_at) == sorted(plan.warn_at)
    assert OFFICE.is_open(plan.due_at) or OFFICE.end_of_last_open_span_before(plan.due_at) == (
        plan.due_at
    )


@settings(max_examples=150, deadline=None)
@given(INSTANTS, HOURS, HOURS, st.sampled_from(["whatsapp", "email"]))
def test_resuming_adds_exactly_the_paused_open_time(
    start: datetime, until_pause: timedelta, pause: timedelta, channel: str
) -> None:
    plan = deadlines.plan(POLICY, level_of(channel), "resolution", start)
    assert plan is not None
    paused_at = min(start + until_pause, plan.due_at)
    resumed = deadlines.resume(POLICY, "office", plan.due_at, paused_at, paused_at + pause)
    added = OFFICE.open_between(plan.due_at, resumed.due_at)
    assert added == OFFICE.open_between(paused_at, paused_at + pause)
    assert resumed.due_at >= plan.due_at


@settings(max_examples=150, deadline=None)
@given(INSTANTS, HOURS)
def test_a_reply_window_bound_is_never_later_than_the_margin(
    start: datetime, window: timedelta
) -> None:
    closes = start + window
    bound = deadlines.reply_window_bound(POLICY, "office", closes, start)
    assert bound <= closes - timedelta(hours=1)
    assert bound == closes - timedelta(hours=1) or bound > start


@given(st.lists(INSTANTS, min_size=1, max_size=6))
def test_tightening_never_moves_a_promise_later(moments: list[datetime]) -> None:
    carried: datetime | None = None
    for moment in moments:
        tightened = deadlines.tighten(carried, moment)
        assert carried is None or tightened <= carried
        carried = tightened
    assert carried == min(moments)
