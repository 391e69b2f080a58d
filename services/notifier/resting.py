"""Whether a notice may come now, or its recipient is to be left alone until later. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec

from services.notifier.models import Delivery
from shared.events import Quiet
from shared.quiet import quiet_until


def rests_until(delivery: Delivery, now: datetime) -> datetime | None:
    """The end of its recipient's quiet hours, where `now` falls into them; None: it may come."""
    given = delivery.payload.get("quiet")
    return None if given is None else quiet_until(msgspec.convert(given, Quiet), now)


def all_rest_until(notices: Iterable[Delivery], now: datetime) -> datetime | None:
    """Until when these may not be told together; None as soon as one of them may come now."""
    ends = []
    for each in notices:
        until = rests_until(each, now)
        if until is None:
            return None
        ends.append(until)
    return min(ends, default=None)
