"""The pure parts of the reports: periods, shares, groups, and cells of a spreadsheet."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from services.router.reports import REPORTS, service_levels
from services.router.reports.figures import Share, spread, total
from services.router.reports.periods import Range
from services.router.reports.questions import Question, group_of
from services.router.reports.sheets import sheet
from shared.errors import Invalid
from tests.builders import NOON

AMSTERDAM = ZoneInfo("Europe/Amsterdam")


def span(since: str | None, until: str | None, zone: ZoneInfo = AMSTERDAM) -> tuple[str, str]:
    found = Range.parse(since, until, zone, NOON)
    return tuple(f"{at:%Y-%m-%d %H:%M}" for at in (found.since, found.until))  # type: ignore[return-value]


# --- periods ---------------------------------------------------------------------------------


def test_by_default_it_is_today_and_the_29_days_before() -> None:
    """Over the end of summer time: thirty days by the calendar are an hour more."""
    assert span(None, None) == ("2026-10-18 22:00", "2026-11-17 23:00")
    assert span("2026-11-16", None) == ("2026-11-15 23:00", "2026-11-17 23:00")
    assert span(None, "2026-11-17T10:00:00+01:00") == ("2026-10-18 08:00", "2026-11-17 09:00")


def test_a_date_is_a_whole_local_day_and_a_time_is_an_instant() -> None:
    assert span("2026-03-29", "2026-03-29") == ("2026-03-28 23:00", "2026-03-29 22:00")
    assert span("2026-10-25", "2026-10-25") == ("2026-10-24 22:00", "2026-10-25 23:00")
    plus = "2026-11-17T00:00:00+01:00"
    assert span(plus, "2026-11-17T00:00:00Z") == ("2026-11-16 23:00", "2026-11-17 00:00")
    assert span(plus.replace("+", " "), "2026-11-17") == ("2026-11-16 23:00", "2026-11-17 23:00")


@pytest.mark.parametrize(
    ("since", "until"),
    [
        ("soon", None), ("2026-02-30", None), ("2026-11-17T00:00:00", None), ("20261117", None),
        ("2026-11-18", "2026-11-17"), ("2010-01-01", "2026-01-01"), ("0001-01-01", None),
        (None, "9999-12-31"), ("9999-12-31T23:59:59-12:00", None),
    ],
)  # fmt: skip
def test_what_is_no_period_is_refused(since: str | None, until: str | None) -> None:
    with pytest.raises(Invalid):
        span(since, until)


def test_periods_hold_each_instant_once() -> None:
    asked = Range.parse("2026-03-27T12:00:00Z", "2026-11-02", AMSTERDAM, NOON)
    for unit, most in (("day", 25), ("week", 7 * 24 + 1), ("month", 31 * 24 + 1)):
        starts = asked.starts(unit)
        assert starts[0] <= asked.since < starts[1]
        assert starts[-1] < asked.until
        assert starts == sorted(set(starts))
        steps = {after - at for at, after in pairwise(starts)}
        assert max(steps) == timedelta(hours=most), "the day on which it goes back"
        assert len(starts) == len(asked.first_days(unit))


def test_a_day_without_a_midnight_begins_when_the_clock_has_jumped() -> None:
    """In Santiago the clock goes forward at midnight: that day has no 00:00."""
    santiago = ZoneInfo("America/Santiago")
    asked = Range.parse("2026-09-05", "2026-09-07", santiago, NOON)
    assert [at.strftime("%d %H:%M") for at in asked.starts("day")] == [
        "05 04:00", "06 04:00", "07 03:00"
    ]  # fmt: skip


# --- figures ---------------------------------------------------------------------------------


def test_nothing_has_no_share_and_no_median() -> None:
    assert Share("share", "a", ("a", "b")).of({"a": 0, "b": 0}) is None
    assert Share("share", "a", ("a", "b")).of({"a": 1, "b": 2}) == 0.3333
    assert spread("median", "p90", "x").read(None) == {"median": None, "p90": None}
    assert spread("median", "p90", "x").read([1.23456, 2]) == {"median": 1.2346, "p90": 2}
    assert total("sum", "x").read(None) == {"sum": 0}


def test_every_figure_has_a_name_of_its_own() -> None:
    for report in REPORTS.values():
        for table in (report.main, *report.parts.values()):
            assert len(set(table.names)) == len(table.names)
            assert not set(table.names) & {*table.own, *report.by}, report.name
            assert not table.worst or table.worst in table.names


# --- questions -------------------------------------------------------------------------------


def question(*by: str) -> Question:
    asked = Range.parse("2026-11-16", "2026-11-17", AMSTERDAM, NOON)
    return Question(service_levels.REPORT.main, asked, by=by)


def test_what_a_group_shows_finds_it_again() -> None:
    asked = question("day", "priority", "agent")
    row = {"metric": "update", "day": 2, "priority": 1, "agent": ""}
    shown = asked.shown(row)
    assert shown == {"metric": "update", "day": "2026-11-17", "priority": "high", "agent": ""}
    _, values = asked.cases("met", shown, "id")
    assert [values[f"g{i}"] for i in range(4)] == ["update", "2", "1", ""]


@pytest.mark.parametrize(
    "group", [{"team": "x"}, {"day": "2026-11-20"}, {"priority": "mild"}, {"day": 1}]
)
def test_a_group_that_no_item_has_is_refused(group: dict[str, str]) -> None:
    with pytest.raises(Invalid):
        question("day", "priority").cases("", group, "id")


@pytest.mark.parametrize("written", ["x", "[]", '{"day": [1]}', '{"day": {}}', "null"])
def test_a_group_is_an_object(written: str) -> None:
    with pytest.raises(Invalid):
        group_of(written)


# --- cells -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cell",
    ["=1+1", "+31612345678", "-2", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", '=HYPERLINK("x")'],
)
def test_no_cell_runs_as_a_formula(cell: str) -> None:
    (_, row) = csv.reader(io.StringIO(sheet(["a"], [{"a": cell}]), newline=""))
    assert row == [f"'{cell}"]


def test_numbers_times_and_nothing_are_written_plainly() -> None:
    at = datetime(2026, 11, 17, 9, tzinfo=UTC)
    row = {"a": -1.5, "b": None, "c": at, "d": 'said "no", and left', "e": "a=b"}
    head, line = csv.reader(io.StringIO(sheet(list(row), [row])))
    assert head == ["a", "b", "c", "d", "e"]
    assert line == ["-1.5", "", "2026-11-17T09:00:00Z", 'said "no", and left', "a=b"]
