"""Text messages by Telnyx.

Source: developers.telnyx.com, "Receiving webhooks for messaging" and the schemas of its OpenAPI
description (`InboundMessagePayload`, `OutboundMessagePayload`). Telnyx joins the parts of a long
text before it tells us of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from shared.accounts import Account, Accounts
from shared.channels import Answer, Parked, Parsed, WebhookRequest, media
from shared.channels.owners import owner, unknown
from shared.channels.providers import telnyx
from shared.channels.providers.telnyx import Envelope
from shared.channels.sms import items
from shared.channels.sms.items import Text
from shared.channels.sms.telnyx_errors import told
from shared.channels.times import moment
from shared.channels.wire import list_at, mapping_at, need, text_at
from shared.errors import Refused, Unreadable
from shared.events import (
    Attachment,
    DeliveryState,
    DeliveryStatusReceived,
    MessageReceived,
)
from shared.ids import event_id

_MAX_BODY: Final = 256 * 1024
_MOST_FILES: Final = 10
_STATUSES: Final = frozenset({"message.sent", "message.finalized"})
_STATES: Final[Mapping[str, DeliveryState]] = {
    "queued": "accepted",
    "scheduled": "accepted",
    "sending": "accepted",
    "sent": "sent",
    "delivered": "delivered",
    "read": "read",
    # it left, and the network tells of no message whether it arrived
    "delivery_unconfirmed": "sent",
    "sending_failed": "failed",
    "delivery_failed": "failed",
    "expired": "failed",
    "cancelled": "failed",
}


class TelnyxInbound:
    """Messaging webhooks of Telnyx, API version 2."""

    @property
    def max_body(self) -> int:
        return _MAX_BODY

    def handshake(self, request: WebhookRequest, account: Account) -> Answer:
        raise Refused("Telnyx posts its webhooks: open this address in no browser")

    def verify(self, request: WebhookRequest, account: Account) -> None:
        telnyx.verify(request, account)

    def parse(self, request: WebhookRequest, account: Account, accounts: Accounts) -> Parsed:
        """One event. Raises Unreadable for a body that is no event."""
        event = telnyx.envelope(request)
        if event.type != "message.received" and event.type not in _STATUSES:
            reason = f"Regie does not read {event.type[:40]!r}: unsubscribe from it"
            return _parked(event, reason, request)
        ours = _ours(event)
        found = owner(
            ours,
            account,
            accounts,
            telnyx.keys,
            channel="sms",
            service=text_at(event.payload, "messaging_profile_id"),
        )
        if found is None:
            reason = unknown(ours[0] if ours else "", "the Telnyx portal")
            return _parked(event, reason, request)
        try:
            if event.type in _STATUSES:
                return Parsed(statuses=[_status(event, found, request.received_at)])
            return Parsed(messages=[_message(event, found, request.received_at)])
        except Unreadable as error:
            return _parked(event, str(error), request)


def _parked(event: Envelope, reason: str, request: WebhookRequest) -> Parsed:
    return Parsed(parked=[Parked(request.body, reason, event.id)])


def _ours(event: Envelope) -> list[str]:
    """The numbers that may be ours: whom it was sent to, or of a status, whom it came from."""
    if event.type in _STATUSES:
        return [_number(mapping_at(event.payload, "from"))]
    # A group message names all who got it, and a single one its only number.
    named = [_number(each) for side in ("to", "cc") for each in list_at(event.payload, side)]
    return named or [text_at(event.payload, "to")]


def _number(party: Any) -> str:
    return text_at(party, "phone_number")


def _message(event: Envelope, owner: Account, received_at: datetime) -> MessageReceived:
    payload = event.payload
    listed = list_at(payload, "media")[:_MOST_FILES]
    found = [_file(each) for each in listed]
    files = tuple(file for file in found if file is not None)
    at = moment(text_at(payload, "received_at")) or event.occurred_at
    return items.message(
        Text(
            id=need(payload, "id", "data.payload."),
            sender=_number(mapping_at(payload, "from")),
            recipient=str(owner.settings.get("number", "")),
            at=min(at, event.occurred_at),
            text=_said(payload),
            files=files,
            lost=len(found) - len(files),
            opt_out=items.opt_out(text_at(payload, "autoresponse_type")),
        ),
        owner,
        received_at,
        dict(payload),
    )


def _said(payload: Mapping[str, Any]) -> str:
    text = payload.get("text")
    said = text if isinstance(text, str) else ""
    return "\n".join(filter(None, (text_at(payload, "subject"), said)))


def _file(part: Any) -> Attachment | None:
    return media.remote(
        text_at(part, "url"), text_at(part, "content_type"), sha256=text_at(part, "hash_sha256")
    )


def _status(event: Envelope, owner: Account, received_at: datetime) -> DeliveryStatusReceived:
    recipient = next(iter(list_at(event.payload, "to")), None)
    word = text_at(recipient, "status")
    if (state := _STATES.get(word)) is None:
        raise Unreadable(f"status {word[:40]!r} is not one Regie knows")
    id = need(event.payload, "id", "data.payload.")
    code, reason = told(event.payload)
    failed = state == "failed"
    return DeliveryStatusReceived(
        id=event_id(owner.name, id, "status", state),
        account=owner.name,
        provider_id=id,
        status=state,
        at=min(event.occurred_at, received_at),
        code=code if failed else "",
        reason=reason if failed else "",
    )
