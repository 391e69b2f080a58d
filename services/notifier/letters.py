"""Deliveries given up, where an operator sees them: in the dead-letter table, and back from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notifier import replaying, subscriptions
from services.notifier.effects import NOTICE_LIVES
from services.notifier.models import EVENT
from services.notifier.outcomes import Outcome
from shared.broker.headers import pack
from shared.database import driver
from shared.errors import Conflict, NotFound
from shared.security import Caller

TOPIC: Final = "deliveries"
_OPERATOR: Final = Caller("admin", "operator")


async def add(connection: AsyncConnection, outcomes: Sequence[Outcome], now: datetime) -> None:
    """One dead letter a delivery, under the delivery's own id; a repeat counts. Of a subscription
    one for all that was tried in vain, under its id: its owner has the list."""
    raw = await driver(connection)
    own = [_row(each) for each in outcomes if not each.delivery.is_published]
    if own:
        await raw.execute(_ADD, *zip(*own, strict=True), TOPIC, pack(()), now)
    vain = [each for each in outcomes if each.delivery.effect == EVENT and each.attempt]
    if vain:
        counted = Counter(UUID(each.delivery.address) for each in vain)
        reasons = {UUID(each.delivery.address): each.error for each in vain}
        rows = [(id, reasons[id], count) for id, count in sorted(counted.items())]
        await raw.execute(_ADD_VAIN, *zip(*rows, strict=True), TOPIC, pack(()), now)


async def replay(connection: AsyncConnection, delivery_id: UUID, now: datetime) -> None:
    """Sends a notification that was given up once more, from the first try, under the same id.

    It opens a target that had answered 410. For a subscription all that failed or was missed is
    sent, by and by. Raises NotFound; raises Conflict for a reply, since the case was given back to
    its agents, and for what is alive or was sent.
    """
    raw = await driver(connection)
    row = await raw.fetchrow(_FIND, delivery_id)
    if row is None:
        if await _replay_subscription(connection, delivery_id, now):
            return
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


async def _replay_subscription(connection: AsyncConnection, id: UUID, now: datetime) -> bool:
    try:
        found = await subscriptions.find(connection, _OPERATOR, id, now)
    except NotFound:
        return False
    if found.disabled_at is not None:
        await subscriptions.enable(connection, id)
    await replaying.missing(connection, replace(found, disabled_at=None), _OPERATOR.actor, now)
    return True


def _row(outcome: Outcome) -> tuple[object, ...]:
    delivery = outcome.delivery
    payload = dict(delivery.payload)
    if payload.get("secret"):
        payload["text"] = ""
    if "answer_url" in payload.get("data", {}):  # by which a partner answers without a key
        payload["data"] = payload["data"] | {"answer_url": ""}
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
_ADD_VAIN: Final = """
INSERT INTO dead_letters AS d
    (id, topic, dedupe, key, value, headers, type, reason, first_at, last_at, count)
SELECT n.id, $4, n.id::text, '', convert_to(json_build_object('subscription_id', n.id)::text,
    'UTF8'), $5, 'subscription', n.reason, $6, $6, n.count
FROM unnest($1::uuid[], $2::text[], $3::int[]) AS n (id, reason, count)
ON CONFLICT (dedupe) DO UPDATE SET count = d.count + excluded.count, reason = excluded.reason,
    last_at = excluded.last_at, state = 'waiting'
"""
_FIND: Final = "SELECT effect, state, target FROM deliveries WHERE id = $1 FOR UPDATE"
_REVIVE: Final = """
UPDATE deliveries SET state = 'pending', next_at = $2, expires_at = greatest(expires_at, $3),
    attempts_before = attempts, ended_at = NULL
WHERE id = $1
"""
_OPEN: Final = "UPDATE targets SET disabled_at = NULL, disabled_reason = '' WHERE target = $1"
