"""Deadlines against an oracle that counts minutes: any calendar, zone, holiday and clock change.

Each case is a policy file, as a service manager writes it, and a start; what comes out is compared
with `tests.minute_by_minute`, which has no line in common with the services.

A long run: REGIE_PROPERTIES=2000 .venv/bin/python -m pytest <this file> --timeout 0
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from services.router import deadlines
from services.router.calendars import Calendar
from services.router.openings import holidays_of
from services.router.policy import Facts, Policy
from shared.durations import Duration
from tests.minute_by_minute import HOLIDAYS, Shop, Spans, easter, moment

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
ZONES = [
    "Europe/Amsterdam", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca",
    "Asia/Kathmandu", "Asia/Beirut",
]  # fmt: skip
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
PROPERTY = settings(
    max_examples=int(os.environ.get("REGIE_PROPERTIES", "50")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


# --- a shop as a policy file ---------------------------------------------------------------------


def hours(spans: Spans) -> list[str]:
    return ["-".join(f"{at // 60:02}:{at % 60:02}" for at in span) for span in spans]


def policy_of(shop: Shop, **level: Any) -> Policy:
    calendar: dict[str, Any] = {
        "timezone": shop.zone,
        "hours": {name: hours(spans) for name, spans in zip(WEEKDAYS, shop.week, strict=True)},
        "exceptions": {f"{day}": hours(spans) for day, spans in shop.exceptions.items()},
    }
    if shop.region:
        calendar["holidays"] = shop.region
    return Policy.parse(
        json.dumps(
            {
                "calendars": {"shop": calendar},
                "teams": {"desk": {"calendar": "shop"}},
                "routing": [{"name": "all", "team": "desk"}],
                "service_levels": [
                    {"name": "all", "calendar": "shop", "first_response": "1h"} | level
                ],
            }
        )
    )


def calendar_of(shop: Shop) -> Calendar:
    return policy_of(shop).calendar("shop")


# --- shops, and moments in and around their hours ------------------------------------------------


def cut(moments: list[int]) -> Spans:
    """`[480, 720, 720, 1020]` as two spans that touch."""
    pairs = zip(moments[::2], moments[1::2], strict=False)
    return tuple((a, b) for a, b in pairs if a < b)


_USUAL: list[Spans] = [
    (),
    ((0, 1440),),
    ((510, 750), (780, 1050)),
    ((600, 840),),
    ((0, 150), (1320, 1440)),
    ((30, 135), (150, 360)),
    ((480, 720), (720, 1020)),
    ((1080, 1440),),
]
SPANS = st.one_of(
    st.sampled_from(_USUAL),
    st.lists(st.integers(0, 1440), min_size=2, max_size=6).map(sorted).map(cut),
)
REGIONS = st.sampled_from(["", "NL", "DE-BY", "GB-ENG", "US"])


def clock_changes(zone: str, year: int) -> list[date]:
    offsets = {
        day: datetime.combine(day, time(12), ZoneInfo(zone)).utcoffset()
        for day in (date(year, 1, 1) + n * DAY for n in range(365))
    }
    return [day for day in offsets if offsets.get(day - DAY, offsets[day]) != offsets[day]]


@dataclass(frozen=True)
class Visit:
    """Somebody comes at `start`, in weeks that are worth a look."""

    shop: Shop
    start: datetime


@st.composite
def visits(draw: st.DrawFn, week: st.SearchStrategy[Spans] = SPANS) -> Visit:
    zone, region = draw(st.sampled_from(ZONES)), draw(REGIONS)
    hours = draw(st.lists(week, min_size=7, max_size=7))
    # Some working day, so that a target can be met within a test's patience.
    assume(sum(b - a for spans in hours[:5] for a, b in spans) >= 60)
    around = draw(days_worth_a_look(zone, region))
    exceptions = draw(
        st.dictionaries(st.integers(0, 9).map(lambda n: around + n * DAY), SPANS, max_size=3)
    )
    shop = Shop(zone, tuple(hours), region, exceptions)
    return Visit(shop, draw(starts(shop, around)))


@st.composite
def days_worth_a_look(draw: st.DrawFn, zone: str, region: str) -> date:
    year = draw(st.integers(2024, 2030))
    days = [*clock_changes(zone, year), date(year, 2, 28), date(year, 12, 24), date(year, 12, 31)]
    days += sorted(HOLIDAYS[region](year)) if region else []
    anywhere = st.integers(0, 364).map(lambda n: date(year, 1, 1) + n * DAY)
    return draw(st.one_of(st.sampled_from(days), anywhere)) - draw(st.integers(0, 4)) * DAY


@st.composite
def starts(draw: st.DrawFn, shop: Shop, around: date) -> datetime:
    """Any moment; often at an opening or a closing, often in the night clocks change."""
    day = around + draw(st.integers(0, 6)) * DAY
    # Of any day of the week: a business day on, it may be another day's closing time.
    spans = {span for spans in (shop.hours_on(day), *shop.week) for span in spans}
    edges = st.sampled_from(sorted({at % 1440 for span in spans for at in span}))
    night = st.integers(0, 240)
    minutes = draw(st.one_of(st.integers(0, 1439), edges, night))
    beyond = draw(st.sampled_from([0, 0, 1, 30_000_000, 59_999_999]))
    wall = datetime.combine(day, time()) + minutes * MINUTE
    local = wall.replace(tzinfo=ZoneInfo(shop.zone), fold=draw(st.integers(0, 1)))
    return local.astimezone(UTC) + timedelta(microseconds=beyond)


OPEN_TIME = st.one_of(
    st.integers(1, 90).map(lambda n: Duration(n, "m")),
    st.integers(1, 2000).map(lambda n: Duration(n, "m")),
    st.integers(1, 40).map(lambda n: Duration(n, "h")),
)
OPEN_DATES = st.integers(1, 8).map(lambda n: Duration(n, "bd"))
TARGETS = st.one_of(OPEN_TIME, OPEN_DATES)


def patient(shop: Shop, target: Duration) -> None:
    """At most a month or so: the oracle counts on its fingers."""
    a_week = sum(b - a for spans in shop.week for a, b in spans)
    open_dates = sum(bool(spans) for spans in shop.week)
    assume(target.unit != "bd" or target.amount <= 4 * open_dates)
    assume(target.unit == "bd" or target.timedelta() <= 4 * a_week * MINUTE)


def expected(shop: Shop, start: datetime, target: Duration) -> datetime:
    if target.unit == "bd":
        return shop.add_open_dates(start, target.amount)
    return shop.add_open_time(start, target.timedelta())


# --- the oracle ----------------------------------------------------------------------------------


@pytest.mark.parametrize("region", HOLIDAYS)
@pytest.mark.parametrize("year", range(2024, 2031))
def test_holidays_are_what_the_calendar_says(region: str, year: int) -> None:
    assert holidays_of(region, year) == HOLIDAYS[region](year)


def test_easter() -> None:
    known = {
        2024: (3, 31),
        2025: (4, 20),
        2026: (4, 5),
        2027: (3, 28),
        2028: (4, 16),
        2038: (4, 25),
    }
    assert {year: (easter(year).month, easter(year).day) for year in known} == known


@PROPERTY
@given(visits(), TARGETS)
def test_due_is_what_counting_minutes_says(visit: Visit, target: Duration) -> None:
    shop, start = visit.shop, visit.start
    patient(shop, target)
    assert calendar_of(shop).add(start, target).at == expected(shop, start, target)


@PROPERTY
@given(visits(), TARGETS, TARGETS)
def test_a_warning_is_counted_back_minute_by_minute(
    visit: Visit, target: Duration, before: Duration
) -> None:
    shop, start = visit.shop, visit.start
    patient(shop, target)
    patient(shop, before)
    policy = policy_of(shop, first_response=str(target), warn_before=[str(before)])
    level = policy.service_level(Facts(channel="email"), "desk", start)
    assert level is not None
    plan = deadlines.plan(policy, level, "first_response", start)
    assert plan is not None
    due = expected(shop, start, target)
    assert plan.due_at == due
    if before.unit == "bd":
        step = shop.subtract_open_dates(due, before.amount)
    else:
        step = shop.subtract_open_time(due, before.timedelta())
    # a step at or before the start is skipped
    assert plan.warn_at == ((step,) if step > start else ())


@PROPERTY
@given(visits(), st.integers(0, 12 * 86_400))
def test_open_time_between_is_the_minutes_counted(visit: Visit, seconds: int) -> None:
    end = visit.start + timedelta(seconds=seconds)
    counted = visit.shop.open_between(visit.start, end)
    assert calendar_of(visit.shop).open_between(visit.start, end) == counted


@PROPERTY
@given(visits())
def test_open_and_next_opening(visit: Visit) -> None:
    calendar = calendar_of(visit.shop)
    minute = (visit.start - moment(0)) // MINUTE
    assert calendar.is_open(visit.start) == visit.shop.is_open(minute)
    assert calendar.next_opening(visit.start) == visit.shop.next_opening(visit.start)


# --- what always holds ---------------------------------------------------------------------------


@PROPERTY
@given(visits(), TARGETS)
def test_never_due_in_closed_time(visit: Visit, target: Duration) -> None:
    patient(visit.shop, target)
    due = calendar_of(visit.shop).add(visit.start, target).at
    assert due > visit.start
    assert visit.shop.open_or_closing(due)


@PROPERTY
@given(visits(), TARGETS, st.integers(1, 30))
def test_a_longer_target_is_never_due_earlier(visit: Visit, target: Duration, more: int) -> None:
    longer = Duration(target.amount + more, target.unit)
    calendar = calendar_of(visit.shop)
    due, later = calendar.add(visit.start, target).at, calendar.add(visit.start, longer).at
    assert due < later or (due == later and target.unit == "bd")


@PROPERTY
@given(visits(), TARGETS, st.integers(1, 4 * 86_400))
def test_a_later_start_is_never_due_earlier(visit: Visit, target: Duration, seconds: int) -> None:
    shop, start, later = visit.shop, visit.start, visit.start + timedelta(seconds=seconds)
    calendar = calendar_of(shop)
    begins = shop.local(calendar.next_opening(start)), shop.local(calendar.next_opening(later))
    # In the hour that occurs twice the later start has the earlier time of day, and bd goes by it.
    assume(target.unit != "bd" or begins[0] <= begins[1])
    assert calendar.add(start, target).at <= calendar.add(later, target).at


@PROPERTY
@given(visits(), OPEN_TIME, OPEN_TIME)
def test_two_targets_one_after_the_other_are_their_sum(
    visit: Visit, one: Duration, other: Duration
) -> None:
    calendar = calendar_of(visit.shop)
    both = timedelta(seconds=(one.timedelta() + other.timedelta()).total_seconds())
    sum_of_them = Duration(int(both / MINUTE), "m")
    after_one = calendar.add(visit.start, one).at
    assert calendar.add(after_one, other).at == calendar.add(visit.start, sum_of_them).at


# --- clock changes -------------------------------------------------------------------------------

# Nothing before 06:00 or after 22:00: such a shop never sees a clock change.
DAYTIME = st.one_of(
    st.sampled_from([(), ((510, 750), (780, 1050)), ((600, 840),)]),
    st.lists(st.integers(360, 1320), min_size=2, max_size=4).map(sorted).map(cut),
)


@PROPERTY
@given(visits(DAYTIME), TARGETS)
def test_who_is_closed_at_night_never_sees_a_clock_change(visit: Visit, target: Duration) -> None:
    """In local time a deadline is what it would be where clocks never change."""
    shop = visit.shop
    exceptions = {
        day: tuple((max(a, 360), min(b, 1320)) for a, b in spans if max(a, 360) < min(b, 1320))
        for day, spans in shop.exceptions.items()
    }
    here = Shop(shop.zone, shop.week, shop.region, exceptions)
    nowhere = Shop("UTC", shop.week, shop.region, exceptions)
    wall = shop.local(visit.start)
    due = calendar_of(here).add(visit.start, target).at
    assert shop.local(due) == calendar_of(nowhere).add(wall.replace(tzinfo=UTC), target).at.replace(
        tzinfo=None
    )


@PROPERTY
@given(visits(st.just(((0, 1440),))), OPEN_TIME)
def test_an_hour_is_an_hour_where_it_is_always_open(visit: Visit, target: Duration) -> None:
    always = calendar_of(Shop(visit.shop.zone, visit.shop.week))
    assert always.add(visit.start, target).at == visit.start + target.timedelta()


@PROPERTY
@given(visits(st.just(((0, 1440),))), st.integers(1, 8))
def test_a_business_day_keeps_the_time_of_day_where_it_exists(visit: Visit, days: int) -> None:
    always = Shop(visit.shop.zone, visit.shop.week)
    start = always.local(visit.start)
    due = always.local(calendar_of(always).add(visit.start, Duration(days, "bd")).at)
    assert due.date() == start.date() + days * DAY
    skipped = due.date() in clock_changes(always.zone, due.year) and due.time() > start.time()
    assert due.time() == start.time() or skipped


@PROPERTY
@given(visits(), st.integers(0, 5 * 86_400), st.integers(0, 5 * 86_400))
def test_pausing_and_resuming_adds_exactly_the_paused_open_time(
    visit: Visit, until: int, paused: int
) -> None:
    shop, policy = visit.shop, policy_of(visit.shop)
    paused_at = visit.start + timedelta(seconds=until)
    due = policy.calendar("shop").add(paused_at, Duration(30, "m")).at
    resumed_at = paused_at + timedelta(seconds=paused)
    resumed = deadlines.resume(policy, "shop", due, paused_at, resumed_at)
    assert shop.open_between(due, resumed.due_at) == shop.open_between(paused_at, resumed_at)
    assert resumed.due_at >= due
