"""What the handlers read, many rows at a time: the hot path has no query per message."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from services.router.case import Case
from shared.database import driver

_CASES: Final = msgspec.json.Decoder(Case)
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


@dataclass(frozen=True, slots=True)
class Code:
    """A resume code on record."""

    hash: bytes
    handoff_id: UUID
    case_id: UUID
    customer_id: UUID
    channel: str
    address: str
    expires_at: datetime
    redeemed_at: datetime | None


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
        "left(text, 600) AS text "
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
        "left(text, 600) AS text FROM messages "
        "WHERE id = ANY($1)",
        wanted,
    )
    return {row["id"]: _known(row) for row in rows}


def _known(row: Mapping[str, object]) -> Known:
    return Known(**{name: row[name] for name in Known.__slots__})  # type: ignore[arg-type]


async def codes_by_hash(connection: AsyncConnection, hashes: Iterable[bytes]) -> dict[bytes, Code]:
    """Not locked: a code is redeemed under its case's lock, so read it again once that is held."""
    wanted = list(hashes)
    if not wanted:
        return {}
    rows = await (await driver(connection)).fetch(
        f"SELECT {', '.join(Code.__slots__)} FROM resume_codes WHERE hash = ANY($1) ORDER BY hash",  # noqa: S608 - our own field names
        wanted,
    )
    return {row["hash"]: Code(**dict(row)) for row in rows}


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
    ids: Iterable[UUID],
    customers: Iterable[UUID] = (),
    closed_since: datetime | None = None,
) -> dict[UUID, Case]:
    """These cases, and the customers' open or lately closed ones, locked in order of id."""
    rows = await (await driver(connection)).fetch(
        "SELECT doc::text AS doc FROM cases WHERE id = ANY($1) "
        "OR customer_id = ANY($2) AND (state <> 'closed' OR closed_at > $3) "
        "ORDER BY id FOR UPDATE",
        list(ids),
        list(customers),
        closed_since,
    )
    return {case.id: case for case in map(_case, rows)}


async def lock_idle_cases(connection: AsyncConnection, ids: Iterable[UUID]) -> dict[UUID, Case]:
    """Those of these cases that nobody else is changing right now."""
    rows = await (await driver(connection)).fetch(
        "SELECT doc::text AS doc FROM cases WHERE id = ANY($1) ORDER BY id FOR UPDATE SKIP LOCKED",
        list(ids),
    )
    return {case.id: case for case in map(_case, rows)}


def _case(row: Mapping[str, str]) -> Case:
    return _CASES.decode(row["doc"])
