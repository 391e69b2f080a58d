"""What has lost its meaning while it waited, and must not leave any more (DESIGN 5.6). Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from services.notifier.models import Delivery

_ANSWERED: Final = ("first_response", "next_response")


def stale(delivery: Delivery, now: datetime) -> str:
    """Why it must not be sent; empty when it may. A reply is stale by time alone: whoever closes
    a case after answering still wants the answer sent."""
    if delivery.head is None:
        return "the case is gone"
    if delivery.expires_at <= now:
        return _too_late(delivery)
    if delivery.is_reply or delivery.head.version == delivery.version:
        return ""
    if delivery.head.state == "closed":
        return "the case is closed"
    answered_at = delivery.head.answered_at
    if _asks_for_an_answer(delivery) and answered_at is not None and answered_at >= delivery.at:
        return "the case has been answered"
    return ""


def _too_late(delivery: Delivery) -> str:
    if delivery.is_reply:
        return "it could not be sent in time: a reply is tried for 24 hours, within its window"
    return "its time has passed"


def _asks_for_an_answer(delivery: Delivery) -> bool:
    """A reply meets these clocks; a resolution's, or an update's, goes on."""
    if delivery.effect not in ("reminder", "breach"):
        return False
    return delivery.payload.get("data", {}).get("metric") in _ANSWERED
