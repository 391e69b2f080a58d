"""The published events: each once, with a position that leaves no gap and is committed in order.

Positions are taken like the log's offsets: the row that holds the next one stays locked until the
transaction ends, so whoever read up to 7 will never see a 5 appear. What is due to subscriptions is
planned in the same transaction; a delivery has no body of its own but its event's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.notifier.audience import SEES, Audience
from shared.database import driver
from shared.errors import Gone, Invalid
from shared.events import CaseChanged, type_name

SCANNED: Final = 50_000  # positions that one look goes through, whatever it finds
_TRIMMED: Final = 5_000


@dataclass(frozen=True, slots=True)
class Entry:
    """An event about to be published. `message_id`: the message it tells of, if any."""

    event_id: str
    case_id: UUID
    message_id: UUID | None
    seq: int
    version: int
    type: str
    at: datetime
    team: str
    account: str
    confidential: bool
    body: bytes


@dataclass(frozen=True, slots=True)
class Event:
    """One of the feed. `body`: `{type, timestamp, data}`."""

    position: int
    type: str
    team: str
    account: str
    confidential: bool
    body: dict[str, Any]


class Reach(NamedTuple):
    """Kept are the positions from `start` on; `next` is not there yet."""

    start: int
    next: int


def entry(event_id: str, change: CaseChanged, account: str, body: bytes) -> Entry:
    return Entry(
        event_id, change.case_id, getattr(change.event, "message_id", None), change.seq,
        change.version, type_name(type(change.event).__name__), change.at, change.team, account,
        change.confidential, body,
    )  # fmt: skip


async def accounts_of(connection: AsyncConnection, cases: Sequence[UUID]) -> dict[UUID, str]:
    """By which account of ours each case came; without those that are gone."""
    rows = await (await driver(connection)).fetch(_ACCOUNTS, list(cases))
    return {row["id"]: row["account"] for row in rows}


async def unpublished(connection: AsyncConnection, ids: Sequence[str]) -> set[str]:
    """Those of these events that the feed does not have."""
    rows = await (await driver(connection)).fetch(_KNOWN, list(ids))
    return set(ids) - {row["event_id"] for row in rows}


async def append(connection: AsyncConnection, entries: Sequence[Entry], now: datetime) -> None:
    """In this order. Comes last in its transaction: the others wait for it to end."""
    if not entries:
        return
    rows = [
        (e.event_id, e.case_id, e.message_id, e.seq, e.version, e.type, e.at, e.team, e.account,
         e.confidential, e.body.decode())
        for e in entries
    ]  # fmt: skip
    await (await driver(connection)).execute(_APPEND, *zip(*rows, strict=True), now, len(rows))


async def reach(connection: AsyncConnection) -> Reach:
    row = await (await driver(connection)).fetchrow("SELECT start, next FROM feed_position")
    return Reach(row["start"], row["next"])


async def first_since(connection: AsyncConnection, at: datetime | None) -> int:
    """The first position that was published at `at` or later; the oldest kept, for None."""
    low, high = await reach(connection)
    raw = await driver(connection)
    while at is not None and low < high:
        middle = (low + high) // 2
        row = await raw.fetchrow(_AT, middle)
        if row is None or row["fed_at"] >= at:
            high = middle
        else:
            low = row["position"] + 1
    return low


async def read(
    connection: AsyncConnection, audience: Audience, after: int, upto: int, limit: int
) -> list[Event]:
    """Of the positions in (after, upto], the first `limit` that this audience takes."""
    who, types = audience.who, audience.types
    rows = await (await driver(connection)).fetch(
        _READ, after, upto, None if types is None else list(types), who.role, list(who.teams),
        list(who.accounts), limit,
    )  # fmt: skip
    return [Event(**row) for row in rows]


async def look(
    connection: AsyncConnection, audience: Audience, after: int, limit: int
) -> tuple[list[Event], int]:
    """The next events of this audience, and the position from which to go on. Raises Gone."""
    kept = await reach(connection)
    check(after, kept)
    upto = min(kept.next - 1, after + SCANNED)
    found = await read(connection, audience, after, upto, limit)
    return found, found[-1].position if len(found) == limit else upto


def position_of(cursor: str, kept: Reach) -> int:
    """What `after` says: a cursor of ours, `latest`, or nothing for the oldest there is. Raises
    Invalid, and Gone."""
    if not cursor:
        return kept.start - 1
    if cursor == "latest":
        return kept.next - 1
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
        raise Invalid(
            "`after` takes the next_cursor of a page, the id of a stream's event, or `latest`",
            name="cursor-invalid",
        )
    check(int(cursor), kept)
    return int(cursor)


def check(after: int, kept: Reach) -> None:
    """Raises Gone when what follows `after` is not, or not any more, what the reader takes it
    for."""
    if after < kept.start - 1:
        raise Gone(
            f"events up to {kept.start - 1} are kept no longer: read the cases you follow anew "
            f"(GET /v1/cases/{{id}}), then go on with after={kept.start - 1}",
            name="events-gone",
            oldest=str(kept.start - 1),
        )
    if after >= kept.next:
        raise Gone(
            f"there is no event {after} yet: the cursor is of another installation, or of before "
            "a restore. Read the cases you follow anew, then go on with after=latest",
            name="events-ahead",
            oldest=str(kept.start - 1),
        )


async def trim(connection: AsyncConnection, before: datetime) -> int:
    """Forgets one batch of what was published before; how many."""
    raw = await driver(connection)
    rows = await raw.fetch(_TRIM, before, _TRIMMED)
    if rows:
        last = max(row["position"] for row in rows)
        await raw.execute("UPDATE feed_position SET start = greatest(start, $1)", last + 1)
    return len(rows)


_ACCOUNTS: Final = "SELECT id, account FROM case_heads WHERE id = ANY ($1)"
_KNOWN: Final = "SELECT event_id FROM feed WHERE event_id = ANY ($1)"
_APPEND: Final = """
WITH taken AS (UPDATE feed_position SET next = next + $13 RETURNING next - $13 AS first)
INSERT INTO feed (position, event_id, case_id, message_id, seq, version, type, at, team, account,
    confidential, body, fed_at)
SELECT taken.first + n.number - 1, n.event_id, n.case_id, n.message_id, n.seq, n.version, n.type,
    n.at, n.team, n.account, n.confidential, n.body, $12
FROM taken, unnest($1::text[], $2::uuid[], $3::uuid[], $4::int[], $5::int[], $6::text[],
    $7::timestamptz[], $8::text[], $9::text[], $10::boolean[], $11::jsonb[]) WITH ORDINALITY
    AS n (event_id, case_id, message_id, seq, version, type, at, team, account, confidential, body,
    number)
"""
# By halves: positions are in the order of `fed_at`, which has no index.
_AT: Final = """
SELECT position, fed_at FROM feed WHERE position >= $1 ORDER BY position LIMIT 1
"""
_READ: Final = f"""
SELECT e.position, e.type, e.team, e.account, e.confidential, e.body
FROM feed e, (SELECT $4::text AS role, $5::text[] AS teams, $6::text[] AS accounts) AS k
WHERE e.position > $1 AND e.position <= $2 AND ($3::text[] IS NULL OR e.type = ANY ($3)) AND {SEES}
ORDER BY e.position LIMIT $7
"""  # noqa: S608 - our own text
# By position, which is the order of `fed_at` but for the spread of the processes' clocks.
_TRIM: Final = """
DELETE FROM feed WHERE position IN (
    SELECT position FROM (SELECT position, fed_at FROM feed ORDER BY position LIMIT $2) AS oldest
    WHERE fed_at < $1)
RETURNING position
"""
