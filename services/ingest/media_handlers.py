"""messages.received -> which files are still with their provider."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from services.ingest import media_queries as queries
from services.ingest.media_queries import Ended, Waiting
from shared import cloudevents, outbox
from shared.broker import Message, Record
from shared.cloudevents import Received
from shared.events import (
    Attachment,
    AttachmentFetched,
    AttachmentLost,
    AttachmentRequested,
    MessageReceived,
)
from shared.ids import new_id
from shared.topics import MESSAGES_RECEIVED

_TOLD: Final = (b'"attachments":[', b'"attachment.requested"')


def read(record: Record) -> Received | None:
    """What concerns us; most records name no file, and are not taken apart for it. A record that
    cannot be read is the router's to park, once."""
    if not any(word in record.value for word in _TOLD):
        return None
    try:
        return cloudevents.decode(record)
    except Exception:
        return None


@dataclass(frozen=True)
class MediaHandlers:
    now: Callable[[], datetime]

    async def on_messages(
        self, connection: AsyncConnection, batch: Sequence[Received | None]
    ) -> None:
        """A row for each file that has to be fetched."""
        received = [each for each in batch if each is not None]
        found = {(f.message_id, f.number): f for each in received for f in _files(each)}
        again = {(f.message_id, f.number): f for each in received for f in _asked(each)}
        if found:
            ended = await queries.note(connection, list(found.values()), self.now())
            await outbox.enqueue(connection, [told(each) for each in ended])
        if again:
            await queries.ask_again(connection, list(again.values()), self.now())


def told(ended: Ended) -> Message:
    """How a file ended, as the router hears it: behind its message, in the same partition."""
    waiting = ended.waiting
    common: dict[str, Any] = {
        "message_id": waiting.message_id,
        "account": waiting.account,
        "reference": waiting.reference,
        "file": waiting.file,
        "at": ended.at,
    }
    body: AttachmentFetched | AttachmentLost
    if ended.blob is not None:
        body = AttachmentFetched(**common, blob=ended.blob, content_type=ended.content_type)
    else:
        body = AttachmentLost(**common, code=ended.code, reason=ended.reason)
    return cloudevents.encode(
        MESSAGES_RECEIVED, waiting.key, body, id=str(new_id()), source=f"/ingest/{waiting.account}"
    )


def _files(received: Received) -> list[Waiting]:
    message = received.body
    if not isinstance(message, MessageReceived):
        return []
    return [
        Waiting(
            message.id,
            number,
            message.account,
            message.thread.message_id,
            received.record.key,
            file,
        )
        for number, file in enumerate(message.attachments, start=1)
        if _is_away(file)
    ]


def _asked(received: Received) -> list[Waiting]:
    asked = received.body
    if not isinstance(asked, AttachmentRequested) or not _is_away(asked.file):
        return []
    key = received.record.key
    return [
        Waiting(asked.message_id, asked.number, asked.account, asked.reference, key, asked.file)
    ]


def _is_away(file: Attachment) -> bool:
    return file.blob is None and bool(file.url or file.media_id)
