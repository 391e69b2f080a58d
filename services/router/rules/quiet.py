"""Quiet hours: until when somebody is not to be disturbed. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from services.router.openings import wall_to_utc
from shared.events import Priority

_RISING: Final[tuple[Priority, ...]] = ("low", "normal", "high", "urgent")
_ONE_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Quiet:
    """Every day from `start` up to, not including, `end`, which may be the next day's.

    spared  the priority from which on it is not kept; None: kept for all
    """

    start: time
    end: time
    zone: ZoneInfo
    spared: Priority | None = None

    def until(self, now: datetime, priority: Priority) -> datetime | None:
        """The end of the quiet hours that `now` falls in; None when it does not, or for what is
        too urgent to wait. Both in UTC."""
        if self.spared is not None and _RISING.index(priority) >= _RISING.index(self.spared):
            return None
        today = now.astimezone(self.zone).date()
        for day in (today - _ONE_DAY, today):  # last night's may not be over
            starts, ends = _instants(self, day)
            if starts <= now < ends:
                return ends
        return None


@lru_cache(maxsize=1024)
def _instants(quiet: Quiet, day: date) -> tuple[datetime, datetime]:
    """Those that begin on a date, as instants: a clock that is changed does not cut them. Kept,
    because every reminder asks for the same night."""
    last = day if quiet.start < quiet.end else day + _ONE_DAY
    return (
        wall_to_utc(quiet.zone, datetime.combine(day, quiet.start)),
        wall_to_utc(quiet.zone, datetime.combine(last, quiet.end)),
    )
