"""Postmark's webhooks on a mail of ours: delivered, come back, opened, complained about.

Source: postmarkapp.com/developer, "Webhooks overview" with the pages of each, and "Bounce API:
bounce types" (2026).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from shared.accounts import Account
from shared.channels.email.addresses import account_at, addresses
from shared.channels.email.compose import message_id
from shared.channels.times import moment
from shared.channels.wire import mapping_at, need, text_at
from shared.errors import Unreadable
from shared.events import DeliveryState, DeliveryStatusReceived
from shared.ids import event_id

# Our own words in `Metadata`: they come back in every webhook about the mail.
MESSAGE: Final = "regie_message_id"
ACCOUNT: Final = "regie_account"

_STATES: Final[Mapping[str, DeliveryState]] = {
    "Delivery": "delivered",
    "Bounce": "failed",
    "SpamComplaint": "delivered",  # it proves that the mail arrived
    "Open": "read",
    "Click": "read",
}
_SUPPRESSED: Final[Mapping[str, DeliveryState]] = {
    "HardBounce": "failed",
    "SpamComplaint": "delivered",
}
# What comes back and is no failure: it is still tried, or a machine or a person has answered it.
_NO_FAILURES: Final = frozenset(
    {"Transient", "AutoResponder", "AddressChange", "Subscribe", "Unsubscribe", "OpenRelayTest"}
)
_TIMES: Final = ("DeliveredAt", "BouncedAt", "ReceivedAt", "ChangedAt")


def status_of(
    document: Any, account: Account, siblings: Sequence[Account], received_at: datetime
) -> DeliveryStatusReceived | None:
    """The status in a webhook; None for one that says nothing of a delivery. Raises Unreadable.

    A webhook is set up for a whole server: the status belongs to the account that sent the mail.
    """
    kind = need(document, "RecordType")
    if (status := _status(kind, document)) is None:
        return None
    owner = _owner(document, siblings) or account
    correlation = _correlation(document)
    provider_id = need(document, "MessageID")
    return DeliveryStatusReceived(
        id=event_id(owner.name, _event_id(document, kind), "delivery_status", status),
        account=owner.name,
        provider_id=message_id(UUID(correlation), owner) if correlation else provider_id,
        status=status,
        at=_at(document, received_at),
        correlation=correlation,
        code=_code(document),
        reason=_reason(document)[:500],
    )


def _status(kind: str, document: Any) -> DeliveryState | None:
    if kind == "SubscriptionChange":
        return _suppressed(document)
    if kind == "Bounce" and text_at(document, "Type") in _NO_FAILURES:
        return "sent" if text_at(document, "Type") == "Transient" else None
    if kind not in _STATES:
        raise Unreadable(f"RecordType {kind[:40]!r} is no webhook of Postmark that we know")
    return _STATES[kind]


def _suppressed(document: Any) -> DeliveryState | None:
    # In a broadcast stream this is all that tells of a bounce.
    if document.get("SuppressSending") is not True:
        return None
    return _SUPPRESSED.get(text_at(document, "SuppressionReason"))


def _code(document: Any) -> str:
    """Postmark's word for what happened: HardBounce, SoftBounce, Blocked …"""
    return text_at(document, "Type") or text_at(document, "SuppressionReason")


def _reason(document: Any) -> str:
    said = text_at(document, "Details") or text_at(document, "Description")
    return ": ".join(text for text in (text_at(document, "Name"), said) if text)


def _event_id(document: Any, kind: str) -> str:
    # A bounce has an id of its own; of the others there is one a mail that matters.
    return f"{need(document, 'MessageID')}/{kind}/{text_at(document, 'ID')}"


def _correlation(document: Any) -> str:
    try:
        return str(UUID(text_at(mapping_at(document, "Metadata"), MESSAGE)))
    except ValueError:
        return ""


def _owner(document: Any, siblings: Sequence[Account]) -> Account | None:
    named = text_at(mapping_at(document, "Metadata"), ACCOUNT)
    for account in siblings:
        if account.name == named:
            return account
    sender = addresses(text_at(document, "From").encode("utf-8", "replace"))
    return account_at(sender[0].value, siblings) if sender else None


def _at(document: Any, received_at: datetime) -> datetime:
    # Their clock, but nothing has happened after we heard of it.
    for name in _TIMES:
        if at := moment(text_at(document, name)):
            return min(at, received_at)
    return received_at
