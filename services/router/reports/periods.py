"""From when to when a report tells, and its days, weeks and months: in the policy's time zone.

A period begins at its first local midnight, so a day on which the clock changes has 23 or 25 hours.
The boundaries are computed here, with the tables the calendars use, not by the database's own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from services.router.openings import wall_to_utc
from shared.errors import Invalid

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

    def first_days(self, unit: str) -> list[date]:
        """Of the days, weeks (from Monday) or months that the range touches."""
        day = self.since.astimezone(self.zone).date()
        if unit == "week":
            day -= timedelta(days=day.weekday())
        elif unit == "month":
            day = day.replace(day=1)
        days = []
        while wall_to_utc(self.zone, datetime.combine(day, time())) < self.until:
            days.append(day)
            day = _next(day, unit)
        return days

    def starts(self, unit: str) -> list[datetime]:
        """The same as instants."""
        return [
            wall_to_utc(self.zone, datetime.combine(day, time())) for day in self.first_days(unit)
        ]


def _next(day: date, unit: str) -> date:
    if unit == "month":
        return (day + timedelta(days=31)).replace(day=1)
    return day + (7 * _DAY if unit == "week" else _DAY)


def _instant(name: str, given: str, zone: ZoneInfo, *, last: bool = False) -> datetime:
    text = given.strip().replace(" ", "+")  # a plus that was not encoded
    try:
        if _DATE.fullmatch(text):
            day = date.fromisoformat(text)
            return wall_to_utc(zone, datetime.combine(day + _DAY if last else day, time()))
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except ValueError:
        pass
    raise Invalid(f"`{name}` is no time: write 2026-11-17T09:00:00Z, or the date 2026-11-17")


def _after(zone: ZoneInfo, now: datetime) -> datetime:
    """The end of today."""
    return wall_to_utc(zone, datetime.combine(now.astimezone(zone).date() + _DAY, time()))


def _before(zone: ZoneInfo, end: datetime) -> datetime:
    """Thirty days earlier by the calendar, at the same time of day."""
    wall = end.astimezone(zone).replace(tzinfo=None)
    return wall_to_utc(zone, wall - timedelta(days=_DAYS))
