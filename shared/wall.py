"""What clocks show, as instants: on the days they are changed, too. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

_ONE_DAY: Final = timedelta(days=1)


def wall_to_utc(zone: ZoneInfo, wall: datetime) -> datetime:
    """The first instant at which clocks show `wall`; if they skip it, the instant of the skip."""
    before, after = (wall.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    if offset_of(before) >= offset_of(after):
        return before.astimezone(UTC)
    # in a gap the first fold reads the offset from before the skip, the second the one after it
    return transition(zone, after.astimezone(UTC) - _ONE_DAY, before.astimezone(UTC))


def transition(zone: ZoneInfo, low: datetime, high: datetime) -> datetime:
    """The instant between the two from which the zone has the offset it has at `high`."""
    offset = offset_of(high.astimezone(zone))
    while high - low > timedelta(seconds=1):
        middle = (low + (high - low) / 2).replace(microsecond=0)
        if offset_of(middle.astimezone(zone)) == offset:
            high = middle
        else:
            low = middle
    return high


def offset_of(at: datetime) -> timedelta:
    offset = at.utcoffset()
    if offset is None:
        raise ValueError(f"{at} has no time zone")
    return offset
