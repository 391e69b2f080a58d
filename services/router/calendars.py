"""Arithmetic in working time: when is something due that takes an hour, or two business days?

    s m h   open time of the calendar. A clock that lands on a closing time is due then.
    bd      a start in closed time first moves to the next opening; then that many open dates on,
            at that local time; closed then means the next opening, a closing time is due then.
            A half day is an open date.
    d y     calendar days and years on, at the same local time; closed then: the next opening.

So nothing is ever due in closed time. All instants, in and out, are aware and in UTC.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final, assert_never

from services.router.openings import DAYS, Interval, Openings
from shared.durations import Duration, add_years
from shared.wall import wall_to_utc

_ONE_DAY: Final = timedelta(days=1)
# A calendar closed for longer than this will not open: a leap-year holiday is four years off.
_HORIZON_DAYS: Final = 5 * 366


class NeverOpen(ValueError):
    """The calendar has no (further) opening, so nothing can be due in it."""


@dataclass(frozen=True, slots=True)
class Due:
    """When a clock that began at `start` ends, and the words that explain it."""

    at: datetime
    start: datetime
    duration: Duration
    calendar: Calendar

    @property
    def words(self) -> str:
        """``1h in `office` from Fri 17:10 = Sat 10:40``, in the calendar's local time."""
        start, due = (
            moment.astimezone(self.calendar.openings.zone) for moment in (self.start, self.at)
        )
        far = due.date() - start.date() > 5 * _ONE_DAY
        return (
            f"{self.duration} in `{self.calendar.name}` "
            f"from {_clock(start, far)} = {_clock(due, far)}"
        )


