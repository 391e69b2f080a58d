"""What the handlers read, many rows at a time: the hot path has no query per message."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from services.router.case import Case
from shared.database import driver

_CASES: Final = msgspec.json.Decoder(Case)
# The one order of everything that waits: effective due, priority, age, id.
QUEUE: Final = "due_at, priority, opened_at, id"
Ref = tuple[str, str]  # (account, provider message id)


@dataclass(frozen=True, slots=True)
class Known:
    """A message already stored, found by its provider id."""

    id: UUID
    case_id: UUID
    customer_id: UUID
    account: str
    kind: str
    state: str
    direction: str
    text: str = ""
    marked: str = ""


@dataclass(frozen=True, slots=True)
class Code:
    """A resume code on record."""

    hash: bytes
    digits: bytes | None
    handoff_id: UUID
    case_id: UUID
    customer_id: UUID
    channel: str
    address: str
    expires_at: datetime
    redeemed_at: datetime | None


class Opening(NamedTuple):
    """What an agent with room could take: a team's cases on these channels, of these skills."""

    team: str
    skills: tuple[str, ...]
    channels: tuple[str, ...]


async def unseen(connection: AsyncConnection, keys: Sequence[UUID], now: datetime) -> set[UUID]:
    """Notes these keys; returns those nobody noted before (DESIGN 5.2)."""
    rows = await (await driver(connection)).fetch(
        "INSERT INTO dedupe (key, seen_at) SELECT key, $2 FROM unnest($1::uuid[]) AS key "
        "ORDER BY key ON CONFLICT DO NOTHING RETURNING key",
        sorted(set(keys)),
        now,
    )
    return {row["key"] for row in rows}


async def messages_by_ref(connection: AsyncConnection, refs: Iterable[Ref]) -> dict[Ref, Known]:
    wanted = sorted(set(refs))
    if not wanted:
        return {}
    rows = await (await driver(connection)).fetch(
        "SELECT account, provider_id, id, case_id, customer_id, kind, state, direction, "
        "left(text, 600) AS text, marked "
        "FROM messages JOIN unnest($1::text[], $2::text[]) AS wanted (account, provider_id) "
        "USING (account, provider_id) WHERE provider_id <> '' ORDER BY processed_at",
        *zip(*wanted, strict=True),
    )
    return {(row["account"], row["provider_id"]): _known(row) for row in rows}


async def messages_by_id(connection: AsyncConnection, ids: Iterable[UUID]) -> dict[UUID, Known]:
    wanted = list(ids)
    if not wanted:
        return {}
    rows = await (await driver(connection)).fetch(
        "SELECT id, case_id, customer_id, account, kind, state, direction, "
        "left(text, 600) AS text, marked FROM messages "
        "WHERE id = ANY($1)",
        wanted,
    )
    return {row["id"]: _known(row) for row in rows}


def _known(row: Mapping[str, object]) -> Known:
    return Known(**{name: row[name] for name in Known.__slots__})  # type: ignore[arg-type]


async def codes_by_hash(connection: AsyncConnection, hashes: Iterable[bytes]) -> dict[bytes, Code]:
    """By the hash of the code, or of the digits that stand for it as long as it is not spent.

    Not locked: a code is redeemed under its case's lock, so read it again once that is held.
    """
    wanted = list(hashes)
    if not wanted:
        return {}
    rows = await (await driver(connection)).fetch(
        f"SELECT {', '.join(Code.__slots__)} FROM resume_codes WHERE hash = ANY($1) "  # noqa: S608 - our own field names
        "OR (digits = ANY($1) AND redeemed_at IS NULL) ORDER BY hash",
        wanted,
    )
    found = [Code(**dict(row)) for row in rows]
    by_digits = Counter(code.digits for code in found)
    # nine digits may stand for two codes: then they open neither
    keyed = {code.digits: code for code in found if code.digits and by_digits[code.digits] == 1}
    return keyed | {code.hash: code for code in found}


