"""Mailgun's word on a mail of ours: delivered, or failed for good.

Source: documentation.mailgun.com, "Event structure". Opens, clicks, complaints and temporary
failures say nothing about delivery, so they become no status.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

from shared.accounts import Account
from shared.channels.email.addresses import account_at, addresses
from shared.channels.email.mailgun_api import VARIABLE
from shared.channels.email.returned import OUR_ID
from shared.channels.wire import mapping_at, need, text_at
from shared.errors import Unreadable
from shared.events import DeliveryStatusReceived
from shared.ids import event_id


def status_of(
    document: Any, account: Account, siblings: Sequence[Account], received_at: datetime
) -> DeliveryStatusReceived | None:
    """The status in an event webhook; None for an event that is no delivery. Raises Unreadable.

    A webhook is set up for a whole domain: the status belongs to the account that sent the mail.
    """
    event = mapping_at(document, "event-data")
    if not event:
        raise Unreadable("the JSON has no `event-data`: it is no event webhook of Mailgun")
    if (status := _status(event)) is None:
        return None
    headers = mapping_at(mapping_at(event, "message"), "headers")
    provider_id = f"<{need(headers, 'message-id', 'event-data.message.headers.').strip('<> ')}>"
    owner = _owner(event, headers, siblings) or account
    ours = OUR_ID.fullmatch(provider_id)
    told = mapping_at(event, "delivery-status")
    return DeliveryStatusReceived(
        id=event_id(owner.name, text_at(event, "id") or provider_id, "delivery_status", status),
        account=owner.name,
        provider_id=provider_id,
        status=status,
        at=_at(event, received_at),
        correlation=_named(event) or (ours[1].lower() if ours else ""),
        code=text_at(told, "code"),
        reason=(text_at(told, "message") or text_at(told, "description"))[:500],
    )


def _status(event: Any) -> Literal["delivered", "failed"] | None:
    name = text_at(event, "event")
    if name == "delivered":
        return "delivered"
    if name == "rejected" or (name == "failed" and text_at(event, "severity") != "temporary"):
        return "failed"
    return None


def _named(event: Any) -> str:
    """Our message's id, where it went out with the mail."""
    try:
        return str(UUID(text_at(mapping_at(event, "user-variables"), VARIABLE)))
    except ValueError:
        return ""


def _owner(event: Any, headers: Any, siblings: Sequence[Account]) -> Account | None:
    sender = text_at(mapping_at(event, "envelope"), "sender")
    found = addresses(text_at(headers, "from").encode())
    for address in (sender, *(each.value for each in found)):
        if account := account_at(address, siblings):
            return account
    return None


def _at(event: Any, received_at: datetime) -> datetime:
    # Their clock, but nothing has happened after we heard of it.
    try:
        return min(datetime.fromtimestamp(float(text_at(event, "timestamp")), UTC), received_at)
    except (ValueError, OverflowError, OSError):
        return received_at
