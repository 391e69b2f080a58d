"""The ledger outside the database: a restored backup does not know who was erased since.

It holds ids, instants and marks, and the key of the marks; no name and no address.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database import driver
from shared.errors import Misconfigured


class Entry(msgspec.Struct, frozen=True):
    """One request, whatever became of it, and its marks with what they hold for."""

    id: UUID
    customer_id: UUID
    by: str
    asked_at: datetime
    due_at: datetime
    done_at: datetime | None
    withdrawn_at: datetime | None
    withdrawn_by: str
    customers: list[UUID]
    log_gone_at: datetime | None
    marks: list[tuple[bytes, datetime]]


class Book(msgspec.Struct, frozen=True):
    key: bytes
    erasures: list[Entry]


async def export(connection: AsyncConnection) -> bytes:
    """The whole ledger as JSON."""
    raw = await driver(connection)
    rows = await raw.fetch(_ENTRIES)
    names = [name for name in Entry.__struct_fields__ if name != "marks"]
    entries = [
        Entry(
            **{name: row[name] for name in names},
            marks=[(bytes(m), at) for m, at in zip(row["marks"], row["ats"], strict=True)],
        )
        for row in rows
    ]
    key = bytes(await raw.fetchval("SELECT key FROM ledger_key"))
    return msgspec.json.encode(Book(key=key, erasures=entries))


async def apply(connection: AsyncConnection, text: bytes) -> tuple[int, int]:
    """(requests read, persons who stand in the tables again and are to be erased again, which the
    next start of a router does before it reads anything). May be repeated. Raises Misconfigured."""
    try:
        book = msgspec.json.decode(text, type=Book)
    except msgspec.MsgspecError as error:
        raise Misconfigured(f"this is no ledger of `regie erasures export`: {error}") from error
    raw = await driver(connection)
    await _take_key(connection, book.key)
    back = 0
    for e in book.erasures:
        again = e.done_at is not None and await raw.fetchval(_STANDS, e.customers)
        back += bool(again)
        await raw.execute(
            _PUT, e.id, e.customer_id, e.by, e.asked_at, e.due_at, e.done_at, e.withdrawn_at,
            e.withdrawn_by, e.customers, e.log_gone_at, bool(again),
        )  # fmt: skip
        if e.marks:
            await raw.execute(_MARKS, e.id, *zip(*e.marks, strict=True))
    return len(book.erasures), back


async def _take_key(connection: AsyncConnection, key: bytes) -> None:
    raw = await driver(connection)
    if bytes(await raw.fetchval("SELECT key FROM ledger_key")) == key:
        return
    if await raw.fetchval("SELECT EXISTS (SELECT FROM erased)"):
        raise Misconfigured("this ledger is another installation's: its marks fit nothing here")
    await raw.execute("UPDATE ledger_key SET key = $1", key)


_ENTRIES: Final = """
SELECT e.*, array_remove(array_agg(m.mark ORDER BY m.mark), NULL) AS marks,
    array_remove(array_agg(m.at ORDER BY m.mark), NULL) AS ats
FROM erasures e LEFT JOIN erased m ON m.erasure_id = e.id GROUP BY e.id ORDER BY e.asked_at, e.id
"""
_STANDS: Final = "SELECT EXISTS (SELECT FROM customers WHERE id = ANY($1) AND erased_at IS NULL)"
_PUT: Final = """
INSERT INTO erasures AS e (id, customer_id, by, reason, asked_at, due_at, done_at, withdrawn_at,
    withdrawn_by, customers, log_gone_at, again)
VALUES ($1, $2, $3, '', $4, $5, $6, $7, $8, $9, $10, $11)
ON CONFLICT (id) DO UPDATE SET due_at = excluded.due_at,
    done_at = coalesce(excluded.done_at, e.done_at),
    withdrawn_at = coalesce(excluded.withdrawn_at, e.withdrawn_at),
    withdrawn_by = excluded.withdrawn_by, customers = excluded.customers,
    log_gone_at = excluded.log_gone_at, again = e.again OR excluded.again
"""
_MARKS: Final = """
INSERT INTO erased AS m (mark, erasure_id, at)
SELECT mark, $1, at FROM unnest($2::bytea[], $3::timestamptz[]) AS new (mark, at)
ON CONFLICT (mark, erasure_id) DO UPDATE SET at = greatest(m.at, excluded.at)
"""
