"""Deliveries given up, where an operator sees them: in the dead-letter table, and back from it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notifier.effects import NOTICE_LIVES
from services.notifier.outcomes import Outcome
from shared.broker.headers import pack
from shared.database import driver
from shared.errors import Conflict, NotFound

TOPIC: Final = "deliveries"


async def add(connection: AsyncConnection, outcomes: Sequence[Outcome], now: datetime) -> None:
    """One dead letter a delivery, under the delivery's own id; a repeat counts."""
    if not outcomes:
        return
    await (await driver(connection)).execute(
        _ADD, *zip(*map(_row, outcomes), strict=True), TOPIC, pack(()), now
    )


async def replay(connection: AsyncConnection, delivery_id: UUID, now: datetime) -> None:
    """Sends a notification that was given up once more, from the first try, under the same id.

    It opens a target that had answered 410. Raises NotFound; raises Conflict for a reply, since
    the case was given back to its agents, and for what is alive or was sent.
    """
    raw = await driver(connection)
    row = await raw.fetchrow(_FIND, delivery_id)
    if row is None:
        raise NotFound("no delivery of this id: it is forgotten 30 days after its end")
    if row["effect"] == "reply":
        raise Conflict(
            "a reply is not replayed: its case is open again, answer the customer there, or "
            "discard this letter",
            name="reply-not-replayed",
        )
    if row["state"] not in ("failed", "dropped"):
        raise Conflict(f"this delivery is {row['state']}: there is nothing to replay")
    await raw.execute(_REVIVE, delivery_id, now, now + NOTICE_LIVES)
    await raw.execute(_OPEN, row["target"])


def _row(outcome: Outcome) -> tuple[object, ...]:
    delivery = outcome.delivery
    payload = dict(delivery.payload)
    if payload.get("secret"):
        payload["text"] = ""
    account = delivery.address if delivery.kind == "account" else ""
    value = msgspec.json.encode(payload)
    return (
        delivery.id, delivery.case_id.bytes, value, account, delivery.effect, outcome.error
    )  # fmt: skip


_ADD: Final = """
INSERT INTO dead_letters AS d
    (id, topic, dedupe, key, value, headers, account, type, reason, first_at, last_at)
SELECT n.id, $7, n.id::text, n.key, n.value, $8, n.account, n.type, n.reason, $9, $9
FROM unnest($1::uuid[], $2::bytea[], $3::bytea[], $4::text[], $5::text[], $6::text[])
    AS n (id, key, value, account, type, reason)
ON CONFLICT (dedupe) DO UPDATE SET
    count = d.count + 1, reason = excluded.reason, last_at = excluded.last_at, state = 'waiting'
"""
_FIND: Final = "SELECT effect, state, target FROM deliveries WHERE id = $1 FOR UPDATE"
_REVIVE: Final = """
UPDATE deliveries SET state = 'pending', next_at = $2, expires_at = greatest(expires_at, $3),
    attempts_before = attempts, ended_at = NULL
WHERE id = $1
"""
_OPEN: Final = "UPDATE targets SET disabled_at = NULL, disabled_reason = '' WHERE target = $1"
