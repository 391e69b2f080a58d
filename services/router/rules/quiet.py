"""Quiet hours, and for whom they are kept. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time
from functools import cached_property
from typing import Final
from zoneinfo import ZoneInfo

from shared import values
from shared.events import Priority
from shared.quiet import quiet_until

_RISING: Final[tuple[Priority, ...]] = ("low", "normal", "high", "urgent")


@dataclass(frozen=True)
class Quiet:
    """Every day from `start` up to, not including, `end`, which may be the next day's.

    spared  the priority from which on it is not kept; None: kept for all
    """

    start: time
    end: time
    zone: ZoneInfo
    spared: Priority | None = None

    @cached_property
    def hours(self) -> values.Quiet:
        return values.Quiet(start=self.start, end=self.end, zone=self.zone.key)

    def kept(self, priority: Priority) -> values.Quiet | None:
        """None for what is too urgent to wait."""
        if self.spared is not None and _RISING.index(priority) >= _RISING.index(self.spared):
            return None
        return self.hours

    def until(self, now: datetime, priority: Priority) -> datetime | None:
        """The end of the quiet hours that `now` falls in; None when it does not, or for what is
        too urgent to wait. Both in UTC."""
        kept = self.kept(priority)
        return None if kept is None else quiet_until(kept, now)
