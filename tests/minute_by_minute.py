"""Working time counted minute by minute: slow, and written from the policy file's words alone.

The oracle of the deadline tests. It looks at the clock on the wall in every minute and at nothing
else: no intervals, no zone arithmetic, no code of the services. Holidays are worked out from Easter
and the calendar, so that a library's table has a second opinion too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo

Spans = tuple[tuple[int, int], ...]  # [start, end) in minutes of the local day

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE: Final = timedelta(minutes=1)
_DAY: Final = timedelta(days=1)
_QUARTER: Final = 15  # every zone here has changed its clocks on a quarter of an hour


@dataclass(frozen=True)
class Shop:
    """A calendar: the hours of Monday to Sunday, a region's holidays, other hours on some dates."""

    zone: str
    week: tuple[Spans, ...]
    region: str = ""
    exceptions: Mapping[date, Spans] = field(default_factory=dict)
    _seen: dict[int, tuple[tuple[int, bool], ...]] = field(default_factory=dict, compare=False)

    def hours_on(self, day: date) -> Spans:
        """Exceptions replace a date's hours and override holidays."""
        if day in self.exceptions:
            return self.exceptions[day]
        if self.region and day in HOLIDAYS[self.region](day.year):
            return ()
        return self.week[day.weekday()]

    # --- one minute ------------------------------------------------------------------------

    def wall(self, minute: int) -> int:
        """What the clock shows in a minute since 1970, as minutes since the year 1."""
        return self._minutes(minute // 1440)[minute % 1440][0]

    def is_open(self, minute: int) -> bool:
        return self._minutes(minute // 1440)[minute % 1440][1]

    def _minutes(self, utc_day: int) -> tuple[tuple[int, bool], ...]:
        if utc_day not in self._seen:
            zone = ZoneInfo(self.zone)
            shown: list[tuple[int, bool]] = []
            for quarter in range(1440 // _QUARTER):
                now = _EPOCH + utc_day * _DAY + quarter * _QUARTER * _MINUTE
                local = now.astimezone(zone)
                for on in range(_QUARTER):
                    clock = local.replace(tzinfo=None) + on * _MINUTE  # over midnight as well
                    of_day = clock.hour * 60 + clock.minute
                    is_open = any(a <= of_day < b for a, b in self.hours_on(clock.date()))
                    shown.append((clock.toordinal() * 1440 + of_day, is_open))
            self._seen[utc_day] = tuple(shown)
        return self._seen[utc_day]

    # --- open time -------------------------------------------------------------------------

    def add_open_time(self, start: datetime, left: timedelta) -> datetime:
        """m and h: only open minutes count; what ends with a span's last is due as it closes."""
        minute, at = minute_of(start), start
        while True:
            room = moment(minute + 1) - at
            if self.is_open(minute):
                if left <= room:
                    return at + left
                left -= room
            minute += 1
            at = moment(minute)

    def subtract_open_time(self, due: datetime, left: timedelta) -> datetime:
        end = due
        minute = minute_of(due - timedelta(microseconds=1))
        while True:
            room = end - moment(minute)
            if self.is_open(minute):
                if left <= room:
                    return end - left
                left -= room
            end = moment(minute)
            minute -= 1

    def open_between(self, start: datetime, end: datetime) -> timedelta:
        total = timedelta()
        for minute in range(minute_of(start), minute_of(end) + 1):
            if self.is_open(minute):
                within = min(end, moment(minute + 1)) - max(start, moment(minute))
                total += max(within, timedelta())
        return total

    # --- open dates ------------------------------------------------------------------------

    def add_open_dates(self, start: datetime, number: int) -> datetime:
        """bd: to the next opening, then so many open dates on at that local time."""
        at = self.next_opening(start)
        day = self._dates_away(self.local(at).date(), number, 1)
        due = self.first_shows(datetime.combine(day, self.local(at).time()))
        return due if self.open_or_closing(due) else self.next_opening(due)

    def subtract_open_dates(self, due: datetime, number: int) -> datetime:
        """The mirror of it: so many open dates back; closed then means the closing before."""
        local = self.local(due)
        day = self._dates_away(local.date(), number, -1)
        at = self.first_shows(datetime.combine(day, local.time()))
        if self.is_open(minute_of(at)):
            return at
        minute = minute_of(at)
        while not self.is_open(minute - 1):
            minute -= 1
        return moment(minute)

    def next_opening(self, at: datetime) -> datetime:
        minute = minute_of(at)
        if self.is_open(minute):
            return at
        while not self.is_open(minute):
            minute += 1
        return moment(minute)

    def open_or_closing(self, at: datetime) -> bool:
        minute = minute_of(at)
        return self.is_open(minute) or (at == moment(minute) and self.is_open(minute - 1))

    def _dates_away(self, day: date, number: int, step: int) -> date:
        while number:
            day += step * _DAY
            number -= self.has_open_minute(day)
        return day

    def has_open_minute(self, day: date) -> bool:
        if not self.hours_on(day):
            return False
        first = day.toordinal() * 1440
        around = minute_of(datetime.combine(day, time(), UTC))
        return any(
            self.is_open(minute) and first <= self.wall(minute) < first + 1440
            for minute in range(around - 15 * 60, around + 39 * 60)
        )

    # --- clocks on the wall ----------------------------------------------------------------

    def local(self, at: datetime) -> datetime:
        """What the clock on the wall shows."""
        return at.astimezone(ZoneInfo(self.zone)).replace(tzinfo=None)

    def first_shows(self, wall: datetime) -> datetime:
        """The first instant at which the clock shows that, or, where it never does, more."""
        wanted = wall.toordinal() * 1440 + wall.hour * 60 + wall.minute
        minute = minute_of(wall.replace(tzinfo=UTC)) - 15 * 60
        while self.wall(minute) < wanted:
            minute += 1
        if self.wall(minute) > wanted:
            return moment(minute)
        return moment(minute) + timedelta(seconds=wall.second, microseconds=wall.microsecond)


def minute_of(at: datetime) -> int:
    return (at - _EPOCH) // _MINUTE


def moment(minute: int) -> datetime:
    return _EPOCH + minute * _MINUTE


# --- holidays, worked out ----------------------------------------------------------------------


def easter(year: int) -> date:
    """The Sunday after the first full moon of spring (Gauss, with Lichtenberg's correction)."""
    century, golden = year // 100, year % 19
    moon = 15 + (3 * century + 3) // 4 - (8 * century + 13) // 25
    age = (19 * golden + moon) % 30
    late = (age + golden // 11) // 29
    boundary = 21 + age - late
    sunday = 7 - (year + year // 4 + 2 - (3 * century + 3) // 4) % 7
    days_after = 7 - (boundary - sunday) % 7
    return date(year, 3, 1) + (boundary + days_after - 1) * _DAY


def _after_easter(year: int, *days: int) -> set[date]:
    return {easter(year) + days_after * _DAY for days_after in days}


def _weekday(year: int, month: int, number: int, weekday: int = 0) -> date:
    """The first Monday is number 1, the last is -1."""
    days = [
        day for n in range(31) if (day := date(year, month, 1) + n * _DAY).month == month
        and day.weekday() == weekday
    ]  # fmt: skip
    return days[number - 1 if number > 0 else number]


@cache
def _netherlands(year: int) -> frozenset[date]:
    """King's Day is not on a Sunday; Liberation Day is a day off every five years."""
    kings = date(year, 4, 27)
    days = {date(year, 1, 1), date(year, 12, 25), date(year, 12, 26)}
    days.add(kings - _DAY if kings.weekday() == 6 else kings)
    if year % 5 == 0:
        days.add(date(year, 5, 5))
    return frozenset(days | _after_easter(year, -2, 0, 1, 39, 49, 50))


@cache
def _bavaria(year: int) -> frozenset[date]:
    """But for Assumption, a holiday in its Catholic municipalities only."""
    fixed = [(1, 1), (1, 6), (5, 1), (10, 3), (11, 1), (12, 25), (12, 26)]
    return frozenset({date(year, *day) for day in fixed} | _after_easter(year, -2, 1, 39, 50, 60))


@cache
def _england(year: int) -> frozenset[date]:
    """One on a weekend has a substitute on the next day that is no weekend and not off already."""
    days = {_weekday(year, 5, 1), _weekday(year, 5, -1), _weekday(year, 8, -1)}
    days |= _after_easter(year, -2, 1)
    fixed = [date(year, 1, 1), date(year, 12, 25), date(year, 12, 26)]
    for day in fixed:
        while day.weekday() > 4 or day in days:
            day += _DAY
        days.add(day)
    return frozenset(days | set(fixed))


@cache
def _united_states(year: int) -> frozenset[date]:
    """One on a Saturday is kept on the Friday before as well, one on a Sunday on the Monday."""
    days = {
        _weekday(year, 1, 3), _weekday(year, 2, 3), _weekday(year, 5, -1), _weekday(year, 9, 1),
        _weekday(year, 10, 2), _weekday(year, 11, 4, 3),
    }  # fmt: skip
    fixed = [(1, 1), (6, 19), (7, 4), (11, 11), (12, 25)]
    for day in (*(date(year, *each) for each in fixed), date(year + 1, 1, 1)):
        days |= {day, day + {5: -_DAY, 6: _DAY}.get(day.weekday(), timedelta())}
    return frozenset(day for day in days if day.year == year)


HOLIDAYS: Final[Mapping[str, Callable[[int], frozenset[date]]]] = {
    "NL": _netherlands,
    "DE-BY": _bavaria,
    "GB-ENG": _england,
    "US": _united_states,
}
