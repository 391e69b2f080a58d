"""From when to when a report tells, and its days, weeks and months: in the policy's time zone.

A period begins at its first local midnight, so a day on which the clock changes has 23 or 25 hours.
The boundaries are computed here, with the tables the calendars use, not by the database's own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from shared.errors import Invalid
from shared.wall import wall_to_utc

_DAY: Final = timedelta(days=1)
_LONGEST: Final = timedelta(days=3660)
_DAYS: Final = 30
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


@dataclass(frozen=True, slots=True)
class Range:
    """Instants in UTC, [since, until)."""

    since: datetime
    until: datetime
    zone: ZoneInfo

    @classmethod
    def parse(cls, since: str | None, until: str | None, zone: ZoneInfo, now: datetime) -> Range:
        """RFC 3339 times, or dates in `zone`, the last one included. By default today and the 29
        days before. Raises Invalid."""
        try:
            end = _instant("to", until, zone, last=True) if until else _after(zone, now)
            start = _instant("from", since, zone) if since else _before(zone, end)
        except OverflowError:
            raise Invalid("`from` and `to` have to be dates of our times") from None
        if start >= end:
            raise Invalid("`to` has to be later than `from`")
        if end - start > _LONGEST:
            raise Invalid("a report tells of ten years at most: choose `from` and `to` nearer")
        return cls(start, end, zone)

    def first_days(self, unit: str) -> Sequence[date]:
        """Of the days, weeks (from Monday) or months that the range touches."""
        return _first_days(self, unit)

    def starts(self, unit: str) -> list[datetime]:
        """The same as instants."""
        return [_start(self.zone, day) for day in self.first_days(unit)]


@lru_cache(maxsize=64)
def _first_days(asked: Range, unit: str) -> Sequence[date]:
    """Each line of an answer asks for them."""
    day = asked.since.astimezone(asked.zone).date()
    if unit == "week":
        day -= timedelta(days=day.weekday())
    elif unit == "month":
        day = day.replace(day=1)
    days = []
    while _start(asked.zone, day) < asked.until:
        days.append(day)
        day = _next(day, unit)
    return tuple(days)


def _start(zone: ZoneInfo, day: date) -> datetime:
    return wall_to_utc(zone, datetime.combine(day, time()))


def _next(day: date, unit: str) -> date:
    if unit == "month":
        return (day + timedelta(days=31)).replace(day=1)
    return day + (7 * _DAY if unit == "week" else _DAY)


def _instant(name: str, given: str, zone: ZoneInfo, *, last: bool = False) -> datetime:
    text = given.strip().replace(" ", "+")  # a plus that was not encoded
    try:
        if _DATE.fullmatch(text):
            day = date.fromisoformat(text)
            return _start(zone, day + _DAY if last else day)
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except ValueError:
        pass
    raise Invalid(f"`{name}` is no time: write 2026-11-17T09:00:00Z, or the date 2026-11-17")


def _after(zone: ZoneInfo, now: datetime) -> datetime:
    """The end of today."""
    return _start(zone, now.astimezone(zone).date() + _DAY)


def _before(zone: ZoneInfo, end: datetime) -> datetime:
    """Thirty days earlier by the calendar, at the same time of day."""
    wall = end.astimezone(zone).replace(tzinfo=None)
    return wall_to_utc(zone, wall - timedelta(days=_DAYS))
