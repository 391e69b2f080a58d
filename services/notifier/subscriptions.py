"""Subscriptions: who is told of which events, at which address.

Each is a target too (`subscription:<id>` in `targets`), which has its secret and whether it is
disabled. It acts for the key that last wrote it: it gets what that key may read, and nothing once
the key is revoked or has expired.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.notifier import feed, secrets
from services.notifier.audience import SEES, WANTS
from services.notifier.feed import Entry
from services.notifier.models import EVENT, target_of
from shared.database import driver
from shared.errors import Conflict, NotFound
from shared.ids import new_id
from shared.security import Caller

KIND: Final = "subscription"
MOST: Final = 1_000  # of one owner
_LOCK: Final = 7_233_031


@dataclass(frozen=True, slots=True)
class Subscription:
    """failing_since  the first failure after the last success
    missed_from       the feed's position from which it was given nothing, while it was disabled
    keyless           its key was revoked or has expired
    """

    id: UUID
    url: str
    events: tuple[str, ...]
    owner: str
    created_at: datetime
    updated_at: datetime
    failing_since: datetime | None
    missed_from: int | None
    rotated_at: datetime | None
    previous_until: datetime | None
    disabled_at: datetime | None
    disabled_reason: str
    keyless: bool

    @property
    def enabled(self) -> bool:
        return self.disabled_at is None and not self.keyless

    @property
    def target(self) -> str:
        return target(self.id)


def target(subscription: UUID) -> str:
    return target_of(KIND, str(subscription))


def owner_of(who: Caller) -> str:
    """All keys of one role and name own together, so that a key can be replaced."""
    return f"{who.role} {who.agent}" if who.agent else f"key {who.key_id}"


async def create(
    connection: AsyncConnection, who: Caller, url: str, events: Sequence[str], now: datetime
) -> tuple[Subscription, str]:
    """With its secret, to be shown this once. Raises Conflict when there are too many."""
    raw, id, secret = await driver(connection), new_id(), secrets.new_secret()
    if await raw.fetchval(_COUNT, owner_of(who)) >= MOST:
        raise Conflict(
            f"there are {MOST} subscriptions already: delete one, or subscribe one to more events",
            name="too-many-subscriptions",
        )
    await raw.execute(_INSERT, id, url, list(events), owner_of(who), who.key_id, now)
    await secrets.show(connection, target(id), secret, now)
    return await find(connection, who, id, now), secret


async def find(connection: AsyncConnection, who: Caller, id: UUID, now: datetime) -> Subscription:
    """Raises NotFound, for somebody else's too."""
    rows = await (await driver(connection)).fetch(_FIND, *_mine(who), now, id)
    if not rows:
        raise NotFound("no subscription of yours has this id: GET /v1/subscriptions lists them")
    return _subscription(rows[0])


async def listing(
    connection: AsyncConnection, who: Caller, after: UUID | None, limit: int, now: datetime
) -> list[Subscription]:
    """An admin's are everybody's. The oldest first."""
    start = after or UUID(int=0)
    rows = await (await driver(connection)).fetch(_LIST, *_mine(who), now, start, limit)
    return [_subscription(row) for row in rows]


async def change(
    connection: AsyncConnection, who: Caller, id: UUID, url: str, events: Sequence[str],
    now: datetime,
) -> None:  # fmt: skip
    """From here on it acts for the owner's present key; an admin's change leaves it where it is."""
    await (await driver(connection)).execute(
        _CHANGE, id, url, list(events), now, None if who.role == "admin" else who.key_id
    )


async def disable(connection: AsyncConnection, id: UUID, reason: str, now: datetime) -> None:
    raw = await driver(connection)
    await raw.execute(_DISABLE, target(id), now, reason)
    await missed(connection, [id])


async def missed(connection: AsyncConnection, ids: Sequence[UUID]) -> None:
    """These were disabled in this transaction: what the feed takes from here on passes them by."""
    await (await driver(connection)).execute(_MISSED, list(ids))


async def enable(connection: AsyncConnection, id: UUID) -> None:
    """Whatever the feed has when this returns is known to be missed; what comes is planned."""
    raw = await driver(connection)
    await raw.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
    await raw.execute(_ENABLE, target(id))
    await raw.execute(_WELL, id)


async def miss_since_key(connection: AsyncConnection, id: UUID) -> None:
    """It is about to act for another key: nothing was planned since its last one ended. As with
    `enable`, whatever the feed has when this returns is known to be missed."""
    raw = await driver(connection)
    await raw.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
    ended = await raw.fetchval(_KEY_ENDED, id)
    position = await feed.first_since(connection, ended)
    await raw.execute(_MISSED_SINCE, id, position)


async def remove(connection: AsyncConnection, id: UUID, now: datetime) -> None:
    """What waits for it is dropped, by and by; its target goes after that."""
    raw = await driver(connection)
    await raw.execute("DELETE FROM subscriptions WHERE id = $1", id)
    await raw.execute("DELETE FROM replays WHERE subscription_id = $1", id)
    await raw.execute(_DISABLE, target(id), now, "deleted")
    await raw.execute(_SETTLE_LETTER, id)