@dataclass(frozen=True, eq=False)
class Calendar:
    """A named set of opening hours, and the arithmetic in it."""

    name: str
    openings: Openings

    def is_open(self, at: datetime) -> bool:
        """Spans are [start, end): at a closing time it is closed."""
        return any(start <= at < end for start, end in self.openings.on(self._date(at)))

    def next_opening(self, at: datetime) -> datetime:
        """`at` itself when open, else the start of the next span. Raises NeverOpen."""
        for start, end in self.openings.on(self._date(at)):
            if at < end:
                return max(start, at)
        return next(self._forward(at))[0]

    def add(self, start: datetime, duration: Duration) -> Due:
        """When a clock of this duration, begun at `start`, is due. Raises NeverOpen."""
        match duration.unit:
            case "s" | "m" | "h":
                at = self._add_open_time(start, duration.timedelta())
            case "bd":
                at = self._add_open_dates(start, duration.amount)
            case "d":
                at = self._settle(self._local(start) + duration.timedelta())
            case "y":
                at = self._settle(add_years(self._local(start), duration.amount))
            case _:
                assert_never(duration.unit)
        return Due(at, start, duration, self)

    def subtract(
        self, due: datetime, duration: Duration, not_before: datetime | None = None
    ) -> datetime | None:
        """The same counted back, for a warning before `due`.

        Days back that land in closed time give the closing before. None when the step falls at or
        before `not_before`, the start of the clock, or before the calendar's first opening.
        """
        try:
            at = self._subtract(due, duration)
        except NeverOpen:
            return None
        return None if not_before is not None and at <= not_before else at

    def later(self, at: datetime, open_time: timedelta) -> datetime:
        """The instant so much open time after `at`; `at` itself for none. Raises NeverOpen."""
        return self._add_open_time(at, open_time) if open_time > timedelta() else at

    def open_between(self, start: datetime, end: datetime) -> timedelta:
        """The open time from `start` to `end`; zero when `end` is not later."""
        total = timedelta()
        day, last = self._date(start), self._date(end)
        while day <= last:
            for opens, closes in self.openings.on(day):
                total += max(min(closes, end) - max(opens, start), timedelta())
            day += _ONE_DAY
        return total

    def end_of_last_open_span_before(
        self, at: datetime, not_before: datetime | None = None
    ) -> datetime | None:
        """The latest closing time up to and including `at`, but later than `not_before`."""
        try:
            closing = next(end for _, end in self._backward(at) if end <= at)
        except NeverOpen:
            return None
        return None if not_before is not None and closing <= not_before else closing

    def explain(self, start: datetime, duration: Duration) -> str:
        """The arithmetic in words, see `Due.words`. Raises NeverOpen."""
        return self.add(start, duration).words

    # --- open time -------------------------------------------------------------------------

    def _add_open_time(self, start: datetime, left: timedelta) -> datetime:
        for opens, closes in self._forward(start):
            begin = max(opens, start)
            if left <= closes - begin:
                return begin + left
            left -= closes - begin
        raise AssertionError("_forward ends by NeverOpen only")

    def _subtract(self, due: datetime, duration: Duration) -> datetime:
        match duration.unit:
            case "s" | "m" | "h":
                return self._subtract_open_time(due, duration.timedelta())
            case "bd":
                local = self._local(due)
                day = self._open_date(local.date(), duration.amount, -1)
                return self._settle_back(datetime.combine(day, local.time()))
            case "d":
                return self._settle_back(self._local(due) - duration.timedelta())
            case "y":
                return self._settle_back(add_years(self._local(due), -duration.amount))
            case _:
                assert_never(duration.unit)

    def _subtract_open_time(self, due: datetime, left: timedelta) -> datetime:
        for opens, closes in self._backward(due):
            end = min(closes, due)
            if left <= end - opens:
                return end - left
            left -= end - opens
        raise AssertionError("_backward ends by NeverOpen only")

    # --- dates -----------------------------------------------------------------------------

    def _add_open_dates(self, start: datetime, number: int) -> datetime:
        local = self._local(self.next_opening(start))
        day = self._open_date(local.date(), number, +1)
        return self._settle(datetime.combine(day, local.time()))

    def _open_date(self, day: date, number: int, step: int) -> date:
        """The `number`th open date after `day`, or before it with step -1."""
        closed = 0
        while number:
            day += step * _ONE_DAY
            closed = 0 if self.openings.on(day) else closed + 1
            number -= 0 if closed else 1
            if closed > _HORIZON_DAYS:
                raise self._never(day)
        return day

    def _settle(self, wall: datetime) -> datetime:
        """A local time as an instant: as it is when open or just closing, else the next opening."""
        at, day = wall_to_utc(self.openings.zone, wall), wall.date()
        near = (*self.openings.on(day - _ONE_DAY), *self.openings.on(day))  # 24:00 is yesterday's
        if any(opens <= at <= closes for opens, closes in near):
            return at
        return self.next_opening(at)

    def _settle_back(self, wall: datetime) -> datetime:
        at = wall_to_utc(self.openings.zone, wall)
        if self.is_open(at):
            return at
        return next(end for _, end in self._backward(at) if end <= at)

    # --- walking ---------------------------------------------------------------------------

    def _forward(self, at: datetime) -> Iterator[Interval]:
        """The spans that end after `at`, in order. Raises NeverOpen after years without one."""
        return self._walk(at, +1, lambda span: span[1] > at)

    def _backward(self, at: datetime) -> Iterator[Interval]:
        """The spans that start before `at`, latest first."""
        return self._walk(at, -1, lambda span: span[0] < at)

    def _walk(
        self, at: datetime, step: int, wanted: Callable[[Interval], bool]
    ) -> Iterator[Interval]:
        day, closed = self._date(at), 0
        while closed <= _HORIZON_DAYS:
            spans = [span for span in self.openings.on(day)[::step] if wanted(span)]
            yield from spans
            closed = 0 if spans else closed + 1
            day += step * _ONE_DAY
        raise self._never(at)

    def _never(self, at: date) -> NeverOpen:
        return NeverOpen(
            f"calendar `{self.name}` does not open within {_HORIZON_DAYS // 366} years of "
            f"{at:%Y-%m-%d}: no target can be met in it"
        )

    def _local(self, at: datetime) -> datetime:
        """The wall time of an instant, without its zone."""
        return at.astimezone(self.openings.zone).replace(tzinfo=None)

    def _date(self, at: datetime) -> date:
        return at.astimezone(self.openings.zone).date()


def _clock(local: datetime, with_date: bool) -> str:
    day, time = DAYS[local.weekday()].capitalize(), f"{local.hour:02}:{local.minute:02}"
    return f"{day} {local.date()} {time}" if with_date else f"{day} {time}"
