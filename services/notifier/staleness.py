"""What has lost its meaning while it waited, and must not leave any more (DESIGN 5.6). Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from services.notifier.models import Delivery

_ANSWERED: Final = ("first_response", "next_response")


@dataclass(frozen=True, slots=True)
class Stale:
    """`code` is expired, answered, over, closed or gone; `reason` says it in words."""

    code: str
    reason: str


def staleness(delivery: Delivery, now: datetime) -> Stale | None:
    """Why it must not be sent; None when it may. A reply is stale by time alone: whoever closes
    a case after answering still wants the answer sent. A survey's question is for closed ones."""
    head = delivery.head
    if head is None:
        return Stale("gone", "the case is gone")
    if delivery.expires_at <= now:
        return _expired(delivery)
    if _asks_how_it_was(delivery) and head.state != "closed":
        return Stale("reopened", "the case was opened again")
    if delivery.is_reply or head.version == delivery.version:
        return None
    if head.state == "closed":
        return Stale("closed", "the case was closed")
    if _reminds_of_an_answer(delivery) and head.answered_at and head.answered_at >= delivery.at:
        return Stale("answered", "the case was answered")
    promised = delivery.payload.get("data", {}).get("promise_id")
    if delivery.effect == "reminder" and promised and promised not in head.promises:
        return Stale("over", "the promise is over, or agreed anew")
    return None


def _expired(delivery: Delivery) -> Stale:
    if delivery.is_reply:
        words = "it could not be sent within 24 hours and the channel's reply window"
        return Stale("expired", words)
    return Stale("expired", "its time had passed before it could be sent")


def _asks_how_it_was(delivery: Delivery) -> bool:
    return delivery.is_reply and delivery.payload.get("purpose") == "survey"


def _reminds_of_an_answer(delivery: Delivery) -> bool:
    """A reply meets these clocks; a resolution's, or an update's, goes on. A breach happened, and
    is told though somebody answered since."""
    if delivery.effect not in ("reminder", "escalation"):
        return False
    return delivery.payload.get("data", {}).get("metric") in _ANSWERED
