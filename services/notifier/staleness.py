"""What has lost its meaning while it waited, and must not leave any more (DESIGN 5.6). Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from services.notifier.models import DIGEST, Delivery, Head

_ANSWERED: Final = ("first_response", "next_response")


@dataclass(frozen=True, slots=True)
class Stale:
    """`code` is expired, window_closed, read, answered, over, closed, gone or barred; `reason` says
    it in words."""

    code: str
    reason: str


def staleness(delivery: Delivery, now: datetime) -> Stale | None:
    """Why it must not be sent; None when it may. A reply is stale by time alone: whoever closes
    a case after answering still wants the answer sent. A survey's question is for closed ones."""
    head = delivery.head
    if delivery.is_published:
        return _unpublished(delivery, now)
    if delivery.effect == DIGEST:  # of many cases
        return _expired(delivery, now) if delivery.expires_at <= now else None
    if head is None:
        return Stale("gone", "the case is gone")
    if delivery.expires_at <= now:
        return _expired(delivery, now)
    if delivery.to_customer:
        return _said_in_vain(delivery, head)
    return None if head.version == delivery.version else _told_in_vain(delivery, head)


def no_longer_true(delivery: Delivery, now: datetime) -> Stale | None:
    """The same for a digest, which tells how things stand: of an answered case not its breach
    either."""
    head, metric = delivery.head, delivery.payload.get("data", {}).get("metric")
    breached = delivery.effect == "breach" and metric in _ANSWERED
    if breached and head and head.answered_at and head.answered_at >= delivery.at:
        return Stale("answered", "the case was answered before it could be told")
    return staleness(delivery, now)


def _told_in_vain(delivery: Delivery, head: Head) -> Stale | None:
    if head.state == "closed":
        return Stale("closed", "the case was closed")
    if _reminds_of_an_answer(delivery) and head.answered_at and head.answered_at >= delivery.at:
        return Stale("answered", "the case was answered")
    promised = delivery.payload.get("data", {}).get("promise_id")
    if delivery.effect == "reminder" and promised and promised not in head.promises:
        return Stale("over", "the promise is over, or agreed anew")
    return None


def _unpublished(delivery: Delivery, now: datetime) -> Stale | None:
    """It tells what happened, which stays true; but not what was erased since."""
    if not delivery.url:
        return Stale("gone", "the subscription was deleted")
    if "type" not in delivery.payload:
        return Stale("gone", "the event is kept no longer")
    if delivery.barred:
        return Stale("barred", "the subscription's key may not read this event")
    return _expired(delivery, now) if delivery.expires_at <= now else None


def _expired(delivery: Delivery, now: datetime) -> Stale:
    if closed := window_closed(delivery, now):
        return closed
    if delivery.is_reply:
        return Stale("expired", "it could not be sent within 24 hours")
    return Stale("expired", "its time had passed before it could be sent")


def window_closed(delivery: Delivery, now: datetime) -> Stale | None:
    """Says so of a reply that may no longer be written freely; a template still may leave."""
    payload = delivery.payload
    closes = payload.get("reply_window_closes_at") if delivery.is_reply else None
    if not closes or payload.get("template") or datetime.fromisoformat(closes) > now:
        return None
    words = f"the {payload.get('channel')} reply window closed before it could be sent"
    return Stale("window_closed", f"{words}: send a template, or offer a permitted switch")


def _said_in_vain(delivery: Delivery, head: Head) -> Stale | None:
    if delivery.read:
        return Stale("read", "the visitor has read it in the chat meanwhile")
    if _asks_how_it_was(delivery) and head.state != "closed":
        return Stale("reopened", "the case was opened again")
    return None


def _asks_how_it_was(delivery: Delivery) -> bool:
    return delivery.is_reply and delivery.payload.get("purpose") == "survey"


def _reminds_of_an_answer(delivery: Delivery) -> bool:
    """A reply meets these clocks; a resolution's, or an update's, goes on. A breach happened, and
    is told though somebody answered since."""
    if delivery.effect not in ("reminder", "escalation"):
        return False
    return delivery.payload.get("data", {}).get("metric") in _ANSWERED
