"""The single path from what a door parsed to the log: bytes first, then one publish."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec

from services.ingest.owning import Owning
from shared.blobs import Blobs, blob_for
from shared.broker import Broker, Message
from shared.channels import NewBlob, Parked, Parsed, WebhookRequest
from shared.channels.bodies import keep
from shared.cloudevents import encode
from shared.events import DeliveryStatusReceived, MessageReceived
from shared.keys import delivery_key, message_key
from shared.parking import park
from shared.telemetry import ACCEPTED, LAST_EVENT, trace
from shared.topics import DELIVERIES_REPORTED, MESSAGES_RECEIVED

# Kafka refuses records over 1 MB unless told otherwise; this leaves room for headers.
LARGEST_EVENT: Final = 900_000
_RAW_IN_EVENT: Final = 64_000


@dataclass(frozen=True)
class Intake:
    """Accepts what a door has verified and parsed. The same for every door."""

    broker: Broker
    blobs: Blobs
    now: Callable[[], datetime]

    async def accept(
        self,
        parsed: Parsed,
        account: str,
        request: WebhookRequest | None = None,
        replayed_at: datetime | None = None,
    ) -> None:
        """Returns once all of it is durable. Raises Unavailable; then the sender must come again.

        account  whose door it was: what is parked is listed under it
        request  kept with what is parked, so that a later parser can read it again
        replayed_at  for what an operator sends again: it counts as a late arrival
        """
        given = list(parsed.blobs)
        parked = list(parsed.parked)
        records: list[Message] = []
        fitted = [_fit(message, given) for message in parsed.messages]
        owning = Owning({blob.ref: blob.content for blob in given})
        for message in fitted:
            record = _message(owning.own(message), replayed_at)
            if len(record.value) > LARGEST_EVENT:
                parked.append(_too_large(record))
            else:
                records.append(record)
        blobs = owning.new
        records.extend(_status(status) for status in parsed.statuses)
        for item in parked:
            record, bytes_of = park(item, account, self._received_at(request), request)
            blobs.extend(bytes_of)
            records.append(record)
        await self._make_durable(blobs, records)
        _count(parsed, parked, account)
        LAST_EVENT.labels(account).set(self.now().timestamp())

    async def _make_durable(self, blobs: Iterable[NewBlob], records: Sequence[Message]) -> None:
        contents = {blob.ref: blob.content for blob in blobs}
        # The event points at its bytes, so they are on disk before it can be read.
        await self.blobs.put(list(contents.items()))
        if records:
            await self.broker.publish(records)

    def _received_at(self, request: WebhookRequest | None) -> datetime:
        return request.received_at if request else self.now()


def _message(message: MessageReceived, replayed_at: datetime | None) -> Message:
    return encode(
        MESSAGES_RECEIVED,
        message_key(message),
        message,
        id=str(message.id),
        source=f"/ingest/{message.account}",
        trace=trace.get(),
        replayed_at=replayed_at,
    )


def _status(status: DeliveryStatusReceived) -> Message:
    return encode(
        DELIVERIES_REPORTED,
        delivery_key(status.account, status.provider_id),
        status,
        id=str(status.id),
        source=f"/ingest/{status.account}",
        trace=trace.get(),
    )


def _fit(message: MessageReceived, blobs: list[NewBlob]) -> MessageReceived:
    """The message as the log may carry it; the bytes it no longer holds are added to `blobs`."""
    changes = dict(_shortened(message, blobs))
    if message.raw is not None:
        raw = msgspec.json.encode(message.raw)
        if len(raw) > _RAW_IN_EVENT:
            blobs.append(NewBlob(blob_for(raw).ref, raw))
            changes |= {"raw": None, "raw_blob": message.raw_blob or blob_for(raw)}
    return msgspec.structs.replace(message, **changes) if changes else message


def _shortened(message: MessageReceived, blobs: list[NewBlob]) -> Iterator[tuple[str, object]]:
    text = keep(message.text)
    if text.blob is not None:
        blobs.extend(text.new)
        yield "text", text.text
        yield "text_blob", text.blob
    reply = keep(message.reply_text)
    if reply.blob is not None:
        yield "reply_text", reply.text


def _too_large(record: Message) -> Parked:
    return Parked(record.value, f"the message alone takes {len(record.value)} bytes of the log")


def _count(parsed: Parsed, parked: Sequence[Parked], account: str) -> None:
    for message in parsed.messages:
        ACCEPTED.labels(message.account, "message").inc()
    for status in parsed.statuses:
        ACCEPTED.labels(status.account, "status").inc()
    if parked:
        ACCEPTED.labels(account, "parked").inc(len(parked))