async def wrong_codes(
    connection: AsyncConnection, senders: Iterable[str], since: datetime
) -> dict[str, int]:
    wanted = list(senders)
    if not wanted:
        return {}
    rows = await (await driver(connection)).fetch(
        "SELECT sender, count(*) AS n FROM wrong_codes WHERE sender = ANY($1) AND at > $2 "
        "GROUP BY sender",
        wanted,
        since,
    )
    return {row["sender"]: row["n"] for row in rows}


async def lock_cases(
    connection: AsyncConnection,
    ids: Collection[UUID],
    customers: Collection[UUID] = (),
    closed_since: datetime | None = None,
) -> dict[UUID, Case]:
    """These cases, and the customers' open or lately closed ones, locked in order of id; with the
    cases that wait for one of them, which learn what becomes of it."""
    raw = await driver(connection)
    waiting = await raw.fetch(_ANCESTORS, list(ids), list(customers), closed_since)
    rows = await raw.fetch(
        "SELECT doc::text AS doc FROM cases WHERE id = ANY($1) "
        "OR customer_id = ANY($2) AND (state <> 'closed' OR closed_at > $3) "
        "ORDER BY id FOR UPDATE",
        [*ids, *(row["id"] for row in waiting)],
        list(customers),
        closed_since,
    )
    return {case.id: case for case in map(_case, rows)}


# Whose parent a case is never changes, so that they can be read before they are locked.
_ANCESTORS: Final = """
WITH RECURSIVE above (id) AS (
    SELECT parent_id FROM cases WHERE parent_id IS NOT NULL AND (id = ANY($1)
        OR customer_id = ANY($2) AND (state <> 'closed' OR closed_at > $3))
    UNION SELECT parent_id FROM cases JOIN above USING (id) WHERE parent_id IS NOT NULL
) SELECT id FROM above
"""


async def lock_idle_cases(connection: AsyncConnection, ids: Iterable[UUID]) -> dict[UUID, Case]:
    """Those of these cases that nobody else is changing right now."""
    rows = await (await driver(connection)).fetch(
        "SELECT doc::text AS doc FROM cases WHERE id = ANY($1) ORDER BY id FOR UPDATE SKIP LOCKED",
        list(ids),
    )
    return {case.id: case for case in map(_case, rows)}


async def any_free(connection: AsyncConnection, teams: Sequence[str]) -> bool:
    """Whether one of these teams has a case that nobody has."""
    found = await (await driver(connection)).fetchval(
        "SELECT EXISTS (SELECT FROM cases WHERE state = 'open' AND agent = '' AND team = ANY($1))",
        teams,
    )
    return bool(found)


async def free_cases(
    connection: AsyncConnection, openings: Sequence[Opening], most: int
) -> Sequence[Mapping[str, Any]]:
    """The first cases nobody has that fit one of these, in the order of the queue; not locked.

    Each opening has its own `most`, so that what one cannot take hides nothing from another.
    """
    wanted = msgspec.json.encode([opening._asdict() for opening in openings]).decode()
    rows: Sequence[Mapping[str, Any]]
    rows = await (await driver(connection)).fetch(_FREE_CASES, wanted, most)
    return rows


_FREE_CASES: Final = f"""
WITH free AS (
    SELECT DISTINCT first.*
    FROM jsonb_to_recordset($1::jsonb) AS opening (team text, skills jsonb, channels text[]),
    LATERAL (
        SELECT id, team, channel, due_at, priority, opened_at, skills AS asked FROM cases
        WHERE state = 'open' AND agent = '' AND cases.team = opening.team
            AND cases.skills <@ opening.skills AND channel = ANY(opening.channels)
        ORDER BY {QUEUE} LIMIT $2
    ) AS first
)
SELECT free.*, ARRAY(SELECT jsonb_array_elements_text(asked)) AS skills,
    coalesce((SELECT doc ->> 'returned_by' FROM cases WHERE cases.id = free.id), '') AS returned_by
FROM free ORDER BY {QUEUE}
"""  # noqa: S608 - our own names


def _case(row: Mapping[str, str]) -> Case:
    return _CASES.decode(row["doc"])
