"""Our own messages coming back: most providers send along what we sent, and some without a mark.

One that came back is recognised by its id at the provider. It may outrun our own report of that id;
then it is known by being ours in all else: the same account, customer and words, a moment ago.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database import driver
from shared.events import Channel, MessageReceived

# Of WhatsApp only what was typed in its own app comes back, never what we sent.
_BY_HAND_ONLY: Final[frozenset[Channel]] = frozenset(("whatsapp",))


async def returned(
    connection: AsyncConnection,
    batch: Sequence[MessageReceived],
    customers: Mapping[UUID, UUID],
    now: datetime,
) -> frozenset[UUID]:
    """Which of the echoes in `batch` are of our own messages; `customers` by message."""
    echoes = [message for message in batch if message.echo]
    if not echoes:
        return frozenset()
    rows = await (await driver(connection)).fetch(
        _RETURNED,
        [message.id for message in echoes],
        [message.account for message in echoes],
        [message.thread.message_id for message in echoes],
        [customers[message.id] for message in echoes],
        [message.text for message in echoes],
        [bool(message.attachments) for message in echoes],
        [message.channel not in _BY_HAND_ONLY for message in echoes],
        now,
    )
    return frozenset(row["id"] for row in rows)


# One that waits to be reported counts whatever its words for two minutes: what holds a code is
# stored masked. A file comes back under an address of the provider's, without our words.
_RETURNED: Final = """
SELECT echo.id FROM unnest(
    $1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::text[], $6::bool[], $7::bool[]
) AS echo (id, account, provider_id, customer_id, words, files, ours_too)
WHERE EXISTS (
    SELECT 1 FROM messages WHERE messages.account = echo.account
    AND messages.provider_id = echo.provider_id AND messages.provider_id <> ''
    AND messages.direction = 'out'
) OR echo.ours_too AND EXISTS (
    SELECT 1 FROM messages WHERE messages.customer_id = echo.customer_id
    AND messages.account = echo.account AND messages.direction = 'out'
    AND messages.occurred_at > $8::timestamptz - interval '1 day'
    AND (
        messages.state IN ('pending', 'unknown') AND (
            btrim(messages.text, E' \\n\\t\\r') = echo.words
            OR messages.occurred_at > $8::timestamptz - interval '2 minutes'
        )
        OR messages.state IN ('sent', 'delivered', 'read')
        AND messages.occurred_at > $8::timestamptz - interval '10 minutes' AND (
            btrim(messages.text, E' \\n\\t\\r') = echo.words
            OR echo.files AND messages.data -> 'attachments' <> '[]'::jsonb
        )
    )
)
"""
