"""One item of a webhook as an event of ours: a message, an echo or a delivery status."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from shared.accounts import Account
from shared.channels.providers.meta import explanation
from shared.channels.whatsapp.content import Content, content_of
from shared.channels.whatsapp.people import identity_of, sender_of
from shared.channels.wire import list_at, mapping_at, need, text_at
from shared.errors import Unreadable
from shared.events import (
    Call,
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
# A WhatsApp call opens the window as a message does (Meta, "Calling API: user-initiated calls").
_OPENS: Final = frozenset(("message", "unsupported", "call_missed", "call_ended"))
_SECONDS: Final = re.compile(r"[0-9]{1,15}")
_STATES: Final[Mapping[str, DeliveryState]] = {
    "accepted": "accepted",
    "sent": "sent",
    "delivered": "delivered",
    "read": "read",
    "played": "read",  # a voice message was listened to
    "failed": "failed",
}
# We took a message back, or Meta remarks on one that was delivered: neither is a step on its way.
_NO_STEPS: Final = frozenset(("deleted", "warning"))


@dataclass(frozen=True, slots=True)
class Setting:
    """What an item's surroundings say: whose number it is about, and who is who.

    standby  another sender, Meta's own agent, has the conversation: we only listen
    """

    account: Account
    display_number: str
    contacts: Sequence[Any]
    received_at: datetime
    standby: bool = False


def message(item: Any, around: Setting, *, echo: bool) -> MessageReceived:
    """A customer's message; or, with `echo`, a reply typed in the WhatsApp Business app, whose
    sender is still the customer. Raises Unreadable, naming the field."""
    wamid = need(item, "id")
    side = ("to", "to_user_id") if echo else ("from", "from_user_id")
    content = content_of(item)
    previous = text_at(mapping_at(item, "system"), "previous_user_id")
    named = [*(text_at(item, key) for key in side), previous]
    sender = _moved(sender_of(named, around.contacts), content, item)
    return build(item, wamid, content, sender, around, echo=echo)


def build(
    item: Any,
    id: str,
    content: Content,
    sender: Sender,
    around: Setting,
    *,
    echo: bool = False,
    call: Call | None = None,
) -> MessageReceived:
    """What `content` says, as `sender`'s message of the time `item` names. Raises Unreadable."""
    occurred_at = moment(item, around)
    automatic = content.automatic or around.standby
    window = None if echo or automatic else _window(content, occurred_at)
    return MessageReceived(
        id=event_id(around.account.name, id, content.kind),
        account=around.account.name,
        channel="whatsapp",
        kind=content.kind,
        provider_event_id=id,
        sender=sender,
        occurred_at=occurred_at,
        received_at=around.received_at,
        recipient=to_e164(f"+{around.display_number.lstrip('+')}", None) or around.display_number,
        text=content.text,
        reply_text=content.text,  # WhatsApp quotes by reference, never in the text
        thread=_thread(item, id, content.target),
        attachments=content.attachments,
        automatic=automatic,
        echo=echo,
        reply_window_closes_at=window,
        attributes={**_circumstances(item, around), **content.attributes},
        call=call,
        raw=item,
    )


def _moved(sender: Sender, content: Content, item: Any) -> Sender:
    """A user who changed number writes under the new one from now on, and so under a new user id:
    the old one goes with the number it was made for."""
    if content.moved is None:
        return sender
    now, former = content.moved
    system = mapping_at(item, "system")
    also = identity_of(text_at(system, "user_id"))
    gone = (former, identity_of(text_at(system, "previous_user_id")))
    rest = (i for i in sender.identities if i not in gone)
    identities: list[Identity] = [now, *([also] if also else []), *rest]
    return msgspec.structs.replace(
        sender, identities=tuple(dict.fromkeys(identities)), former=former
    )


def status(item: Any, around: Setting) -> DeliveryStatusReceived | None:
    """Meta's word on a message we sent; None for one that is no step on its way. Raises Unreadable,
    naming the field."""
    wamid, word = need(item, "id"), need(item, "status")
    if word in _NO_STEPS:
        return None
    if (state := _STATES.get(word)) is None:
        raise Unreadable(f"status {word[:40]!r} is not one Regie knows")
    error = next(iter(list_at(item, "errors")), None)
    return DeliveryStatusReceived(
        id=event_id(around.account.name, wamid, "status", state),
        account=around.account.name,
        provider_id=wamid,
        status=state,
        at=moment(item, around),
        correlation=_correlation(item, state),
        code=text_at(error, "code"),
        reason=explanation(error),
    )


def _correlation(item: Any, state: DeliveryState) -> str:
    # Of a message in several parts the last one has our id alone, the others a number besides:
    # that one of those arrived says nothing of the whole, that one failed does.
    id, _, part = text_at(item, "biz_opaque_callback_data").partition("/")
    return id if not part or state == "failed" else ""


def moment(item: Any, around: Setting) -> datetime:
    """When it happened; never later than the receipt: a clock ahead of ours may not move a
    deadline (DESIGN 5.3). Raises Unreadable."""
    seconds = need(item, "timestamp")
    if not _SECONDS.fullmatch(seconds):
        raise Unreadable("timestamp is not Unix seconds")
    if int(seconds) >= around.received_at.timestamp():
        return around.received_at
    return datetime.fromtimestamp(int(seconds), UTC)


def _window(content: Content, occurred_at: datetime) -> datetime | None:
    # Meta names messages and calls only; that a reaction, an edit or a withdrawal opens the window
    # as well is written nowhere, and a reply sent on that belief would be lost (131047).
    return occurred_at + REPLY_WINDOW if content.kind in _OPENS else None


def _thread(item: Any, wamid: str, target: str) -> Thread:
    answered = text_at(mapping_at(item, "context"), "id")
    return Thread(message_id=wamid, references=(answered,) if answered else (), target=target)


def _circumstances(item: Any, around: Setting) -> dict[str, Any]:
    """What rules may ask about beyond the text: the advertisement, a product, the group …"""
    context = mapping_at(item, "context")
    found: dict[str, Any] = {
        "referral": mapping_at(item, "referral"),
        "referred_product": mapping_at(context, "referred_product"),
        "group": text_at(item, "group_id"),
        "forwarded": True in (context.get("forwarded"), context.get("frequently_forwarded")),
        "standby": around.standby,
    }
    return {name: value for name, value in found.items() if value}
