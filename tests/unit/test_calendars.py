"""Working time: the policy file's own examples, clock changes, and properties that always hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.router.calendars import Calendar, NeverOpen
from services.router.openings import Openings, Span, days_named, holidays_of, in_order, week_of
from shared.durations import Duration

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
OFFICE_HOURS = {"mon-fri": ["08:30-12:30", "13:00-17:30"], "sat": ["10:00-14:00"]}


def calendar(
    hours: Mapping[str, Sequence[str]],
    *,
    zone: str = "Europe/Amsterdam",
    holidays: tuple[str, ...] = (),
    exceptions: Mapping[str, Sequence[str]] | None = None,
) -> Calendar:
    def spans(texts: Sequence[str]) -> tuple[Span, ...]:
        return tuple(Span.parse(text) for text in texts)

    openings = Openings(
        ZoneInfo(zone),
        week_of({names: spans(texts) for names, texts in hours.items()}),
        holidays,
        {date.fromisoformat(day): spans(texts) for day, texts in (exceptions or {}).items()},
    )
    return Calendar("office", openings)


OFFICE = calendar(
    OFFICE_HOURS,
    holidays=("NL",),
    exceptions={"2026-12-24": ["08:30-12:00"], "2026-12-31": []},
)
ALWAYS = calendar({"mon-sun": ["00:00-24:00"]})


def at(text: str, zone: ZoneInfo = AMSTERDAM, *, fold: int = 0) -> datetime:
    """`2026-11-20 17:10` on an Amsterdam clock."""
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).astimezone(UTC)


def due(start: str, duration: str, in_calendar: Calendar = OFFICE) -> str:
    moment = in_calendar.add(at(start), Duration.parse(duration)).at
    return f"{moment.astimezone(in_calendar.openings.zone):%a %Y-%m-%d %H:%M}"


# --- the examples of the policy file ---------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "duration", "expected"),
    [
        ("2026-11-20 17:10", "1h", "Sat 2026-11-21 10:40"),
        ("2026-11-18 12:10", "1h", "Wed 2026-11-18 13:40"),
        ("2026-11-22 12:00", "1h", "Mon 2026-11-23 09:30"),
        ("2026-11-20 14:00", "1bd", "Sat 2026-11-21 14:00"),
        ("2026-11-20 17:10", "1bd", "Mon 2026-11-23 08:30"),
        ("2026-11-20 19:00", "1bd", "Mon 2026-11-23 10:00"),
        ("2026-11-22 13:00", "1bd", "Tue 2026-11-24 08:30"),
        ("2026-11-17 09:00", "1bd", "Wed 2026-11-18 09:00"),
    ],
)
def test_examples_of_the_policy_file(start: str, duration: str, expected: str) -> None:
    assert due(start, duration) == expected


@pytest.mark.parametrize(
    ("start", "duration", "expected"),
    [
        # exactly to a closing time, and from one
        ("2026-11-20 16:30", "1h", "Fri 2026-11-20 17:30"),
        ("2026-11-20 17:30", "1h", "Sat 2026-11-21 11:00"),
        ("2026-11-20 17:30", "1bd", "Mon 2026-11-23 10:00"),
        ("2026-11-18 12:30", "30m", "Wed 2026-11-18 13:30"),
        # lunch: a clock that lands in it, and one that starts in it
        ("2026-11-21 12:45", "1bd", "Mon 2026-11-23 13:00"),
        ("2026-11-18 12:45", "1bd", "Thu 2026-11-19 13:00"),
        # the half day before Christmas is an open date; the 25th and 26th are holidays, then Sunday
        ("2026-12-23 09:00", "1bd", "Thu 2026-12-24 09:00"),
        ("2026-12-23 12:00", "1bd", "Thu 2026-12-24 12:00"),
        ("2026-12-23 15:00", "1bd", "Mon 2026-12-28 08:30"),
        ("2026-12-23 09:00", "2bd", "Mon 2026-12-28 09:00"),
        ("2026-12-24 11:30", "1h", "Mon 2026-12-28 09:00"),
        # closed by exception, then New Year's Day, then a Saturday
        ("2026-12-30 17:00", "1h", "Sat 2027-01-02 10:30"),
        ("2026-12-30 11:00", "1bd", "Sat 2027-01-02 11:00"),
        # Easter Monday and Whit Monday
        ("2026-04-04 13:30", "1h", "Tue 2026-04-07 09:00"),
        ("2026-05-23 13:00", "1bd", "Tue 2026-05-26 13:00"),
        # 5bd over a weekend counts the Saturday
        ("2026-11-18 09:00", "5bd", "Tue 2026-11-24 09:00"),
        # calendar days, in closed time the next opening
        ("2026-11-20 16:00", "1d", "Mon 2026-11-23 08:30"),
        ("2026-11-18 09:00", "2d", "Fri 2026-11-20 09:00"),
        ("2026-11-18 09:00", "1y", "Thu 2027-11-18 09:00"),
    ],
)
def test_holidays_half_days_and_edges(start: str, duration: str, expected: str) -> None:
    assert due(start, duration) == expected


def test_words() -> None:
    explain = OFFICE.explain(at("2026-11-20 17:10"), Duration.parse("1h"))
    assert explain == "1h in `office` from Fri 17:10 = Sat 10:40"
    assert OFFICE.explain(at("2026-11-18 09:00"), Duration.parse("5bd")) == (
        "5bd in `office` from Wed 2026-11-18 09:00 = Tue 2026-11-24 09:00"
    )


def test_spans_are_half_open() -> None:
    assert OFFICE.is_open(at("2026-11-18 08:30"))
    assert not OFFICE.is_open(at("2026-11-18 12:30"))
    assert not OFFICE.is_open(at("2026-11-18 08:29"))
    assert not OFFICE.is_open(at("2026-12-25 10:00"))
    assert OFFICE.is_open(at("2026-12-24 11:59"))


def test_an_exception_overrides_a_holiday() -> None:
    open_at_christmas = calendar(
        OFFICE_HOURS, holidays=("NL",), exceptions={"2026-12-25": ["10:00-11:00"]}
    )
    assert open_at_christmas.is_open(at("2026-12-25 10:30"))
    assert not open_at_christmas.is_open(at("2026-12-25 11:30"))


def test_holidays_of_a_subdivision() -> None:
    epiphany = date(2026, 1, 6)
    assert epiphany in holidays_of("DE-BY", 2026)
    assert epiphany not in holidays_of("DE-BE", 2026)
    with pytest.raises(ValueError, match="no holidays are known for `DE-XX`"):
        holidays_of("DE-XX", 2026)


# --- counted back ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("end", "duration", "expected"),
    [
        ("2026-11-21 10:40", "30m", "2026-11-21 10:10"),
        ("2026-11-21 10:40", "40m", "2026-11-21 10:00"),
        ("2026-11-21 10:40", "1h", "2026-11-20 17:10"),
        ("2026-11-23 08:30", "2h", "2026-11-21 12:00"),
        ("2026-11-18 13:40", "1h", "2026-11-18 12:10"),
        ("2026-11-21 14:00", "1bd", "2026-11-20 14:00"),
        ("2026-11-23 08:30", "1bd", "2026-11-20 17:30"),
        ("2026-11-23 11:00", "1bd", "2026-11-21 11:00"),
        ("2026-11-24 09:00", "2d", "2026-11-21 14:00"),
        ("2026-11-19 09:00", "1d", "2026-11-18 09:00"),
        ("2027-11-18 09:00", "1y", "2026-11-18 09:00"),
    ],
)
def test_counts_back(end: str, duration: str, expected: str) -> None:
    assert OFFICE.subtract(at(end), Duration.parse(duration)) == at(expected)


def test_a_step_at_or_before_the_start_is_skipped() -> None:
    start, end = at("2026-11-20 17:10"), at("2026-11-21 10:40")
    assert OFFICE.subtract(end, Duration.parse("1h"), start) is None
    assert OFFICE.subtract(end, Duration.parse("59m"), start) == at("2026-11-20 17:11")


def test_the_end_of_the_last_open_span() -> None:
    sunday = at("2026-11-22 15:00")
    assert OFFICE.end_of_last_open_span_before(sunday) == at("2026-11-21 14:00")
    assert OFFICE.end_of_last_open_span_before(sunday, at("2026-11-21 14:00")) is None
    assert OFFICE.end_of_last_open_span_before(at("2026-11-21 14:00")) == at("2026-11-21 14:00")


def test_open_between() -> None:
    week = OFFICE.open_between(at("2026-11-16 00:00"), at("2026-11-23 00:00"))
    assert week == timedelta(hours=5 * 8.5 + 4)
    assert OFFICE.open_between(at("2026-11-18 13:00"), at("2026-11-18 09:00")) == timedelta()


# --- clock changes ---------------------------------------------------------------------------

NIGHT = calendar({"mon-sun": ["00:30-02:30", "02:45-06:00"]})
SPRING, AUTUMN = "2026-03-29", "2026-10-25"  # 02:00 → 03:00, and 03:00 → 02:00


def test_the_night_that_loses_an_hour() -> None:
    # 00:30-02:00 is there, 02:00-03:00 is not, 03:00-06:00 is
    assert NIGHT.open_between(at(f"{SPRING} 00:00"), at(f"{SPRING} 12:00")) == timedelta(hours=4.5)
    assert due(f"{SPRING} 01:30", "1h", NIGHT) == f"Sun {SPRING} 03:30"
    # 02:30 does not occur: one business day ends as the clocks jump
    assert due("2026-03-28 02:20", "1bd", NIGHT) == f"Sun {SPRING} 03:00"


def test_the_night_that_has_an_hour_twice() -> None:
    first, second = at(f"{AUTUMN} 02:15"), at(f"{AUTUMN} 02:15", fold=1)
    assert second - first == timedelta(hours=1)
    assert NIGHT.is_open(first)
    assert NIGHT.is_open(second)
    assert not NIGHT.is_open(at(f"{AUTUMN} 02:35", fold=1))
    # 5:15 by the clock, and 02:00-02:30 and 02:45-03:00 once more
    assert NIGHT.open_between(at(f"{AUTUMN} 00:00"), at(f"{AUTUMN} 12:00")) == timedelta(hours=6)


def test_an_hour_is_an_hour_and_a_day_keeps_its_local_time() -> None:
    assert due("2026-03-28 20:00", "24h", ALWAYS) == f"Sun {SPRING} 21:00"
    assert due("2026-03-28 20:00", "1bd", ALWAYS) == f"Sun {SPRING} 20:00"
    assert due("2026-10-24 20:00", "24h", ALWAYS) == f"Sun {AUTUMN} 19:00"
    assert due("2026-03-27 17:10", "1h") == "Sat 2026-03-28 10:40"
    assert due("2026-03-28 13:30", "1h") == "Mon 2026-03-30 09:00"


def test_a_clock_change_at_midnight() -> None:
    beirut = ZoneInfo("Asia/Beirut")  # 2026-03-29 00:00 → 01:00; 2026-10-25 00:00 → 23:00
    shop = calendar({"mon-sun": ["00:00-02:00", "22:00-24:00"]}, zone="Asia/Beirut")
    for day, hours in ((date(2026, 3, 29), 3), (date(2026, 10, 24), 5), (date(2026, 10, 25), 4)):
        open_time = sum((end - start for start, end in shop.openings.on(day)), timedelta())
        assert open_time == timedelta(hours=hours)
    assert shop.is_open(at("2026-03-29 01:30", beirut))


def test_a_date_that_does_not_exist() -> None:
    apia = calendar({"mon-sun": ["08:00-16:00"]}, zone="Pacific/Apia")
    assert apia.openings.on(date(2011, 12, 30)) == ()
    start = datetime(2011, 12, 29, 15, tzinfo=ZoneInfo("Pacific/Apia")).astimezone(UTC)
    ends = apia.add(start, Duration.parse("1bd")).at.astimezone(ZoneInfo("Pacific/Apia"))
    assert f"{ends:%Y-%m-%d %H:%M}" == "2011-12-31 15:00"


# --- calendars that cannot be ----------------------------------------------------------------


def test_a_calendar_that_never_opens() -> None:
    closed = calendar({})
    assert not closed.openings.ever()
    for duration in ("1h", "1bd", "3d"):
        with pytest.raises(NeverOpen, match="no target can be met"):
            closed.add(at("2026-11-18 09:00"), Duration.parse(duration))
    assert closed.subtract(at("2026-11-18 09:00"), Duration.parse("1h")) is None
    assert closed.end_of_last_open_span_before(at("2026-11-18 09:00")) is None


def test_one_open_date_a_year_is_enough_for_an_hour_but_not_for_ten() -> None:
    fair = calendar({}, exceptions={"2027-06-01": ["10:00-18:00"]})
    assert due("2026-11-18 09:00", "8h", fair) == "Tue 2027-06-01 18:00"
    with pytest.raises(NeverOpen):
        fair.add(at("2026-11-18 09:00"), Duration.parse("9h"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("8:30-12:30", "08:30-12:30"),
        ("22:00-06:00", '"22:00-24:00" and, on the next day, "00:00-06:00"'),
        ("08:30-24:30", "24:00 is the latest"),
        ("08:30", "no span"),
        (830, "no span"),
    ],
)
def test_wrong_spans(text: object, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Span.parse(text)


def test_wrong_days_and_overlaps() -> None:
    assert days_named("sat") == (5,)
    for wrong in ("fri-mon", "fryday", "mon-", ""):
        with pytest.raises(ValueError, match="`"):
            days_named(wrong)
    morning, late_morning = Span.parse("08:30-12:30"), Span.parse("12:00-13:00")
    with pytest.raises(ValueError, match="08:30-12:30 and 12:00-13:00 overlap"):
        in_order([late_morning, morning])
    with pytest.raises(ValueError, match="fri is given twice"):
        week_of({"mon-fri": [morning], "fri": [morning]})


# --- what always holds -----------------------------------------------------------------------


def open_by_the_clock_on_the_wall(which: Calendar, moment: datetime) -> bool:
    """A second opinion: looks at the local clock only, and counts a closing time as open."""
    local = moment.astimezone(which.openings.zone)
    minutes = timedelta(hours=local.hour, minutes=local.minute, seconds=local.second)
    minutes += timedelta(microseconds=local.microsecond)
    spans = which.openings.spans(local.date())
    midnight_closing = minutes == timedelta() and any(
        span.end == 24 * 60 for span in which.openings.spans(local.date() - timedelta(days=1))
    )
    return midnight_closing or any(
        timedelta(minutes=span.start) <= minutes <= timedelta(minutes=span.end) for span in spans
    )


def closes_in_a_skipped_hour(which: Calendar, moment: datetime) -> bool:
    """A span whose end the clocks skip closes at the skip, where the wall shows the time after."""
    local = moment.astimezone(which.openings.zone)
    return any(moment == end for _, end in which.openings.on(local.date()))


HOURS = st.sampled_from(
    [
        OFFICE_HOURS,
        {"mon-sun": ["00:00-24:00"]},
        {"tue": ["00:15-02:30", "02:31-03:00"], "sat-sun": ["00:00-02:30", "22:00-24:00"]},
        {"wed": ["12:00-12:01"]},
    ]
)
ZONES = st.sampled_from(
    ["Europe/Amsterdam", "America/New_York", "Australia/Lord_Howe", "Asia/Beirut", "Asia/Kolkata"]
)
CALENDARS = st.builds(
    lambda hours, zone: calendar(hours, zone=zone, holidays=("NL",)), HOURS, ZONES
)


def around_a_clock_change() -> st.SearchStrategy[datetime]:
    days = st.sampled_from(
        [date(2026, 3, 27), date(2026, 10, 23), date(2026, 4, 3), date(2026, 3, 7)]
    )
    seconds = st.integers(0, 6 * 86_400)
    return st.builds(
        lambda day, s: datetime.combine(day, time(), UTC) + timedelta(seconds=s), days, seconds
    )


INSTANTS = st.one_of(
    around_a_clock_change(),
    st.integers(0, 5 * 366 * 86_400).map(
        lambda seconds: datetime(2025, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    ),
)
OPEN_TIME = st.builds(Duration, st.integers(1, 600), st.just("m"))
TARGETS = st.one_of(
    OPEN_TIME,
    st.builds(Duration, st.integers(1, 12), st.just("bd")),
    st.builds(Duration, st.integers(1, 30), st.just("d")),
)


@settings(max_examples=150, deadline=None)
@given(CALENDARS, INSTANTS, TARGETS)
def test_never_due_in_closed_time(which: Calendar, start: datetime, target: Duration) -> None:
    ends = which.add(start, target).at
    assert ends > start
    assert open_by_the_clock_on_the_wall(which, ends) or closes_in_a_skipped_hour(which, ends)


@settings(max_examples=100, deadline=None)
@given(CALENDARS, INSTANTS, TARGETS, st.integers(1, 50))
def test_more_time_is_never_earlier(
    which: Calendar, start: datetime, target: Duration, more: int
) -> None:
    longer = Duration(target.amount + more, target.unit)
    assert which.add(start, target).at <= which.add(start, longer).at


@settings(max_examples=100, deadline=None)
@given(CALENDARS, INSTANTS, INSTANTS, OPEN_TIME)
def test_starting_later_is_never_due_earlier(
    which: Calendar, one: datetime, other: datetime, target: Duration
) -> None:
    early, late = sorted((one, other))
    assert which.add(early, target).at <= which.add(late, target).at


@settings(max_examples=80, deadline=None)
@given(CALENDARS, INSTANTS, OPEN_TIME)
def test_adding_and_measuring_agree(which: Calendar, start: datetime, target: Duration) -> None:
    ends = which.add(start, target).at
    assert which.open_between(start, ends) == target.timedelta()


@settings(max_examples=100, deadline=None)
@given(CALENDARS, INSTANTS, OPEN_TIME)
def test_counting_back_undoes_counting_on(
    which: Calendar, start: datetime, target: Duration
) -> None:
    back = which.subtract(which.add(start, target).at, target)
    assert back is not None
    assert which.open_between(*sorted((back, start))) == timedelta()


@settings(max_examples=60, deadline=None)
@given(CALENDARS, INSTANTS)
def test_is_open_is_what_the_wall_clock_says(which: Calendar, moment: datetime) -> None:
    local = moment.astimezone(which.openings.zone)
    minutes = local.hour * 60 + local.minute
    spans = which.openings.spans(local.date())
    assert which.is_open(moment) == any(span.start <= minutes < span.end for span in spans)
    assert which.is_open(which.next_opening(moment))


@settings(max_examples=60, deadline=None)
@given(CALENDARS, INSTANTS, st.integers(0, 600), st.integers(0, 600))
def test_open_time_adds_up(which: Calendar, start: datetime, one: int, other: int) -> None:
    middle, end = start + timedelta(hours=one), start + timedelta(hours=one + other)
    parts = which.open_between(start, middle) + which.open_between(middle, end)
    assert parts == which.open_between(start, end)
