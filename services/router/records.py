"""Finding customers: by what identifies them, and by what somebody remembers of them."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.router import customers
from services.router.lookup import Lookup
from shared import codes
from shared.database import driver
from shared.events import Identity

_WORD: Final = re.compile(r"\w+")
_LAST: Final = "\U0010ffff"  # sorts after every other character


async def found(connection: AsyncConnection, wanted: Lookup) -> list[UUID]:
    """The standing records that have one of the identities, or whom a code was made for. Where
    nobody has it, those who claim it."""
    raw = await driver(connection)
    rows = await raw.fetch(
        "SELECT customer_id, true AS has FROM identities JOIN unnest($1::text[], $2::text[]) "
        "AS wanted (scheme, value) USING (scheme, value) "
        "UNION SELECT customer_id, true FROM resume_codes WHERE hash = ANY($3) "
        "OR (digits = ANY($3) AND redeemed_at IS NULL) "
        "UNION SELECT customer_id, false FROM identity_claims "
        "JOIN unnest($1::text[], $2::text[]) AS wanted (scheme, value) USING (scheme, value)",
        [i.scheme for i in wanted.identities],
        [i.value for i in wanted.identities],
        [codes.hashed(code) for code in wanted.codes],
    )
    ids = {r["customer_id"] for r in rows if r["has"]} or {r["customer_id"] for r in rows}
    standing = await customers.roots(connection, ids)
    return sorted(set(standing.values()))


async def owners(
    connection: AsyncConnection, identities: Collection[Identity]
) -> dict[Identity, tuple[UUID, bool]]:
    """Whose these are, and whether that is verified."""
    rows = await (await driver(connection)).fetch(
        "SELECT scheme, value, customer_id, verified FROM identities "
        "JOIN unnest($1::text[], $2::text[]) AS wanted (scheme, value) USING (scheme, value)",
        [i.scheme for i in identities],
        [i.value for i in identities],
    )
    return {
        Identity(scheme=r["scheme"], value=r["value"]): (r["customer_id"], r["verified"])
        for r in rows
    }


_BRIEF: Final = """
SELECT customers.id, customers.name, customers.language, customers.created_at,
    lower(customers.name) AS sorts,
    ARRAY(SELECT scheme || ':' || value FROM identities WHERE customer_id = customers.id
          ORDER BY verified DESC, scheme, value LIMIT 20) AS identities,
    (SELECT count(*) FROM cases WHERE customer_id = customers.id AND state <> 'closed'
        AND team <> ALL(:hidden)) AS open_cases
