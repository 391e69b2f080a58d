"""What consumers drop: whatever an erased person had left in the log before they were erased.

A message they write later is a new customer's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from services.router.recognising import named
from shared import ledger
from shared.events import DeliveryStatusReceived, Identity, MessageReceived
from shared.ledger import Key


async def admitted(
    connection: AsyncConnection, messages: Sequence[MessageReceived]
) -> Sequence[MessageReceived]:
    """The messages that may be taken; two statements a batch."""
    key = await ledger.obey(connection)
    marks = {message.id: list(_marks(message, key)) for message in messages}
    barred = await ledger.known(connection, {mark for each in marks.values() for mark in each})
    if not barred:
        return messages
    return [
        message
        for message in messages
        if not any(message.received_at <= barred[m] for m in marks[message.id] if m in barred)
    ]


def _marks(message: MessageReceived, key: Key) -> Iterator[bytes]:
    yield message.id.bytes
    yield from map(key.identity, senders(message))


def senders(message: MessageReceived) -> Sequence[Identity]:
    """Who surely wrote it: what else an unproven sender says of themselves may be another's."""
    if message.sender.authentication == "proven":
        return tuple(named(message))
    return message.sender.identities[:1]


async def unbarred(
    connection: AsyncConnection, statuses: Sequence[DeliveryStatusReceived]
) -> Sequence[DeliveryStatusReceived]:
    """Statuses that nobody's message fits, without those of erased messages."""
    if not statuses:
        return statuses
    key = await ledger.key(connection)
    marks = {s.id: key.provider(s.account, s.provider_id) for s in statuses}
    barred = await ledger.known(connection, set(marks.values()))
    return [status for status in statuses if marks[status.id] not in barred]
