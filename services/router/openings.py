"""When a calendar is open: weekly hours, holidays and exceptions, as instants.

Hours are local wall time. An instant is open when its local date has a span that holds its local
time. So on the day a clock goes forward the missing hour is nobody's, and on the day it goes back
the hour that occurs twice is open twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

import holidays
import holidays.countries  # all tables now, rather than with somebody's first message

from shared.wall import offset_of, transition

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_ONE_DAY: Final = timedelta(days=1)
_SPAN: Final = re.compile(r"([01]\d|2[0-4]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)", re.ASCII)
_MOST_DATES_KNOWN: Final = 4096

Interval = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Open from `start` up to, not including, `end`: minutes after local midnight, end ≤ 24:00."""

    start: int
    end: int

    @classmethod
    def parse(cls, text: object) -> Span:
        """Reads `08:30-12:30`. Raises ValueError that says what would be right."""
        if not isinstance(text, str) or (match := _SPAN.fullmatch(text)) is None:
            raise ValueError(f'`{text}` is no span of hours: write "08:30-12:30", in quotes')
        hour, minute, end_hour, end_minute = map(int, match.groups())
        span = cls(hour * 60 + minute, end_hour * 60 + end_minute)
        if span.end > 24 * 60:
            raise ValueError(f"`{text}` ends after midnight: 24:00 is the latest")
        if span.start >= span.end:
            raise ValueError(
                f"`{text}` ends before it starts: a span over midnight is written in two, "
                f'"{text[:5]}-24:00" and, on the next day, "00:00-{text[6:]}"'
            )
        return span

    def __str__(self) -> str:
        return "-".join(f"{at // 60:02}:{at % 60:02}" for at in (self.start, self.end))


ALL_DAY: Final = Span(0, 24 * 60)
Week = tuple[tuple[Span, ...], ...]


def days_named(text: str) -> tuple[int, ...]:
    """`mon-fri` or `sat` as weekday numbers, Monday 0. Raises ValueError."""
    first, dash, last = text.partition("-")
    last = last if dash else first
    if first not in DAYS or last not in DAYS:
        raise ValueError(f"`{text}` is no day: write mon … sun, or a range such as mon-fri")
    start, end = DAYS.index(first), DAYS.index(last)
    if start > end:
        raise ValueError(f"`{text}` runs backwards: a range goes from mon towards sun")
    return tuple(range(start, end + 1))


def week_of(hours: Mapping[str, Sequence[Span]]) -> Week:
    """`{mon-fri: […], sat: […]}` as seven days. Raises ValueError for a day given twice."""
    week: list[tuple[Span, ...]] = [()] * 7
    given: dict[int, str] = {}
    for names, spans in hours.items():
        for day in days_named(names):
            if day in given:
                raise ValueError(f"{DAYS[day]} is given twice, by `{given[day]}` and by `{names}`")
            given[day] = names
            week[day] = in_order(spans)
    return tuple(week)


def in_order(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Sorted. Raises ValueError for two that overlap."""
    ordered = tuple(sorted(spans))
    for one, other in pairwise(ordered):
        if other.start < one.end:
            raise ValueError(f"{one} and {other} overlap")
    return ordered


@dataclass(frozen=True, eq=False)
class Openings:
    """The hours of one calendar. Built once, then only read; what was computed is kept per date.

    holidays    public holidays that close it: a country or a subdivision, `NL`, `DE-BY`
    exceptions  the hours of single dates; they replace the week's and override holidays
    """

    zone: ZoneInfo
    week: Week
    holidays: tuple[str, ...] = ()
    exceptions: Mapping[date, tuple[Span, ...]] = field(default_factory=dict)
    _known: dict[date, tuple[Interval, ...]] = field(default_factory=dict, init=False, repr=False)

    def ever(self) -> bool:
        """False for a calendar without any hours, in which no target can be met."""
        return any(self.week) or any(self.exceptions.values())

    def spans(self, day: date) -> tuple[Span, ...]:
        """The local hours of a date; empty when closed."""
        if day in self.exceptions:
            return self.exceptions[day]
        if any(day in holidays_of(region, day.year) for region in self.holidays):
            return ()
        return self.week[day.weekday()]

    def on(self, day: date) -> tuple[Interval, ...]:
        """The same as instants in UTC, in order, each [start, end)."""
        known = self._known.get(day)
        if known is None:
            if len(self._known) >= _MOST_DATES_KNOWN:
                self._known.clear()
            known = self._known[day] = _instants(self.zone, day, self.spans(day))
        return known


@lru_cache(maxsize=512)
def holidays_of(region: str, year: int) -> frozenset[date]:
    """The public holidays of `NL` or `DE-BY`. Raises ValueError for a region nobody knows."""
    country, _, subdivision = region.partition("-")
    try:
        return frozenset(holidays.country_holidays(country, subdiv=subdivision or None, years=year))
    except NotImplementedError as error:
        raise ValueError(f"no holidays are known for `{region}`: {error}") from None


def _instants(zone: ZoneInfo, day: date, spans: Sequence[Span]) -> tuple[Interval, ...]:
    midnight = datetime.combine(day, time())
    before = offset_of(midnight.replace(tzinfo=zone, fold=0))
    after = offset_of((midnight + _ONE_DAY).replace(tzinfo=zone, fold=1))
    # Wall time read as if it were UTC, so that an offset turns it into an instant.
    walls = [
        tuple(midnight.replace(tzinfo=UTC) + timedelta(minutes=at) for at in (s.start, s.end))
        for s in spans
    ]
    if before == after:
        return _merged((start - before, end - before) for start, end in walls)
    start_of_day, end_of_day = (midnight.replace(tzinfo=UTC) + n * _ONE_DAY for n in (0, 1))
    change = transition(zone, start_of_day - before - _ONE_DAY, end_of_day - after + _ONE_DAY)
    first = ((start - before, min(end - before, change)) for start, end in walls)
    second = ((max(start - after, change), end - after) for start, end in walls)
    return _merged(sorted((a, b) for a, b in (*first, *second) if a < b))


def _merged(intervals: Iterable[Interval]) -> tuple[Interval, ...]:
    merged: list[Interval] = []
    for start, end in intervals:
        if merged and merged[-1][1] == start:
            merged[-1] = (merged[-1][0], end)
        else:
            merged.append((start, end))
    return tuple(merged)
