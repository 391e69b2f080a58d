"""messages.received: what became of a file that had stayed with its provider.

All name the file as its message had it (`file`), because what a call tells of itself in several
messages stands in one row: it is found by `message_id`, or by `reference`, the message's own id on
its channel.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from shared.events.body import Event
from shared.values import Attachment, Blob


class AttachmentFetched(Event, frozen=True):
    """Its bytes are in the blob store. `content_type` is what they are, not what was said."""

    message_id: UUID
    account: str
    reference: str
    file: Attachment
    blob: Blob
    content_type: str
    at: datetime


class AttachmentLost(Event, frozen=True):
    """It could not be had, and is not tried again unless a person asks."""

    message_id: UUID
    account: str
    reference: str
    file: Attachment
    code: str
    reason: str
    at: datetime


class AttachmentRequested(Event, frozen=True):
    """A person asked that it be tried again; the `number`th of its message, from 1."""

    message_id: UUID
    number: int
    account: str
    reference: str
    file: Attachment
    by: str
    at: datetime