async def plan(
    connection: AsyncConnection, entries: Sequence[Entry], now: datetime, lives: timedelta
) -> None:
    """A delivery of each event to each enabled subscription that takes it: one statement, however
    many there are. Holds off whoever enables one until this transaction ends."""
    raw = await driver(connection)
    await raw.execute("SELECT pg_advisory_xact_lock_shared($1)", _LOCK)
    if not entries:
        return
    rows = [
        (e.event_id, e.case_id, e.seq, e.version, e.type, e.at, e.team, e.account, e.confidential)
        for e in entries
    ]
    await raw.execute(_PLAN, now, now + lives, *zip(*rows, strict=True))


async def disabled_count(connection: AsyncConnection) -> int:
    return int(await (await driver(connection)).fetchval(_COUNT_DISABLED))


def _mine(who: Caller) -> tuple[bool, str, str]:
    return who.role == "admin", owner_of(who), who.key_id


def _subscription(row: Mapping[str, Any]) -> Subscription:
    return Subscription(**(dict(row) | {"events": tuple(row["events"])}))


# Keys that live; the environment's admin key has no row.
_KEYS: Final = """(SELECT id, role, teams, accounts FROM api_keys
    WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $1)
    UNION ALL SELECT 'admin', 'admin', '{}', '{}')"""
# One event and one subscription are one delivery for ever, as `models.delivery_id` has it for the
# others; by MD5, because the database makes these.
DELIVERY_ID: Final = "md5('subscription:' || k.subscription || chr(31) || e.event_id)::uuid"
DELIVERIES: Final = f"""
INSERT INTO deliveries AS d (id, event_id, case_id, seq, version, effect, target, lane, payload, at,
    expires_at, next_at, created_at)
SELECT {DELIVERY_ID}, e.event_id, e.case_id, e.seq, e.version, '{EVENT}',
    'subscription:' || k.subscription, '', '{{}}', e.at, $2, $1, $1
FROM e JOIN k ON k.type = e.type AND {SEES}
"""  # noqa: S608 - our own text
# Which subscriptions take which of the types at hand, before any event is looked at by itself.
TAKERS: Final = f"""k AS MATERIALIZED (
    SELECT s.id AS subscription, e.type, key.role, key.teams, key.accounts
    FROM (SELECT DISTINCT type FROM e) AS e
    JOIN subscriptions s ON {WANTS}
    JOIN targets t ON t.target = 'subscription:' || s.id AND t.disabled_at IS NULL
    JOIN {_KEYS} AS key ON key.id = s.key_id
)"""  # noqa: S608 - our own text
_PLAN: Final = f"""
WITH e AS MATERIALIZED (
    SELECT * FROM unnest($3::text[], $4::uuid[], $5::int[], $6::int[], $7::text[],
        $8::timestamptz[], $9::text[], $10::text[], $11::boolean[])
    AS e (event_id, case_id, seq, version, type, at, team, account, confidential)
), {TAKERS}
{DELIVERIES}
ON CONFLICT DO NOTHING
"""  # noqa: S608 - our own text

_COLUMNS: Final = """
SELECT s.id, s.url, s.events, s.owner, s.created_at, s.updated_at, s.failing_since, s.missed_from,
    t.rotated_at, t.previous_until, t.disabled_at, t.disabled_reason,
    s.key_id <> 'admin' AND NOT EXISTS (SELECT FROM api_keys k WHERE k.id = s.key_id
        AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > $4)) AS keyless
FROM subscriptions s JOIN targets t ON t.target = 'subscription:' || s.id
WHERE ($1 OR s.owner = $2 OR s.key_id = $3)
"""
_FIND: Final = f"{_COLUMNS} AND s.id = $5"
_LIST: Final = f"{_COLUMNS} AND s.id > $5 ORDER BY s.id LIMIT $6"
_COUNT: Final = "SELECT count(*) FROM subscriptions WHERE owner = $1"
_INSERT: Final = """
INSERT INTO subscriptions (id, url, events, owner, key_id, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $6)
"""
_CHANGE: Final = """
UPDATE subscriptions SET url = $2, events = $3, updated_at = $4, key_id = coalesce($5, key_id)
WHERE id = $1
"""
_DISABLE: Final = """
UPDATE targets SET disabled_at = $2, disabled_reason = $3 WHERE target = $1 AND disabled_at IS NULL
"""
_ENABLE: Final = "UPDATE targets SET disabled_at = NULL, disabled_reason = '' WHERE target = $1"
_MISSED: Final = """
UPDATE subscriptions SET missed_from = coalesce(missed_from, (SELECT next FROM feed_position))
WHERE id = ANY ($1)
"""
_KEY_ENDED: Final = """
SELECT least(k.revoked_at, k.expires_at) FROM subscriptions s JOIN api_keys k ON k.id = s.key_id
WHERE s.id = $1
"""
_MISSED_SINCE: Final = """
UPDATE subscriptions SET missed_from = least(missed_from, $2) WHERE id = $1
"""
_WELL: Final = "UPDATE subscriptions SET failing_since = NULL, failed_again_at = NULL WHERE id = $1"
_SETTLE_LETTER: Final = """
UPDATE dead_letters SET state = 'discarded', note = 'the subscription was deleted'
WHERE id = $1 AND state = 'waiting'
"""
_COUNT_DISABLED: Final = """
SELECT count(*) FROM subscriptions s JOIN targets t ON t.target = 'subscription:' || s.id
WHERE t.disabled_at IS NOT NULL
"""
