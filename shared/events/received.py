"""messages.received: one inbound contact, and the heartbeat."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec

from shared.events.body import Event
from shared.values import Attachment, Blob, Call, Channel, Kind, Priority, Sender, Thread


class MessageReceived(Event, frozen=True):
    """One inbound contact, parsed; or, with `echo`, a reply typed in the provider's own app.

    text                   all of it, readable; `reply_text` is the same without quoted history
    occurred_at            the provider's signed time, never later than `received_at`
    reply_window_closes_at until when the channel lets us answer freely
    raw                    the provider's own item (small JSON), or in `raw_blob` its raw bytes
    text_blob, html_blob   bodies over 256 kB (text then holds the first 10,000 characters); HTML
    """

    id: UUID
    account: str
    channel: Channel
    kind: Kind
    provider_event_id: str
    sender: Sender
    occurred_at: datetime
    received_at: datetime
    recipient: str = ""
    subject: str = ""
    text: str = ""
    reply_text: str = ""
    language: str = ""
    thread: Thread = Thread()
    attachments: tuple[Attachment, ...] = ()
    automatic: bool = False
    echo: bool = False
    shared_sender: bool = False
    reply_window_closes_at: datetime | None = None
    product: str = ""
    priority: Priority | Literal[""] = ""
    draft: dict[str, Any] | None = None
    attributes: dict[str, Any] = msgspec.field(default_factory=dict)
    call: Call | None = None
    text_blob: Blob | None = None
    html_blob: Blob | None = None
    raw: Any = None
    raw_blob: Blob | None = None


class HeartbeatSent(Event, frozen=True):
    """Written by the router to each partition every 5 s, so that idle partitions advance."""

    partition: int
    sent_at: datetime