FROM customers
"""
_BY_ID: Final = text(f"{_BRIEF} WHERE id = ANY(:ids) ORDER BY lower(name), id")
# Ranges instead of LIKE: a prepared plan must be able to use the index for every value.
_SEARCH: Final = text(f"""
{_BRIEF} WHERE id IN (
    SELECT id FROM customers
    WHERE to_tsvector('simple', name) @@ to_tsquery('simple', :words) AND :words <> ''
    UNION SELECT customer_id FROM identities WHERE value ~>=~ :low AND value ~<~ :high
) AND merged_into IS NULL AND erased_at IS NULL
AND (CAST(:after AS uuid) IS NULL OR (lower(name), id) > (:sorts, :after))
ORDER BY lower(name), id LIMIT :most
""")  # noqa: S608 - our own text


async def briefs(
    connection: AsyncConnection, ids: Sequence[UUID], hidden: Sequence[str]
) -> Sequence[RowMapping]:
    result = await connection.execute(_BY_ID, {"ids": list(ids), "hidden": list(hidden)})
    return result.mappings().all()


async def search(
    connection: AsyncConnection,
    q: str,
    hidden: Sequence[str],
    after: tuple[str, UUID] | None,
    most: int,
) -> Sequence[RowMapping]:
    """Every word begins one of the name's, or all of it begins an identity's value; by name."""
    words = " & ".join(f"'{word}':*" for word in _WORD.findall(q))
    low = q.strip().lower() if "@" in q else q.strip()
    values: dict[str, Any] = {
        "words": words, "low": low, "high": low + _LAST, "hidden": list(hidden), "most": most,
        "sorts": after[0] if after else "", "after": after[1] if after else None,
    }  # fmt: skip
    return (await connection.execute(_SEARCH, values)).mappings().all()


async def lock(connection: AsyncConnection, id: UUID) -> RowMapping | None:
    """The row itself, locked."""
    query = text(
        "SELECT version, name, language, opted_out, merged_into, erased_at FROM customers "
        "WHERE id = :id FOR UPDATE"
    )
    return (await connection.execute(query, {"id": id})).mappings().one_or_none()


async def add_identities(
    connection: AsyncConnection, customer: UUID, new: Collection[Identity], by: str
) -> None:
    """Before the customer is locked, as everywhere: first identities. What somebody has stays
    theirs; ask `owners` under the lock."""
    rows = sorted((i.scheme, i.value) for i in new)
    if rows:
        await (await driver(connection)).execute(
            "INSERT INTO identities (scheme, value, customer_id, verified, added_by) "
            "SELECT scheme, value, $3, false, $4 FROM unnest($1::text[], $2::text[]) "
            "AS new (scheme, value) ON CONFLICT DO NOTHING",
            *zip(*rows, strict=True), customer, by,
        )  # fmt: skip


async def verify(
    connection: AsyncConnection, customer: UUID, how: dict[Identity, str], by: str
) -> None:
    if how:
        await (await driver(connection)).execute(
            "UPDATE identities SET verified = true, how = new.how, added_by = $5 "
            "FROM unnest($1::text[], $2::text[], $3::text[]) AS new (scheme, value, how) "
            "WHERE identities.scheme = new.scheme AND identities.value = new.value "
            "AND customer_id = $4",
            [i.scheme for i in how], [i.value for i in how], list(how.values()), customer, by,
        )  # fmt: skip


async def remove_identities(
    connection: AsyncConnection, customer: UUID, gone: Collection[Identity]
) -> None:
    if gone:
        await (await driver(connection)).execute(
            "DELETE FROM identities USING unnest($1::text[], $2::text[]) AS gone (scheme, value) "
            "WHERE identities.scheme = gone.scheme AND identities.value = gone.value "
            "AND customer_id = $3",
            [i.scheme for i in gone], [i.value for i in gone], customer,
        )  # fmt: skip


async def change(
    connection: AsyncConnection, id: UUID, name: str, language: str, opted_out: bool
) -> int:
    """The new version."""
    query = text(
        "UPDATE customers SET name = :name, language = :language, opted_out = :out, "
        "version = version + 1 WHERE id = :id RETURNING version"
    )
    values = {"id": id, "name": name, "language": language, "out": opted_out}
    version: int = (await connection.execute(query, values)).scalar_one()
    return version


async def merges(connection: AsyncConnection, id: UUID) -> Sequence[RowMapping]:
    """Every merge of this record and of those that went into it, newest first."""
    query = text(
        f"{customers.FAMILY} SELECT merges.id, winner, loser, reason, by, at, undone_at, "  # noqa: S608 - our own text
        "undone_by FROM merges WHERE winner IN (SELECT member FROM family) "
        "OR loser IN (SELECT member FROM family) ORDER BY at DESC, merges.id DESC LIMIT 200"
    )
    return (await connection.execute(query, {"id": id})).mappings().all()


async def conflict_of(connection: AsyncConnection, id: UUID, conflict: UUID) -> datetime | None:
    """When an open conflict of this record was noted; None where there is no such one."""
    query = text(
        f"{customers.FAMILY} SELECT at FROM identity_conflicts WHERE id = :conflict "  # noqa: S608 - our own text
        "AND ended_at IS NULL AND (customer_id IN (SELECT member FROM family) "
        "OR other_id IN (SELECT member FROM family)) FOR UPDATE OF identity_conflicts"
    )
    at: datetime | None = await connection.scalar(query, {"id": id, "conflict": conflict})
    return at
