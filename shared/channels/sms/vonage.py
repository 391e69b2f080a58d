"""Text messages by Vonage: its Messages API, and the older SMS API beside it.

Sources: developer.vonage.com, "Messages API: inbound message and message status webhooks" (version
1) and "SMS API: inbound SMS, delivery receipts". Which of the two a number speaks is a setting of
the Vonage account, so one door takes both.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from shared.accounts import Account, Accounts
from shared.channels import Answer, Parked, Parsed, WebhookRequest, media
from shared.channels.owners import owner, unknown
from shared.channels.providers import vonage
from shared.channels.sms import items
from shared.channels.sms.items import Text
from shared.channels.sms.vonage_errors import told, told_by_receipt
from shared.channels.times import moment
from shared.channels.wire import clean, dump, list_at, load, mapping_at, text_at
from shared.errors import NotFound, Refused, Unreadable
from shared.events import (
    Attachment,
    DeliveryState,
    DeliveryStatusReceived,
    MessageReceived,
)
from shared.ids import event_id

Item = Mapping[str, Any]

_MAX_BODY: Final = 256 * 1024
_CHANNELS: Final = frozenset({"sms", "mms"})
_FILES: Final = ("image", "audio", "video", "file", "vcard")
_STATES: Final[Mapping[str, DeliveryState]] = {
    "submitted": "accepted",
    "delivered": "delivered",
    "read": "read",
    "rejected": "failed",
    "undeliverable": "failed",
    # the SMS API's receipts
    "accepted": "accepted",
    "buffered": "sent",
    "unknown": "sent",
    "expired": "failed",
    "failed": "failed",
    "deleted": "failed",
}


class VonageInbound:
    """Messages and SMS API webhooks: `/webhooks/<account>`, and `/status` behind it."""

    @property
    def max_body(self) -> int:
        return _MAX_BODY

    def handshake(self, request: WebhookRequest, account: Account) -> Answer:
        """Vonage has none: a GET is the SMS API left on the wrong method."""
        raise Refused(
            "Vonage must post here: choose POST-JSON as the webhook format in its API settings"
        )

    def verify(self, request: WebhookRequest, account: Account) -> None:
        vonage.verify(request, account)
        if request.path.rstrip("/") not in ("", "/status"):
            raise NotFound(
                "no such door: use the account's webhook address itself as inbound URL, and "
                "/status behind it as status URL"
            )

    def parse(self, request: WebhookRequest, account: Account, accounts: Accounts) -> Parsed:
        """One message or one status. Raises Unreadable for a body that is neither."""
        item = _item(request)
        ours = _ours(item)
        found = owner(
            [ours, f"+{ours}"],
            account,
            accounts,
            lambda each: each.secrets("signature_secret"),
            channel="sms",
        )
        if found is None:
            return _parked(item, unknown(ours, "Vonage's dashboard"))
        try:
            if "status" in item:
                return Parsed(statuses=[_status(item, found, request.received_at)])
            return Parsed(messages=[_message(item, found, request.received_at)])
        except Unreadable as error:
            return _parked(item, str(error))


def _item(request: WebhookRequest) -> Item:
    if not request.body:  # a query is covered by no token, and so is not read
        raise Unreadable("the body is empty: choose POST-JSON as the webhook format at Vonage")
    item = clean(vonage.parameters(request)) if _is_form(request) else load(request.body)
    if not isinstance(item, dict) or not _id(item):
        raise Unreadable("the body is no Vonage message: message_uuid or messageId is missing")
    if (channel := text_at(item, "channel")) and channel not in _CHANNELS:
        raise Unreadable(
            f"this is a text message account, and the webhook is of channel {channel[:20]!r}: "
            "give that channel an application of its own"
        )
    return item


def _is_form(request: WebhookRequest) -> bool:
    return request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")


def _id(item: Item) -> str:
    return text_at(item, "message_uuid") or text_at(item, "messageId")


def _ours(item: Item) -> str:
    """Our own number: of a status of the Messages API it is the one that the message came from."""
    return _party(item, "from" if "status" in item and "message_uuid" in item else "to")


def _party(item: Item, side: str) -> str:
    # Version 0.1 of the Messages API wraps it: {"type": "sms", "number": "447700900000"}.
    return text_at(item, side) or text_at(mapping_at(item, side), "number")


def _parked(item: Item, reason: str) -> Parsed:
    return Parsed(
        parked=[Parked(dump(item), reason, f"{_id(item)} {text_at(item, 'status')}".strip())]
    )


# --- messages --------------------------------------------------------------------------------


def _message(item: Item, owner: Account, received_at: datetime) -> MessageReceived:
    text = _of_sms_api(item) if "messageId" in item else _of_messages_api(item)
    at = moment(text_at(item, "timestamp")) or moment(text_at(item, "message-timestamp"), UTC)
    return items.message(
        Text(
            id=_id(item),
            sender=_written(_party(item, "from") or text_at(item, "msisdn")),
            recipient=_written(_party(item, "to")),
            at=at or received_at,
            **text,
        ),
        owner,
        received_at,
        dict(item),
    )


def _written(party: str) -> str:
    """A number as it is written elsewhere: Vonage leaves the plus out. Short codes and names
    stay as they are."""
    return f"+{party}" if party.isascii() and party.isdigit() and len(party) > 6 else party


def _of_messages_api(item: Item) -> dict[str, Any]:
    content = mapping_at(mapping_at(item, "message"), "content") or item
    type = text_at(content, "message_type") or text_at(content, "type")
    listed = [each for each in list_at(content, "content") if isinstance(each, dict)]
    found = [_file(name, mapping_at(content, name)) for name in _FILES if name in content]
    found += [_file(text_at(each, "type"), each) for each in listed if "url" in each]
    there = tuple(file for file in found if file is not None)
    captions = [text_at(mapping_at(content, name), "caption") for name in _FILES]
    captions += [text_at(each, "text") for each in listed]
    said = text_at(content, "text") or "\n".join(filter(None, captions))
    if not (said or found or type in ("", "text")):
        return _unsupported(type)
    return {"text": said, "files": there, "lost": len(found) - len(there)}


def _file(type: str, part: Item) -> Attachment | None:
    kinds = {"image": "image/jpeg", "vcard": "text/vcard", "audio": "audio/mpeg",
             "video": "video/mp4"}  # fmt: skip
    url, name = text_at(part, "url"), text_at(part, "name")
    # The type it has is not told; where the name ends in one, that is the better word.
    return media.remote(url, media.type_of(name or url) or kinds.get(type, ""), name=name)


def _of_sms_api(item: Item) -> dict[str, Any]:
    if text_at(item, "type") == "binary":
        return _unsupported("binary")
    text = item.get("text")
    said = text if isinstance(text, str) else text_at(item, "text")
    if text_at(item, "concat") != "true" and not text_at(item, "concat-total"):
        return {"text": said}
    # The SMS API leaves it to us to join a long text, and tells of its parts in any order. Each
    # is its own message of the same case: none waits for one that may never come.
    part, total = text_at(item, "concat-part"), text_at(item, "concat-total")
    return {
        "text": f"[part {part} of {total}] {said}",
        "attributes": {"part": part, "parts": total, "parts_of": text_at(item, "concat-ref")},
    }


def _unsupported(type: str) -> dict[str, Any]:
    return {"text": f"[cannot be shown here ({type})]", "kind": "unsupported"}


# --- statuses --------------------------------------------------------------------------------


def _status(item: Item, owner: Account, received_at: datetime) -> DeliveryStatusReceived:
    word = text_at(item, "status").lower()
    if (state := _STATES.get(word)) is None:
        raise Unreadable(f"status {word[:40]!r} is not one Regie knows")
    at = moment(text_at(item, "timestamp")) or moment(text_at(item, "message-timestamp"), UTC)
    code, reason = told(item) if "message_uuid" in item else told_by_receipt(item)
    failed = state == "failed"
    return DeliveryStatusReceived(
        id=event_id(owner.name, _id(item), "status", state),
        account=owner.name,
        provider_id=_id(item),
        status=state,
        at=min(at or received_at, received_at),
        correlation=text_at(item, "client_ref") or text_at(item, "client-ref"),
        code=code if failed else "",
        reason=reason if failed else "",
    )
