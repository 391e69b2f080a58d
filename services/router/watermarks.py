"""A provider's word on all that was sent to somebody until then, as a word on each of them.

Messenger tells how far a person has read, and sometimes how far was delivered, without naming a
message. When a message of ours reached the provider is not stored; when it was asked for is, and is
at most the time of sending earlier.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database import driver
from shared.events import DeliveryStatusReceived, Identity

Statuses = list[DeliveryStatusReceived]


async def spread(connection: AsyncConnection, statuses: Statuses) -> Statuses:
    """`statuses`, each about one message. What reaches none of ours is dropped."""
    marks = [(status, who) for status in statuses if (who := status.recipient) is not None]
    single = [status for status in statuses if status.recipient is None]
    return single + await _each(connection, marks) if marks else single


async def _each(
    connection: AsyncConnection, marks: Sequence[tuple[DeliveryStatusReceived, Identity]]
) -> Statuses:
    rows = await (await driver(connection)).fetch(
        _REACHED,
        list(range(len(marks))),
        [status.account for status, _ in marks],
        [who.scheme for _, who in marks],
        [who.value for _, who in marks],
        [status.at for status, _ in marks],
    )
    return [
        replace(
            marks[row["mark"]][0],
            provider_id=row["provider_id"],
            correlation=str(row["id"]),
            recipient=None,
        )
        for row in rows
    ]


_REACHED: Final = """
SELECT mark.number AS mark, messages.id, messages.provider_id
FROM unnest($1::int[], $2::text[], $3::text[], $4::text[], $5::timestamptz[])
    AS mark (number, account, scheme, value, until)
JOIN identities ON identities.scheme = mark.scheme AND identities.value = mark.value
JOIN messages ON messages.customer_id = identities.customer_id
    AND messages.account = mark.account AND messages.direction = 'out'
    AND messages.state IN ('sent', 'delivered') AND messages.occurred_at <= mark.until
    AND messages.occurred_at > mark.until - interval '30 days'
ORDER BY mark.number, messages.occurred_at
"""
