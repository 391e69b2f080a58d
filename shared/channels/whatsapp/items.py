"""One item of a webhook as an event of ours: a message, an echo or a delivery status."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from shared.accounts import Account
from shared.channels.whatsapp.content import Content, content_of, explanation
from shared.channels.whatsapp.people import sender_of
from shared.channels.wire import list_at, mapping_at, need, text_at
from shared.errors import Unreadable
from shared.events import (
    DeliveryState,
    DeliveryStatusReceived,
    Identity,
    MessageReceived,
    Sender,
    Thread,
)
from shared.ids import event_id
from shared.numbers import to_e164

REPLY_WINDOW: Final = timedelta(hours=24)
_SECONDS: Final = re.compile(r"[0-9]{1,15}")
_STATES: Final[Mapping[str, DeliveryState]] = {
    "accepted": "accepted",
    "sent": "sent",
    "delivered": "delivered",
    "read": "read",
    "played": "read",  # a voice message was listened to
    "failed": "failed",
}


@dataclass(frozen=True, slots=True)
class Setting:
    """What an item's surroundings say: whose number it is about, and who is who."""

    account: Account
    display_number: str
    contacts: Sequence[Any]
    received_at: datetime


def message(item: Any, around: Setting, *, echo: bool) -> MessageReceived:
    """A customer's message; or, with `echo`, a reply typed in the WhatsApp Business app, whose
    sender is still the customer. Raises Unreadable, naming the field."""
    wamid = need(item, "id")
    side = ("to", "to_user_id") if echo else ("from", "from_user_id")
    content = content_of(item)
    occurred_at = _moment(item, around)
    previous = text_at(mapping_at(item, "system"), "previous_user_id")
    return MessageReceived(
        id=event_id(around.account.name, wamid, content.kind),
        account=around.account.name,
        channel="whatsapp",
        kind=content.kind,
        provider_event_id=wamid,
        sender=_moved(
            sender_of([*(text_at(item, key) for key in side), previous], around.contacts),
            content.moved,
        ),
        occurred_at=occurred_at,
        received_at=around.received_at,
        recipient=to_e164(f"+{around.display_number.lstrip('+')}", None) or around.display_number,
        text=content.text,
        reply_text=content.text,  # WhatsApp quotes by reference, never in the text
        thread=_thread(item, wamid, content.target),
        attachments=content.attachments,
        automatic=content.automatic,
        echo=echo,
        reply_window_closes_at=None if echo else _window(content, occurred_at),
        attributes={**_circumstances(item), **content.attributes},
        raw=item,
    )


def _moved(sender: Sender, moved: tuple[Identity, Identity] | None) -> Sender:
    """A user who changed number writes under the new one from now on."""
    if moved is None:
        return sender
    now, former = moved
    rest = (i for i in sender.identities if i not in moved)
    return msgspec.structs.replace(sender, identities=(now, *rest), former=former)


def status(item: Any, around: Setting) -> DeliveryStatusReceived:
    """Meta's word on a message we sent. Raises Unreadable, naming the field."""
    wamid, word = need(item, "id"), need(item, "status")
    if (state := _STATES.get(word)) is None:
        raise Unreadable(f"status {word[:40]!r} is not one Regie knows")
    error = next(iter(list_at(item, "errors")), None)
    return DeliveryStatusReceived(
        id=event_id(around.account.name, wamid, "status", state),
        account=around.account.name,
        provider_id=wamid,
        status=state,
        at=_moment(item, around),
        correlation=text_at(item, "biz_opaque_callback_data"),
        code=text_at(error, "code"),
        reason=explanation(error),
    )


def _moment(item: Any, around: Setting) -> datetime:
    # Never later than the receipt: a clock ahead of ours may not move a deadline (DESIGN 5.3).
    seconds = need(item, "timestamp")
    if not _SECONDS.fullmatch(seconds):
        raise Unreadable("timestamp is not Unix seconds")
    if int(seconds) >= around.received_at.timestamp():
        return around.received_at
    return datetime.fromtimestamp(int(seconds), UTC)


def _window(content: Content, occurred_at: datetime) -> datetime | None:
    # Meta names messages only; that a reaction, an edit or a withdrawal opens the window as well
    # is written nowhere, and a reply sent on that belief would be lost (131047).
    opens = content.kind in ("message", "unsupported") and not content.automatic
    return occurred_at + REPLY_WINDOW if opens else None


def _thread(item: Any, wamid: str, target: str) -> Thread:
    answered = text_at(mapping_at(item, "context"), "id")
    return Thread(message_id=wamid, references=(answered,) if answered else (), target=target)


def _circumstances(item: Any) -> dict[str, Any]:
    """What rules may ask about beyond the text: the advertisement, a product, the group …"""
    context = mapping_at(item, "context")
    found: dict[str, Any] = {
        "referral": mapping_at(item, "referral"),
        "referred_product": mapping_at(context, "referred_product"),
        "group": text_at(item, "group_id"),
        "forwarded": True in (context.get("forwarded"), context.get("frequently_forwarded")),
    }
    return {name: value for name, value in found.items() if value}
