"""Quiet hours: until when somebody is not to be disturbed. Pure."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from shared.values import Quiet
from shared.wall import wall_to_utc

_ONE_DAY: Final = timedelta(days=1)


def quiet_until(quiet: Quiet, now: datetime) -> datetime | None:
    """The end of the quiet hours that `now` falls in; None when it does not. Both in UTC."""
    today = now.astimezone(ZoneInfo(quiet.zone)).date()
    for day in (today - _ONE_DAY, today):  # last night's may not be over
        starts, ends = _instants(quiet, day)
        if starts <= now < ends:
            return ends
    return None


@lru_cache(maxsize=1024)
def _instants(quiet: Quiet, day: date) -> tuple[datetime, datetime]:
    """Those that begin on a date, as instants: a clock that is changed does not cut them. Kept,
    because every reminder asks for the same night."""
    zone = ZoneInfo(quiet.zone)
    last = day if quiet.start < quiet.end else day + _ONE_DAY
    return (
        wall_to_utc(zone, datetime.combine(day, quiet.start)),
        wall_to_utc(zone, datetime.combine(last, quiet.end)),
    )
