"""A customer's message as the router took it, put together again from what was kept. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, Literal

import msgspec

from services.router.commands import CustomerFacts
from shared import events as ev
from shared.events import Attachment, MessageReceived, Priority, Sender, Thread

_SHOWN: Final = 200


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """What the rules may ask of a message and its event does not tell.

    customer  None: what the case began with
    """

    customer: CustomerFacts | None
    subject: str = ""
    text: str = ""
    reply_text: str = ""
    language: str = ""
    automatic: bool = False
    product: str = ""
    priority: Priority | Literal[""] = ""
    attributes: dict[str, Any] = msgspec.field(default_factory=dict)
    attachments: tuple[Attachment, ...] = ()


def received(event: ev.MessageAdded, heard: Heard) -> MessageReceived:
    """As far as deciding looks at it. A form's draft is left out: its result stays as it was."""
    text, reply_text = _words(event, heard)
    return MessageReceived(
        id=event.message_id,
        account=event.account,
        channel=event.channel,
        kind=event.kind,
        provider_event_id="",
        sender=Sender(
            identities=() if event.reply_to is None else (event.reply_to,),
            authentication=event.authentication,
        ),
        occurred_at=event.occurred_at,
        received_at=event.received_at,
        subject=heard.subject,
        text=text,
        reply_text=reply_text,
        language=heard.language,
        thread=Thread(references=event.references),
        attachments=heard.attachments,
        automatic=heard.automatic,
        reply_window_closes_at=event.reply_window_closes_at,
        product=heard.product,
        priority=heard.priority,
        attributes=heard.attributes,
    )


def _words(event: ev.MessageAdded, heard: Heard) -> tuple[str, str]:
    """What was routed. Where it was edited or withdrawn since, the beginning that was shown is
    all that is left of it."""
    words = heard.reply_text or heard.text
    shown = " ".join(words[: _SHOWN * 3].split())[:_SHOWN]
    if shown == event.preview or (heard.attachments and not words):
        return heard.text, heard.reply_text
    return event.preview, ""


def echo(event: ev.ReplyRecorded, at: datetime) -> MessageReceived:
    """A reply typed in the provider's own app, handled at `at`. Only its words and their time are
    kept."""
    return MessageReceived(
        id=event.message_id,
        account=event.account,
        channel=event.channel,
        kind="message",
        provider_event_id="",
        sender=Sender(identities=(), authentication="proven"),
        occurred_at=event.occurred_at,
        received_at=at,
        text=event.text,
        thread=Thread(message_id=event.provider_id),
        echo=True,
    )
