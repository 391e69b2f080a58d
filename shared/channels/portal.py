"""The generic door: portal, counter, internal and web chat accounts with an integrator behind them.

`POST /v1/messages` (with a key) and `POST /webhooks/{account}` (signed by Standard Webhooks) take
the same JSON and go through `message_from_json`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from shared.accounts import Account, Accounts
from shared.blobs import blob_for
from shared.channels import Answer, NewBlob, Parsed, WebhookRequest
from shared.channels.bodies import file_name
from shared.channels.counter import at_the_counter
from shared.channels.email.display import display_html
from shared.channels.email.html import html_to_text
from shared.channels.internal import check_colleague
from shared.channels.posted import ABOUT_ANOTHER, PostedAttachment, PostedMessage
from shared.channels.posted import posted as checked
from shared.channels.posted_sender import callback_number, sender_of
from shared.channels.providers import standard_webhooks
from shared.channels.wire import clean, load, text_at
from shared.errors import Invalid, NotFound, Unauthenticated, Unreadable
from shared.events import Attachment, Blob, Call, Kind, MessageReceived, Sender, Thread
from shared.ids import event_id as id_of

MAX_BODY: Final = 35 * 1024 * 1024  # 25 MiB of attachments in base64, and the rest
_CALLS: Final[Mapping[Kind, Call]] = {
    "call_missed": Call(outcome="missed"),
    "voicemail": Call(outcome="voicemail"),
    "call_ended": Call(outcome="answered"),
}


class GenericInbound:
    """Signed webhooks of an integrator's own systems. Account settings: `secret`, `region`."""

    @property
    def max_body(self) -> int:
        return MAX_BODY

    def handshake(self, request: WebhookRequest, account: Account) -> Answer:
        raise NotFound("there is nothing to read here: POST a message, signed (Standard Webhooks)")

    def verify(self, request: WebhookRequest, account: Account) -> None:
        if not (secrets := account.secrets("secret")):
            raise Unauthenticated(f"account {account.name} has no secret: use POST /v1/messages")
        standard_webhooks.verify(secrets, request.headers, request.body, request.received_at)

    def parse(self, request: WebhookRequest, account: Account, accounts: Accounts) -> Parsed:
        body = _unwrapped(load(request.body), account)
        owner = _owner(text_at(body, "account"), account, accounts)
        event_id = request.headers.get("webhook-id", "")
        try:
            message, blobs = message_from_json(body, owner, request.received_at, event_id)
        except Invalid as error:
            raise Unreadable(error.detail) from error
        return Parsed(messages=(message,), blobs=blobs)


def message_from_json(
    body: Mapping[str, Any], account: Account, received_at: datetime, event_id: str
) -> tuple[MessageReceived, list[NewBlob]]:
    """The posted JSON as an event of `account`, and the bytes to keep before it.

    `event_id` identifies the request where the message has no `id` of its own: a repeat with the
    same one is the same message. Raises Invalid, whose `errors` name the fields.
    """
    given = _given(_cleaned(body), account)
    sender = _sender(given, account)
    attachments, blobs = _files(given.attachments)
    html_blob, html = _html(given.html)
    text = given.text.strip() or html_to_text(given.html)
    own_id = given.id or event_id
    event = MessageReceived(
        id=id_of(account.name, own_id, given.kind),
        account=account.name,
        channel=account.channel,
        kind=given.kind,
        provider_event_id=own_id,
        sender=sender,
        occurred_at=_earlier(given, received_at),
        received_at=received_at,
        recipient=text_at(dict(account.settings), "address"),
        subject=given.subject.strip(),
        text=text,
        reply_text=text,
        html_blob=html_blob,
        language=given.language,
        thread=_thread(given, own_id),
        attachments=attachments,
        automatic=given.kind in ("auto_reply", "bounce"),
        product=given.product,
        priority=given.priority,
        draft=given.draft,
        attributes=_attributes(given, sender, account),
        call=_CALLS.get(given.kind),
    )
    return event, [*blobs, *html]


def _given(body: dict[str, Any], account: Account) -> PostedMessage:
    given = checked(at_the_counter(body) if account.channel == "counter" else body)
    if given.account != account.name:
        raise Invalid(f"account {given.account!r} is not the account this message came in by")
    return given


def _sender(given: PostedMessage, account: Account) -> Sender:
    sender = sender_of(given.sender, account)
    if account.channel == "internal":
        check_colleague(sender.identities[0])
    return sender


def _earlier(given: PostedMessage, received_at: datetime) -> datetime:
    # The integrator's word may make a deadline earlier, never later (DESIGN 5.3).
    if given.occurred_at is None or given.occurred_at >= received_at:
        return received_at
    return given.occurred_at.astimezone(UTC)


def _attributes(given: PostedMessage, sender: Sender, account: Account) -> dict[str, Any]:
    """As they were given; of a call asked for, `phone` is the number as it can be dialled."""
    attributes = dict(given.attributes)
    if given.kind == "callback_requested":
        number = callback_number(attributes.get("phone"), sender, account)
        attributes |= {"phone": number} if number else {}
    return attributes


def _thread(given: PostedMessage, own_id: str) -> Thread:
    if given.kind in ABOUT_ANOTHER:
        return Thread(message_id=own_id, target=given.thread)
    return Thread(message_id=own_id, references=(given.thread,) if given.thread else ())


def _files(given: list[PostedAttachment]) -> tuple[tuple[Attachment, ...], list[NewBlob]]:
    blobs = [blob_for(file.content) for file in given]
    attachments = tuple(
        Attachment(
            name=file_name(file.name) or f"file {number}",
            content_type=file.content_type,
            size=blob.size,
            blob=blob,
            sha256=blob.sha256,
        )
        for number, (file, blob) in enumerate(zip(given, blobs, strict=True), start=1)
    )
    new = [NewBlob(blob.ref, file.content) for file, blob in zip(given, blobs, strict=True)]
    return attachments, new


def _html(html: str) -> tuple[Blob | None, list[NewBlob]]:
    """As it may be shown: whoever wrote it, an integrator only passes it on."""
    content = display_html(html).encode()
    if not content.strip():
        return None, []
    blob = blob_for(content)
    return blob, [NewBlob(blob.ref, content)]


def _cleaned(body: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return dict(clean(dict(body)))
    except Unreadable as error:
        raise Invalid(f"the message cannot be taken: {error}") from error


def _unwrapped(document: Any, account: Account) -> dict[str, Any]:
    """The message in `{type, timestamp, data}`, or the message itself; the path's account where it
    names none."""
    body = document
    if isinstance(document, dict) and isinstance(document.get("data"), dict):
        body = {"occurred_at": text_at(document, "timestamp") or None, **document["data"]}
    if not isinstance(body, dict):
        raise Unreadable("the body is not a message: an object, or {type, timestamp, data}")
    return {"account": account.name, **body}


def _owner(name: str, account: Account, accounts: Accounts) -> Account:
    """The account the message names, if the path's secret is its secret as well."""
    secrets = set(account.secrets("secret"))
    for each in accounts:
        if each.name == name and secrets & set(each.secrets("secret")):
            return each
    raise Unreadable(f"account {name[:40]!r} is none of this secret's: post to its own address")
